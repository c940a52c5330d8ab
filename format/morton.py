# SPDX-License-Identifier: MIT
"""Morton codes of grid positions below 2^24 (SPEC 7.5). Imports numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

_SPREAD = ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333))
_LAST = (1, 0x5555555555555555)


def morton_encode(grid: Int64) -> Int64:
    """[N] codes of [N, 2] positions: bit b of x at bit 2b, bit b of y at bit 2b + 1."""
    x, y = (_spread(grid[:, axis]) for axis in (0, 1))
    return x | y << 1


def morton_decode(codes: Int64) -> Int64:
    """[N, 2] positions of [N] codes."""
    return np.stack([_gather(codes), _gather(codes >> 1)], axis=1)


def morton_order(grid: Int64) -> NDArray[np.intp]:
    """Indices that put [N, 2] positions into Morton order; equal positions keep theirs."""
    return np.argsort(morton_encode(np.asarray(grid, np.int64)), kind="stable")


def _spread(v: Int64) -> Int64:
    for shift, mask in (*_SPREAD, _LAST):
        v = (v | v << shift) & mask
    return v


def _gather(v: Int64) -> Int64:
    v = v & _LAST[1]
    masks = [0x3333333333333333, 0x0F0F0F0F0F0F0F0F, 0x00FF00FF00FF00FF, 0x0000FFFF0000FFFF, 0x00000000FFFFFFFF]
    for shift, mask in zip((1, 2, 4, 8, 16), masks, strict=True):
        v = (v | v >> shift) & mask
    return v
