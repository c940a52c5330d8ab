# SPDX-License-Identifier: MIT
"""The filter behind the picture, as `gscodec.kernels.filter_picture` defines it. Imports torch and triton."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.errors import ShapeError
from gscodec.kernels.reference_filter import OFFSETS

from .launch import INTERPRETED, launch, tensor

_BLOCK = 4096 if INTERPRETED else 256
_THIRD = tl.constexpr(3**-0.5)
_HALF = tl.constexpr(2**-0.5)
_SIXTH = tl.constexpr(6**-0.5)


@triton.jit
def _clamped(address):
    value = tl.load(address)
    return tl.minimum(tl.maximum(tl.where(value == value, value, 0.0), 0.0), 1.0)


@triton.jit
def _ycc(picture, y, x, height, width):
    """The three components of a picture at pixels; outside it lies its edge."""
    y = tl.minimum(tl.maximum(y, 0), height - 1).to(tl.int64)
    x = tl.minimum(tl.maximum(x, 0), width - 1)
    at, plane = picture + y * width + x, tl.cast(height, tl.int64) * width
    red, green, blue = _clamped(at), _clamped(at + plane), _clamped(at + 2 * plane)
    return (red + green + blue) * _THIRD, (red - blue) * _HALF, (red - 2 * green + blue) * _SIXTH


@triton.jit
def _filter(pictures, weights, images, height, width, TAPS: tl.constexpr, BLOCK: tl.constexpr):
    plane = tl.cast(height, tl.int64) * width
    first = 3 * tl.program_id(1).to(tl.int64) * plane
    pixel = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    y, x = (pixel // width).to(tl.int32), (pixel % width).to(tl.int32)
    picture = pictures + first
    luma, second, third = _ycc(picture, y, x, height, width)
    added0, added1, added2 = luma * 0, luma * 0, luma * 0
    for k in tl.static_range(len(TAPS)):
        a0, a1, a2 = _ycc(picture, y + TAPS[k][0], x + TAPS[k][1], height, width)
        b0, b1, b2 = _ycc(picture, y - TAPS[k][0], x - TAPS[k][1], height, width)
        added0 += tl.load(weights + k) * (a0 + b0 - 2 * luma)
        added1 += tl.load(weights + len(TAPS) + k) * (a1 + b1 - 2 * second)
        added2 += tl.load(weights + 2 * len(TAPS) + k) * (a2 + b2 - 2 * third)
    luma, second, third = (luma + added0) * _THIRD, (second + added1) * _HALF, (third + added2) * _SIXTH
    image, inside = images + first + pixel, pixel < plane
    tl.store(image, luma + second + third, inside)
    tl.store(image + plane, luma - 2 * third, inside)
    tl.store(image + 2 * plane, luma - second + third, inside)


def filter_picture(
    pictures: Tensor,  # [B, 3, H, W] float32 RGB
    weights: Tensor,  # [3, 12] float32, the same for all pictures
) -> Tensor:
    """The pictures after the filter: [B, 3, H, W] float32. See `gscodec.kernels.filter_picture`.

    Raises ShapeError, BackendError.
    """
    pictures = tensor("pictures", pictures, (None, 3, None, None))
    weights = tensor("weights", weights, (3, len(OFFSETS)))
    frames, _, height, width = pictures.shape
    if not height * width:
        raise ShapeError(f"pictures: found shape {tuple(pictures.shape)}, expected at least one pixel")
    images = torch.empty_like(pictures)
    grid = triton.cdiv(height * width, _BLOCK), frames
    launch(_filter, grid, pictures, weights, images, height, width, TAPS=OFFSETS, BLOCK=_BLOCK)
    return images
