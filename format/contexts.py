# SPDX-License-Identifier: MIT
"""Planes coded class by class (SPEC 5.11, 6.11): what a Gaussian's earlier symbols say chooses the table of the next.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from . import tables, validate_contexts, validate_data
from .bits import pack, packed_length, padding_is_zero, unpack
from .schema import SVAR, U8, UVAR, FieldStream
from .tokens import LARGEST_TOKEN, Symbols, coder_of, decode_classes, detokenise, encode_classes, token_widths, tokenise

MAX_TERMS, MAX_CLASSES, MAX_WEIGHT = 4, 16, 127


@dataclass(frozen=True)
class Term:
    """One summand of a context: `weight` times a column's symbol, or times the token of its distance to `origin`."""

    column: int  # planes of this GoP read before, counted from 0
    weight: int
    origin: int | None = None


@dataclass
class Columns:
    """The planes so far that say something of the same [n] Gaussians, a number each; `features` is the encoder's."""

    planes: list[Symbols] = field(default_factory=list)
    features: list[tuple[Term, Symbols]] = field(default_factory=list)


@dataclass
class GopColumns:
    """The columns of a GoP: symbols of its new Gaussians, differences of the carried ones to their prediction."""

    new: Columns = field(default_factory=Columns)
    carried: Columns = field(default_factory=Columns)


@dataclass(frozen=True)
class Context:
    """Class of a Gaussian: how many of the rising `thresholds` its sum of terms exceeds."""

    terms: tuple[Term, ...]
    thresholds: tuple[int, ...]

    def classes(self, columns: list[Symbols]) -> NDArray[np.int64]:
        """[n] classes from the columns, [n] symbols each."""
        total = sum((term.weight * term_values(term, columns) for term in self.terms), np.zeros_like(columns[0]))
        return np.searchsorted(np.array(self.thresholds), total, side="left")


@dataclass(frozen=True)
class ClassTable:
    """How the symbols of one class are coded: `centre`, the lowest token, weight classes (None for a single token)."""

    centre: int
    lowest: int
    weights: tables.Classes | None


@dataclass(frozen=True)
class Coding:
    """A whole plane: context, a table per class and, where it is written, its words and raw bits."""

    context: Context
    classes: tuple[ClassTable, ...]
    words: bytes = b""
    raw: bytes = b""


def term_values(term: Term, columns: list[Symbols]) -> Symbols:
    """[n] numbers that `term` multiplies with its weight."""
    column = columns[term.column]
    return column if term.origin is None else np.abs(tokenise(column - term.origin)[0])


def context_plane(io: FieldStream, coding: Coding | None, columns: list[Symbols], count: int) -> Symbols:
    """Transfer what follows `minimum` in a plane of model 3; returns its [count] values when reading."""
    context = _context(io, None if coding is None else coding.context, len(columns))
    known = [None] * (len(context.thresholds) + 1) if coding is None else coding.classes
    found = [_class_table(io, f"class[{k}]", table) for k, table in enumerate(known)]
    written = {} if coding is None else {"word_count": len(coding.words) // 4, "words": coding.words}
    words = io.raw(written, "words", 4 * io.field(written, "word_count", UVAR))
    sizes = {} if coding is None else {"raw_count": len(coding.raw), "raw_bits": coding.raw}
    length = io.field(sizes, "raw_count", UVAR)
    if coding is not None:
        io.raw(sizes, "raw_bits", length)
        return np.zeros(0, np.int64)
    classes = context.classes(columns)
    members = [np.flatnonzero(classes == k) for k in range(len(found))]
    models = [None if table.weights is None else coder_of(table.weights) for table in found]
    lists = decode_classes(words, [len(m) for m in members], models, io.place)
    tokens, centre = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for table, member, values in zip(found, members, lists, strict=True):
        tokens[member], centre[member] = values + table.lowest, table.centre
    widths = token_widths(tokens)
    bits = int(widths.sum())
    validate_contexts.raw_count(io.place, length, packed_length(bits))
    raw = io.raw(sizes, "raw_bits", length)
    validate_data.padding(io.place, padding_is_zero(raw, bits))
    return detokenise(tokens, unpack(raw, widths)) + centre


def _context(io: FieldStream, context: Context | None, columns: int) -> Context:
    v = {} if context is None else {"term_count": len(context.terms), "class_count": len(context.thresholds) + 1}
    terms = []
    count = io.field(v, "term_count", U8)
    validate_contexts.term_count(io.place, count, MAX_TERMS)
    for i in range(count):
        with io.scope(f"term[{i}]"):
            terms.append(_term(io, None if context is None else context.terms[i], columns))
    count = io.field(v, "class_count", U8)
    validate_contexts.class_count(io.place, count, MAX_CLASSES)
    thresholds: list[int] = []
    for k in range(1, count):
        value = {} if context is None else {f"threshold[{k}]": context.thresholds[k - 1]}
        thresholds.append(io.field(value, f"threshold[{k}]", SVAR))
        validate_contexts.thresholds_rise(io.place, thresholds)
    return context or Context(tuple(terms), tuple(thresholds))


def _term(io: FieldStream, term: Term | None, columns: int) -> Term:
    v = {}
    if term is not None:
        v = {"source": 2 * term.column + (term.origin is not None), "origin": term.origin, "weight": term.weight}
    source = io.field(v, "source", U8)
    validate_contexts.source_is_there(io.place, source >> 1, columns)
    origin = io.field(v, "origin", SVAR) if source & 1 else None
    weight = io.field(v, "weight", SVAR)
    validate_contexts.weight(io.place, weight, MAX_WEIGHT)
    return Term(source >> 1, weight, origin)


def _class_table(io: FieldStream, name: str, known: ClassTable | None) -> ClassTable:
    v = {}
    if known is not None:
        size = 1 if known.weights is None else len(known.weights)
        v = {"centre": known.centre, "lowest_token": known.lowest, "token_count": size}
    with io.scope(name):
        centre = io.field(v, "centre", SVAR)
        lowest = io.field(v, "lowest_token", SVAR)
        size = io.field(v, "token_count", UVAR)
        validate_data.symbol_count(io.place, "token_count", size, 2 * LARGEST_TOKEN + 1)
        validate_data.tokens_fit(io.place, lowest, size)
        weights = tables.table(io, None if known is None else known.weights, size) if size > 1 else None
    return known or ClassTable(centre, lowest, weights)


def coded_by(context: Context, values: Symbols, classes: NDArray[np.int64], centres: list[int]) -> Coding:
    """The coding of [n] values whose classes under `context` are known, each class with tokens around its centre."""
    tokens, raw, widths = tokenise(values - np.array(centres)[classes])
    found, lists = [], []
    for k, centre in enumerate(centres):
        own = tokens[classes == k]
        lowest = int(own.min())
        lists.append(own - lowest)
        counts = np.bincount(lists[-1])
        found.append(ClassTable(centre, lowest, tables.choose_classes(counts, quick=True) if len(counts) > 1 else None))
    models = [None if table.weights is None else coder_of(table.weights) for table in found]
    return Coding(context, tuple(found), encode_classes(lists, models), pack(raw, widths))


def written_size(coding: Coding) -> int:
    """Bytes of a coding that belong to one plane, without the headers that other models have too."""
    io = FieldStream()
    columns = 1 + max(term.column for term in coding.context.terms)
    context_plane(io, coding, [np.zeros(0, np.int64)] * columns, 0)
    return len(io.getvalue())
