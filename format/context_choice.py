# SPDX-License-Identifier: MIT
"""The encoder's choice of a context for a plane: least squares, then the cheapest classes, by counted bits.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .contexts import MAX_CLASSES, Coding, Columns, Context, Term, coded_by, term_values
from .estimate import best_centre, rough_bits
from .tokens import Symbols, tokenise

FEWEST = 128  # Gaussians for which a context is looked for
SAMPLE = 16384  # Gaussians that are looked at
MOST_TERMS = 3
FINEST_WEIGHT = 31
BUCKETS = MAX_CLASSES
RIDGE = 1e-6  # so that features that say the same can be solved for
CLASS_BITS = 56.0  # of a class: its threshold, centre, sizes

Floats = NDArray[np.float64]


def context_coding(symbols: Symbols, columns: Columns) -> Coding | None:
    """A coding of [n] symbols by classes, if one promises to be smaller than one table."""
    if len(symbols) < FEWEST or not columns.planes:
        return None
    context = _search(symbols, columns)
    if context is None:
        return None
    classes = context.classes(columns.planes)
    centres = [best_centre(symbols[classes == k])[1] for k in range(len(context.thresholds) + 1)]
    return coded_by(context, symbols, classes, centres)


def _search(symbols: Symbols, columns: Columns) -> Context | None:
    """The context of the fewest bits in a sample, None if a plane without classes has fewer."""
    stride = 1 + len(symbols) // SAMPLE
    sample = symbols[::stride]
    terms, values = _features(columns, stride)
    _, centre = best_centre(sample)
    tokens, _, widths = tokenise(sample - centre)
    found: list[tuple[float, Context]] = []
    spread = np.abs(tokens).astype(np.float64)
    place = np.clip(sample, *np.quantile(sample, (0.03, 0.97))).astype(np.float64)
    for target in (spread, place):
        for chosen, weights in _fits(values, target - target.mean()):
            total = sum(weight * values[c] for c, weight in zip(chosen, weights, strict=True))
            made = tuple(Term(terms[c].column, w, terms[c].origin) for c, w in zip(chosen, weights, strict=True))
            bits, thresholds = _cut(np.asarray(total, np.int64), tokens - tokens.min(), widths, stride)
            if thresholds:
                found.append((bits, Context(made, thresholds)))
    if not found:
        return None
    return min(found, key=lambda item: item[0])[1]


def _features(columns: Columns, stride: int) -> tuple[list[Term], list[Symbols]]:
    """Terms of weight 1 and their values in the sample: each column, and its distance from its median."""
    for index in range(len(columns.features) // 2, len(columns.planes)):
        plane = columns.planes[index]
        middle = int(np.partition(plane, len(plane) // 2)[len(plane) // 2])
        for term in (Term(index, 1), Term(index, 1, middle)):
            columns.features.append((term, term_values(term, columns.planes)[::stride]))
    return [term for term, _ in columns.features], [values for _, values in columns.features]


def _fits(values: list[Symbols], target: Floats) -> list[tuple[list[int], list[int]]]:
    """Sums of one to MOST_TERMS features that follow `target`: which ones and their weights."""
    design = np.stack(values).astype(np.float64)
    design -= design.mean(1, keepdims=True)
    size = np.sqrt((design**2).sum(1)) + 1e-9
    rest = target
    chosen: list[int] = []
    fits: list[tuple[list[int], list[int]]] = []
    for _ in range(min(MOST_TERMS, len(values))):
        score = np.abs(design @ rest) / size
        score[chosen] = -1
        chosen = [*chosen, int(score.argmax())]
        part = design[chosen]
        gram = part @ part.T
        solved = np.linalg.solve(gram + np.diag(RIDGE * np.diag(gram) + RIDGE), part @ target)
        rest = target - solved @ part
        largest = float(np.abs(solved).max())
        finest = FINEST_WEIGHT if len(chosen) > 1 else 1
        if largest > 0:
            fits.append((chosen, np.round(solved / largest * finest).astype(np.int64).tolist()))
    return fits


def _cut(total: Symbols, tokens: Symbols, widths: Symbols, stride: int) -> tuple[float, tuple[int, ...]]:
    """(rough bits, thresholds): neighbouring buckets of `total` are put together to the cheapest classes."""
    ordered = np.sort(total)
    edges = np.unique(ordered[(np.arange(1, BUCKETS) * len(ordered)) // BUCKETS])
    edges = edges[edges < ordered[-1]]
    bucket, kinds = np.searchsorted(edges, total, side="left"), int(tokens.max()) + 1
    counts = np.bincount(bucket * kinds + tokens, minlength=(len(edges) + 1) * kinds).reshape(-1, kinds)
    sums = np.concatenate([np.zeros((1, kinds), np.int64), counts.cumsum(0)]) * stride
    first, last = np.triu_indices(len(edges) + 2, 1)
    costs = rough_bits(sums[last] - sums[first]) + CLASS_BITS
    cost = np.full((len(edges) + 2, len(edges) + 2), np.inf)
    cost[first, last] = costs
    best, came = np.zeros(len(edges) + 2), np.zeros(len(edges) + 2, np.int64)
    for end in range(1, len(best)):
        through = best[:end] + cost[:end, end]
        came[end] = through.argmin()
        best[end] = through[came[end]]
    cuts, end = [], int(came[-1])
    while end > 0:
        cuts.append(int(edges[end - 1]))
        end = int(came[end])
    return float(best[-1]) + float(widths.sum()) * stride, tuple(reversed(cuts))
