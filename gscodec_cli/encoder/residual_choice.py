# SPDX-License-Identifier: MIT
"""Which coefficients of a residual are worth their bits: symbols chosen by rate and distortion, block by block.

Takes coefficients in steps; gives integers. Must not import the verbs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gscodec.format.residual import lengths_of, scan
from gscodec_cli.encoder.residual_cosines import PART, Floats

STEP = 3.2  # of a quantiser whose error falls by the slope for one bit more
DEAD = 0.3  # what of a step is rounded up
PASSES = 3  # of counting what symbols cost and choosing those worth it
LARGEST = 7  # symbols from here on cost alike
CLASSES = 10  # of blocks, by how many coefficients they have
END_BITS = 0.8  # of each bit below the first one of a count


def choose(wanted: Floats, share: Floats, blocks: int, frames: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """(flat indices, symbols) of coefficients [B, 64 * frames] in steps; the rest of `blocks` has none that count.

    share: [B] of the error that a coefficient takes away, what is in frames that there are.
    """
    active = np.flatnonzero(np.maximum(wanted.max(1), -wanted.min(1)) > 1 - DEAD)
    empty, depth, diagonal = blocks - len(active), wanted.shape[1], scan(frames).sum(1)
    parts = np.array_split(active, 1 + active.size * depth // PART)
    symbols = [np.floor(np.abs(wanted[part]) + np.float32(DEAD)) for part in parts]
    for _ in range(PASSES):
        costs = _Costs(diagonal)
        for number, chosen in enumerate(symbols):
            costs.count(np.minimum(chosen, LARGEST).astype(np.int64), 0 if number else empty)
        both = zip(parts, symbols, strict=True)
        symbols = [_worth(np.abs(wanted[part]), share[part, None], chosen, costs) for part, chosen in both]
    index, values = [], []
    for part, chosen in zip(parts, symbols, strict=True):
        row, column = np.nonzero(chosen)
        index.append(part[row] * depth + column)
        values.append((chosen[row, column] * np.sign(wanted[part[row], column])).astype(np.int32))
    return np.concatenate(index), np.concatenate(values)


def _worth(size: Floats, share: Floats, symbols: Floats, costs: _Costs) -> Floats:
    """The symbols [A, 64 * frames] that are worth their bits, of coefficients of this size in steps; 0 for the rest."""
    slope, (bits, zero, ends) = np.float32(1 / STEP**2), costs.bits(np.minimum(symbols, LARGEST).astype(np.int64))
    gain = share * (size**2 - (size - symbols) ** 2)
    good = (symbols > 0) & (gain > slope * (bits - zero))
    worth = np.cumsum(np.where(good, gain - slope * bits, -slope * zero), 1)
    worth = np.concatenate([np.zeros((len(size), 1), np.float32), worth], 1) - slope * ends
    return np.where(good & (np.arange(size.shape[1]) < worth.argmax(1)[:, None]), symbols, np.float32(0))


class _Costs:
    """Bits of symbols, by the diagonal they are on and how many coefficients their block has."""

    def __init__(self, diagonal: NDArray[np.int64]) -> None:
        """Nothing counted yet. diagonal: [64 * frames] of each coefficient."""
        self._diagonal, self._ends = diagonal, np.full(16, 0.1)
        self._counts = np.full((CLASSES, int(diagonal[-1]) + 1, LARGEST + 1), 0.05)

    def _keys(self, size: NDArray[np.int64]) -> NDArray[np.int64]:
        """[A, 64 * frames] where the bits of a 0 stand."""
        classes = np.minimum(lengths_of((size > 0).sum(1)), CLASSES - 1)
        return (classes[:, None] * self._counts.shape[1] + self._diagonal) * (LARGEST + 1)

    def count(self, size: NDArray[np.int64], empty: int) -> None:
        """Count blocks [A, 64 * frames] whose symbols have these sizes, and as many more that have none."""
        there = size > 0
        ends = np.where(there.any(1), size.shape[1] - there[:, ::-1].argmax(1), 0)
        inside = (self._keys(size) + size)[np.arange(size.shape[1]) < ends[:, None]]
        self._counts += np.bincount(inside, minlength=self._counts.size).reshape(self._counts.shape)
        self._ends += np.bincount(lengths_of(ends), minlength=16)
        self._ends[0] += empty

    def bits(self, size: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
        """Bits of each symbol [A, 64 * frames], of a 0 in its place, and of coding so many [64 * frames + 1]."""
        bits = -np.log2(self._counts / self._counts.sum(2, keepdims=True))
        bits[..., 1:] += 1  # the sign
        flat, keys, depth = bits.astype(np.float32).reshape(-1), self._keys(size), size.shape[1]
        length = lengths_of(np.arange(depth + 1))
        ends = -np.log2(self._ends / self._ends.sum())[length] + np.maximum(length - 1, 0) * END_BITS
        return flat[keys + size], flat[keys], ends.astype(np.float32)
