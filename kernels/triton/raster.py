# SPDX-License-Identifier: MIT
"""Drawing batches of frames, as `gscodec.kernels.raster` and `.loss` define it. Imports torch and triton.

One program per tile: its pixels lie across the threads, Gaussians come sixteen at a time and are summed inside a
thread, in a fixed order. What becomes of the sums (a picture, 8-bit RGB, the squared error and its gradient) is decided
before they leave the registers.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.constants import CUTOFF, FLOOR
from gscodec.kernels.errors import ShapeError

from .binning import TILE, Bins
from .launch import launch, tensor
from .raster_backward import rasterize_backward
from .splats import Splats

_CHUNK = 16  # Gaussians at a time


@triton.jit
def _forward(
    first, owner, mean, conic, feature, image, background, target, errors, epsilon, height, width, columns, tiles,
    CHANNELS: tl.constexpr, MODE: tl.constexpr, FULL: tl.constexpr, CUTOFF: tl.constexpr, FLOOR: tl.constexpr,
    TILE: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    number = tl.program_id(0)
    frame, within = (number // tiles).to(tl.int64), number % tiles
    pixel = tl.arange(0, TILE * TILE)
    px, py = within % columns * TILE + pixel % TILE, within // columns * TILE + pixel // TILE
    x, y = px.to(tl.float32) + 0.5, py.to(tl.float32) + 0.5
    red, green = tl.zeros([TILE * TILE], tl.float32), tl.zeros([TILE * TILE], tl.float32)
    blue, total = tl.zeros([TILE * TILE], tl.float32), tl.zeros([TILE * TILE], tl.float32)
    end = tl.load(first + number + 1)
    for start in range(tl.load(first + number), end, CHUNK):
        pair = start + tl.arange(0, CHUNK)
        here = pair < end
        i = tl.load(owner + pair, here, 0).to(tl.int64)
        dx = x[None, :] - tl.load(mean + 2 * i, here, 0.0)[:, None]
        dy = y[None, :] - tl.load(mean + 2 * i + 1, here, 0.0)[:, None]
        a = tl.load(conic + 3 * i, here, 1.0)[:, None]
        b = tl.load(conic + 3 * i + 1, here, 0.0)[:, None]
        c = tl.load(conic + 3 * i + 2, here, 1.0)[:, None]
        sigma = 0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy)
        weight = tl.where((sigma < CUTOFF) & here[:, None], tl.exp(-sigma) - FLOOR, 0.0)
        red += tl.sum(weight * tl.load(feature + CHANNELS * i, here, 0.0)[:, None], 0)
        green += tl.sum(weight * tl.load(feature + CHANNELS * i + 1, here, 0.0)[:, None], 0)
        blue += tl.sum(weight * tl.load(feature + CHANNELS * i + 2, here, 0.0)[:, None], 0)
        if CHANNELS == 4:
            total += tl.sum(weight * tl.load(feature + CHANNELS * i + 3, here, 0.0)[:, None], 0)
    inside = (px < width) & (py < height)
    at = py.to(tl.int64) * width + px
    plane = tl.cast(height, tl.int64) * width
    if MODE == "rgb8":
        place = image + 3 * (frame * plane + at)
        tl.store(place, _byte(_blend(red, total, background, epsilon, CHANNELS)), inside)
        tl.store(place + 1, _byte(_blend(green, total, background + 1, epsilon, CHANNELS)), inside)
        tl.store(place + 2, _byte(_blend(blue, total, background + 2, epsilon, CHANNELS)), inside)
    else:
        if MODE == "loss":
            wanted, sums = target + 3 * frame * plane + at, errors + 4 * tl.cast(number, tl.int64)
            red, error, weighed = _slope(red, total, wanted, inside, background, epsilon, CHANNELS, FULL)
            tl.store(sums + 1, tl.sum(red, 0))
            green, more, also = _slope(green, total, wanted + plane, inside, background + 1, epsilon, CHANNELS, FULL)
            tl.store(sums + 2, tl.sum(green, 0))
            error, weighed = error + more, weighed + also
            blue, more, also = _slope(blue, total, wanted + 2 * plane, inside, background + 2, epsilon, CHANNELS, FULL)
            tl.store(sums + 3, tl.sum(blue, 0))
            tl.store(sums, tl.sum(error + more, 0))
            total = -(weighed + also)
        place = image + frame * CHANNELS * plane + at
        tl.store(place, red, inside)
        tl.store(place + plane, green, inside)
        tl.store(place + 2 * plane, blue, inside)
        if CHANNELS == 4:
            tl.store(place + 3 * plane, total, inside)


@triton.jit
def _blend(value, total, background, epsilon, CHANNELS: tl.constexpr):
    if CHANNELS == 4:
        value = (value + epsilon * tl.load(background)) / (total + epsilon)
    return value


@triton.jit
def _byte(value):
    """A component as `raster.render_rgb8` rounds it; NaN becomes 0."""
    value = tl.where(value == value, tl.minimum(tl.maximum(value, 0.0), 1.0), 0.0)
    return tl.floor(value * 255 + 0.5).to(tl.uint8)


@triton.jit
def _slope(value, total, target, inside, background, epsilon, CHANNELS: tl.constexpr, FULL: tl.constexpr):
    """Of half the squared error of a component: gradient by its sum, the square, and what the weight's is made of."""
    blended = _blend(value, total, background, epsilon, CHANNELS)
    difference = tl.where(inside, blended - tl.load(target, inside, 0).to(tl.float32) / FULL, 0.0)
    square = difference * difference
    if CHANNELS == 4:
        difference = tl.where(inside, difference / (total + epsilon), 0.0)
    return difference, square, difference * blended


