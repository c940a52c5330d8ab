# SPDX-License-Identifier: MIT
"""Detail that moves with the Gaussians, as `gscodec.kernels.blend_detail` defines it. Imports torch and triton.

`raster.rasterize` draws what it takes: colours in four planes, displacements in three, the third of which is not read.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.errors import ShapeError

from .launch import INTERPRETED, launch, tensor

_BLOCK = 4096 if INTERPRETED else 256


@triton.jit
def _around(start, moved, weight, ratio, count):
    """Pixels of the detail before and behind a position along one axis, and how far it lies behind the first."""
    at = (start - moved / weight) * ratio - 0.5
    at = tl.where(at == at, at, 0.0)
    last = tl.cast(count, tl.int32) - 1
    at = tl.minimum(tl.maximum(at, 0.0), last.to(tl.float32))
    first = at.to(tl.int32)
    return first, tl.minimum(first + 1, last), at - first.to(tl.float32)


@triton.jit
def _sample(detail, above, below, left, right, x, y):
    """A component of the detail between four pixels, which are numbers from the first of the picture."""
    upper = tl.load(detail + (above + left) * 3) * (1 - x) + tl.load(detail + (above + right) * 3) * x
    lower = tl.load(detail + (below + left) * 3) * (1 - x) + tl.load(detail + (below + right) * 3) * x
    return upper * (1 - y) + lower * y


@triton.jit
def _detail(
    drawn, moved, detail, background, image, epsilon, ratio_x, ratio_y, corner_x, corner_y,
    height, width, rows, columns, moved_planes, BLOCK: tl.constexpr,
):  # fmt: skip
    frame = tl.program_id(1).to(tl.int64)
    plane = tl.cast(height, tl.int64) * width
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < plane
    x = (pixel % width).to(tl.float32) + 0.5 + corner_x
    y = (pixel // width).to(tl.float32) + 0.5 + corner_y
    colours, shift = drawn + 4 * frame * plane + pixel, moved + moved_planes * frame * plane + pixel
    weight = tl.load(colours + 3 * plane, inside, 1.0) + epsilon
    left, right, behind = _around(x, tl.load(shift, inside, 0.0), weight, ratio_x, columns)
    above, below, under = _around(y, tl.load(shift + plane, inside, 0.0), weight, ratio_y, rows)
    above, below = above.to(tl.int64) * columns, below.to(tl.int64) * columns
    for c in tl.static_range(3):
        blended = (tl.load(colours + c * plane, inside, 0.0) + epsilon * tl.load(background + c)) / weight
        found = _sample(detail + c, above, below, left, right, behind, under)
        tl.store(image + (3 * frame + c) * plane + pixel, blended + found, inside)


def blend_detail(
    drawn: Tensor,  # [B, 4, H, W] float32
    moved: Tensor,  # [B, 2, H, W] float32, or [B, 3, H, W]
    detail: Tensor,  # [h, w, 3] float32 RGB, the same for all frames
    background: Tensor,  # [3] float32 RGB
    epsilon: float,
    ratio: tuple[float, float],
    corner: tuple[float, float],
) -> Tensor:
    """Colours plus the detail that moves with them: [B, 3, H, W] float32. See `gscodec.kernels.blend_detail`.

    Raises ShapeError, BackendError.
    """
    drawn = tensor("drawn", drawn, (None, 4, None, None))
    frames, _, height, width = drawn.shape
    moved = tensor("moved", moved, (frames, None, height, width))
    if moved.shape[1] not in (2, 3):
        raise ShapeError(f"moved: found {moved.shape[1]} planes, expected 2 or 3")
    detail = tensor("detail", detail, (None, None, 3))
    rows, columns, _ = detail.shape
    if not rows * columns:
        raise ShapeError(f"detail: found shape {tuple(detail.shape)}, expected at least one pixel")
    background = tensor("background", background, (3,))
    image = torch.empty(frames, 3, height, width, device=drawn.device)
    arrays = drawn, moved, detail, background, image
    numbers = [float(number) for number in (epsilon, *ratio, *corner)]
    grid = triton.cdiv(height * width, _BLOCK), frames
    launch(_detail, grid, *arrays, *numbers, height, width, rows, columns, moved.shape[1], BLOCK=_BLOCK)
    return image
