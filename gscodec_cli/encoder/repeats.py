# SPDX-License-Identifier: MIT
"""Frames that show again what the frame before them shows: clips of another frame rate, screens on which nothing moves.

Such a frame costs a Gaussian that moves on its line as much as a turn. Must not import torch or the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Mean squared differences of samples of 8 bits.
UNSEEN = 0.25  # in any block of BLOCK pixels: nobody sees it, and few encodes come as near to their source
# In the whole of a frame between two that move more than 1 / SHARE times as much: what a codec before us has left of a
# repeat. What little there is beside is one frame late.
STALL, SHARE = 0.5, 0.05
BLOCK = 8


def repeats_of(pictures: NDArray) -> tuple[int, ...]:
    """Which of a GoP's pictures [T, H, W, 3] uint8 or uint16 can be shown by the one before that is no repeat."""
    found: list[int] = []
    last, before = 0, math.inf  # the latest distinct one, and how much was new in it
    while last < len(pictures):
        run, after = _run(pictures, last)
        least = min(before, after)
        stall = 0.0 if math.isinf(least) else SHARE * least
        for number, change in enumerate(run, last + 1):
            if change > stall and not _unseen(pictures[number], pictures[last], change):
                last, before = number, change
                break
            found.append(number)
        else:
            last, before = last + len(run) + 1, after
    return tuple(found)


def _run(pictures: NDArray, last: int) -> tuple[Sequence[float], float]:
    """How much each picture behind `last` differs from it, up to the first that does so by more than STALL, and by how
    much that one does; infinity where there is none.
    """
    run: list[float] = []
    for picture in pictures[last + 1 :]:
        change = float(_squares(picture, pictures[last]).mean())
        if change > STALL:
            return run, change
        run.append(change)
    return run, math.inf


def _unseen(picture: NDArray, other: NDArray, change: float) -> bool:
    if change > UNSEEN:
        return False
    squares = _squares(picture, other).mean(2)
    rows = np.add.reduceat(squares, np.arange(0, squares.shape[0], BLOCK), axis=0)
    sums = np.add.reduceat(rows, np.arange(0, squares.shape[1], BLOCK), axis=1)
    return bool(sums.max() <= UNSEEN * BLOCK**2)


def _squares(picture: NDArray, other: NDArray) -> NDArray[np.float32]:
    """[H, W, 3] squared differences, of samples as if they had 8 bits."""
    difference = picture.astype(np.float32) - other
    return np.square(difference if picture.dtype == np.uint8 else difference / 257)