def rasterize(splats: Splats, bins: Bins) -> Tensor:
    """Sum of weight times feature: [B, C, height, width] float32, not clamped. See `gscodec.kernels.rasterize`."""
    channels = splats.feature.shape[1]
    image = torch.empty(bins.frames, channels, *bins.size, device=splats.mean.device)
    _draw(splats, bins, image, "sum")
    return image


def render_rgb8(
    splats: Splats,
    bins: Bins,
    background: Tensor | None = None,  # [3] float32, RGB; black if None; used with four channels only
    epsilon: float = 0.0,
    out: Tensor | None = None,  # [B, height, width, 3] uint8, contiguous
) -> Tensor:
    """Frames as 8-bit RGB: [B, height, width, 3] uint8. See `gscodec.kernels.render_rgb8`. Raises ShapeError."""
    shape = (bins.frames, *bins.size, 3)
    if background is None:
        background = torch.zeros(3, device=splats.mean.device)
    image = torch.empty(shape, dtype=torch.uint8, device=splats.mean.device) if out is None else out
    if image.shape != shape or image.dtype != torch.uint8 or not image.is_contiguous():
        raise ShapeError(f"out: found {tuple(image.shape)} {image.dtype}, expected contiguous {shape} torch.uint8")
    _draw(splats, bins, image, "rgb8", tensor("background", background, (3,)), float(epsilon))
    return image


def splat_loss(
    splats: Splats,
    bins: Bins,
    background: Tensor,  # [3] float32, RGB; used with four channels only
    target: Tensor,  # [B, 3, H, W] uint8 or uint16, full scale 255 or 65535
    epsilon: float = 0.0,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Squared errors [B] float64 of the drawn frames, and the gradients of half their sum.

    By mean [M, 2], conic [M, 3], feature [M, C], background [3]. See `gscodec.kernels.splat_loss`. Raises ShapeError.
    """
    if target.dtype not in (torch.uint8, torch.uint16):
        raise ShapeError(f"target: found {target.dtype}, expected torch.uint8 or torch.uint16")
    target = tensor("target", target, (bins.frames, 3, *bins.size), target.dtype)
    background = tensor("background", background, (3,))
    grad = torch.empty(bins.frames, splats.feature.shape[1], *bins.size, device=target.device)
    errors = torch.empty(bins.frames, bins.tiles, 4, device=target.device)
    _draw(splats, bins, grad, "loss", background, float(epsilon), target, errors)
    sums = errors.sum(1, dtype=torch.float64)
    dbackground = epsilon * sums[:, 1:].sum(0) if splats.feature.shape[1] == 4 else sums.new_zeros(3)
    return sums[:, 0], *rasterize_backward(splats, bins, grad), dbackground.float()


def _draw(
    splats: Splats,
    bins: Bins,
    image: Tensor,
    mode: str,
    background: Tensor | None = None,
    epsilon: float = 0.0,
    target: Tensor | None = None,
    errors: Tensor | None = None,
) -> None:
    optional = [splats.mean if part is None else part for part in (background, target, errors)]
    arrays = bins.first, bins.owner, splats.mean, splats.conic, splats.feature, image, *optional
    full = 65535.0 if target is not None and target.dtype == torch.uint16 else 255.0
    settings = {"CHANNELS": splats.feature.shape[1], "MODE": mode, "FULL": full, "CUTOFF": CUTOFF, "FLOOR": FLOOR}
    grid = (bins.tiles * bins.frames,)
    launch(_forward, grid, *arrays, epsilon, *bins.size, bins.columns, bins.tiles, **settings, TILE=TILE, CHUNK=_CHUNK)
