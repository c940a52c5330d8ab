# SPDX-License-Identifier: MIT
"""How the whole picture moves, in the pixels of a view (SPEC 7.7). Imports neither torch nor the encoder."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def shift_of(lines: np.ndarray, away: np.ndarray) -> Any:
    """What maps [..., 2, 3] add to places `away` [..., 2] px from the centre.

    Written out: how a matrix product rounds may depend on the number of threads.
    """
    return lines[..., 0] + lines[..., 1] * away[..., :1] + lines[..., 2] * away[..., 1:]


class Camera:
    """Affine maps of a GoP's frames: a place p goes to p + map @ (1, p - centre).

    values: [T, 6] float32 offsets x and y in coded px, slopes xx, xy, yx, yy. `scale` (x, y): pixels of the view per
    coded pixel; `centre` (x, y): that of the whole picture, in pixels of the view.
    """

    def __init__(self, values: np.ndarray, scale: np.ndarray, centre: np.ndarray) -> None:
        offsets, slopes = values[:, :2, None].astype(np.float64), values[:, 2:].reshape(-1, 2, 2).astype(np.float64)
        self._maps = np.concatenate([offsets * scale[:, None], slopes * scale[:, None] / scale], axis=2)
        self.centre = centre

    def at(self, position: float) -> np.ndarray:
        """[2, 3] float64: the map at a frame position, between frames a mean of both."""
        inside = min(max(position, 0), len(self._maps) - 1)
        before = math.floor(inside)
        after = min(before + 1, len(self._maps) - 1)
        share = inside - before
        found: np.ndarray = (1 - share) * self._maps[before] + share * self._maps[after]
        return found

    def move(self, mean: np.ndarray, position: float) -> Any:
        """Means [n, 2] in pixels of the view where they are at a frame position; the same dtype."""
        lines = self.at(position).astype(mean.dtype)
        return mean + shift_of(lines, mean - self.centre.astype(mean.dtype))
