# SPDX-License-Identifier: MIT
"""What planes take, roughly, for an encoder that chooses among ways to write them. Imports numpy and tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .tokens import Symbols, tokenise

TABLE_BITS = 2.5  # of a table, per symbol that occurs
MOST_COUNTED = 4096  # symbols between which the most frequent one is looked for


def rough_bits(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """[...] bits of symbols with [..., n] counts, each with a table of its own."""
    there = counts.astype(np.float64)
    total = there.sum(-1)
    used = np.log2(np.maximum(there, 1))
    bits: NDArray[np.float64] = total * np.log2(np.maximum(total, 1)) - (there * used).sum(-1)
    bits += TABLE_BITS * (there > 0).sum(-1)
    return bits


def best_centre(symbols: Symbols) -> tuple[float, int]:
    """(rough bits, symbol) of the median or the mode of [n] symbols, around which tokens take fewer bits."""
    tried = []
    for centre in _centres(symbols):
        tokens, _, widths = tokenise(symbols - centre)
        tried.append((float(rough_bits(np.bincount(tokens - tokens.min()))) + float(widths.sum()), centre))
    return min(tried)


def _centres(symbols: Symbols) -> set[int]:
    median = int(np.partition(symbols, len(symbols) // 2)[len(symbols) // 2])
    lowest = int(symbols.min())
    if int(symbols.max()) - lowest >= MOST_COUNTED:
        return {median}
    return {median, lowest + int(np.bincount(symbols - lowest).argmax())}
