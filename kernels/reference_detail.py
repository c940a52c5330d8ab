# SPDX-License-Identifier: MIT
"""The definition of detail that moves with the Gaussians, in float64. Imports numpy only."""

from __future__ import annotations

import numpy as np

from .checks import Array
from .reference import normalised


@np.errstate(all="ignore")
def blend_detail(
    drawn: Array,
    moved: Array,
    detail: Array,
    background: Array,
    epsilon: float,
    ratio: tuple[float, float],
    corner: tuple[float, float],
) -> Array:
    """See `detail.blend_detail`; returns float64."""
    drawn, moved = drawn.astype(np.float64), moved.astype(np.float64)
    places = positions(moved / (drawn[3] + epsilon), ratio, corner)
    return normalised(drawn, background, epsilon) + sample(detail.astype(np.float64), *places).transpose(2, 0, 1)


def positions(shift: Array, ratio: tuple[float, float], corner: tuple[float, float]) -> tuple[Array, Array]:
    """(x, y) [H, W] each, in pixels of the detail from the centre of its first one, for displacements [2, H, W]."""
    _, height, width = shift.shape
    x = (np.arange(width) + 0.5 + corner[0] - shift[0]) * ratio[0] - 0.5
    y = (np.arange(height)[:, None] + 0.5 + corner[1] - shift[1]) * ratio[1] - 0.5
    return x, y


def sample(detail: Array, x: Array, y: Array) -> Array:
    """[H, W, 3]: `detail` at positions, linearly."""
    height, width, _ = detail.shape
    x, y = np.clip(np.nan_to_num(x), 0, width - 1), np.clip(np.nan_to_num(y), 0, height - 1)
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    above: Array = detail[y0, x0] * (1 - fx) + detail[y0, x1] * fx
    below: Array = detail[y1, x0] * (1 - fx) + detail[y1, x1] * fx
    found: Array = above * (1 - fy) + below * fy
    return found
