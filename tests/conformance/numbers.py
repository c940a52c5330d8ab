# SPDX-License-Identifier: MIT
"""Integers that are the same on every machine and numpy version: splitmix64 of a counter."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class Numbers:
    """A stream of integers from a seed."""

    def __init__(self, seed: int) -> None:
        self._next = seed << 32

    def below(self, limit: int, *shape: int) -> NDArray[np.int64]:
        """Integers 0..limit-1, evenly spread."""
        size = math.prod(shape)
        state = np.arange(self._next, self._next + size, dtype=np.uint64)
        self._next += size
        with np.errstate(over="ignore"):
            state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ state >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ state >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
            state ^= state >> np.uint64(31)
        return ((state >> np.uint64(16)) % np.uint64(limit)).astype(np.int64).reshape(shape)

    def between(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers low..high, evenly spread."""
        return low + self.below(high - low + 1, *shape)

    def peaked(self, spread: int, *shape: int) -> NDArray[np.int64]:
        """Integers around 0, the more likely the smaller, within +-3 * spread."""
        return sum((self.between(-spread, spread, *shape) for _ in range(3)), np.zeros(shape, np.int64))
