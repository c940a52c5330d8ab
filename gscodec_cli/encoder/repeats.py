# SPDX-License-Identifier: MIT
"""Frames that show again what the frame before them shows: clips of another frame rate, screens on which nothing moves.

Such a frame costs a Gaussian that moves on its line as much as a turn. Must not import torch or the verbs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gscodec.format.detail import BLOCK
from gscodec_cli.encoder.blocks import blocks_of

# Mean squared differences of samples of 8 bits.
UNSEEN = 0.25  # in any block of BLOCK pixels: nobody sees it, and few encodes come as near to their source
# In the whole of a frame between two that move more than 1 / SHARE times as much: what a codec before us has left of a
# repeat. What little there is beside is one frame late.
STALL, SHARE = 0.5, 0.05


def repeats_of(pictures: NDArray) -> tuple[int, ...]:
    """Which of a GoP's pictures [T, H, W, 3] uint8 or uint16 can be shown by the one before that is no repeat."""
    found: list[int] = []
    # The latest distinct one, how much was new in it, and how much is new in the next one, where that was asked for.
    last, before, after = 0, math.inf, -1.0
    for number in range(1, len(pictures)):
        squares = _squares(pictures[number], pictures[last])
        change = float(squares.mean())
        again = change <= UNSEEN and _unseen(squares)
        if not again and change <= min(STALL, SHARE * before):
            after = _next_change(pictures[number + 1 :], pictures[last]) if after < 0 else after
            again = change <= SHARE * after and math.isfinite(min(before, after))
        if again:
            found.append(number)
        else:
            last, before, after = number, change, -1.0
    return tuple(found)


def _next_change(pictures: NDArray, last: NDArray) -> float:
    """How much the first of `pictures` that differs from `last` by more than STALL does; infinity if none does."""
    changes = (float(_squares(picture, last).mean()) for picture in pictures)
    return next((change for change in changes if change > STALL), math.inf)


def _unseen(squares: NDArray[np.float32]) -> bool:
    sums = blocks_of(squares.mean(2, keepdims=True), "constant").sum((3, 4))
    return bool(sums.max() <= UNSEEN * BLOCK**2)


def _squares(picture: NDArray, other: NDArray) -> NDArray[np.float32]:
    """[H, W, 3] squared differences, of samples as if they had 8 bits."""
    difference = picture.astype(np.float32) - other
    return np.square(difference if picture.dtype == np.uint8 else difference / 257)
