# SPDX-License-Identifier: MIT
"""The definition of the filter behind the picture, in float64. Imports numpy only."""

from __future__ import annotations

import numpy as np

from .checks import Array

REACH = 3  # pixels
# (dy, dx): half of the diamond |dx| + |dy| <= REACH, the other half lies opposite. kernels/cpu/table.hpp has it too.
OFFSETS = ((0, 1), (0, 2), (0, 3), (1, -2), (1, -1), (1, 0), (1, 1), (1, 2), (2, -1), (2, 0), (2, 1), (3, 0))
# Rows: luma, red-blue, green-magenta axis of the orthonormal YCC space; its transpose is the way back.
RGB_TO_YCC = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])


def filter_picture(picture: Array, weights: Array) -> Array:
    """See `filter.filter_picture`; returns float64."""
    ycc = np.einsum("cr,rhw->chw", RGB_TO_YCC, np.clip(np.nan_to_num(picture.astype(np.float64), nan=0), 0, 1))
    found = ycc.copy()
    for (dy, dx), weight in zip(OFFSETS, weights.astype(np.float64).T, strict=True):
        found += weight[:, None, None] * (moved(ycc, dy, dx) + moved(ycc, -dy, -dx) - 2 * ycc)
    rgb: Array = np.einsum("cr,chw->rhw", RGB_TO_YCC, found)
    return rgb


def moved(planes: Array, dy: int, dx: int) -> Array:
    """[C, H, W]: at each pixel what lies (dy, dx) from it; outside the picture lies its edge."""
    _, height, width = planes.shape
    rows, columns = np.clip(np.arange(height) + dy, 0, height - 1), np.clip(np.arange(width) + dx, 0, width - 1)
    found: Array = planes[:, rows[:, None], columns]
    return found
