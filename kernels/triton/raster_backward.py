# SPDX-License-Identifier: MIT
"""Gradient of drawing. Imports torch and triton.

One program per tile: Gaussians lie across the threads and pixels come a part of a row at a time, so that nothing is
summed between threads. Each pair of Gaussian and tile leaves its part in memory of its own, and a second kernel adds
the parts of each Gaussian in a fixed order. No atomics: results do not change from run to run.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.constants import CUTOFF, FLOOR

from .binning import TILE, Bins
from .launch import INTERPRETED, launch, tensor
from .splats import Splats

_PAIRS = 32  # Gaussians across the threads of the one warp
_SPAN = 16 if INTERPRETED else 8  # pixels of a row at a time: eight leave registers for more warps
_GROUP = 16  # Gaussians whose parts a program adds up, as many at a time


@triton.jit
def _backward(
    first, owner, origin, mean, conic, feature, grad, part, height, width, columns, tiles,
    CHANNELS: tl.constexpr, CUTOFF: tl.constexpr, FLOOR: tl.constexpr, TILE: tl.constexpr, SPAN: tl.constexpr,
    PAIRS: tl.constexpr, STRIDE: tl.constexpr,
):  # fmt: skip
    """Parts of dmean, dconic and dfeature of every pair, in that order, to row `origin` of `part`."""
    number = tl.program_id(0)
    frame, within = (number // tiles).to(tl.int64), number % tiles
    left, top = within % columns * TILE, within // columns * TILE
    plane = tl.cast(height, tl.int64) * width
    end, lines = tl.load(first + number + 1), tl.minimum(height - top, TILE)
    for start in range(tl.load(first + number), end, PAIRS):
        pair = start + tl.arange(0, PAIRS)
        here = pair < end
        i = tl.load(owner + pair, here, 0).to(tl.int64)
        mx, my = tl.load(mean + 2 * i, here, 0.0)[None, :], tl.load(mean + 2 * i + 1, here, 0.0)
        a, b = tl.load(conic + 3 * i, here, 1.0)[None, :], tl.load(conic + 3 * i + 1, here, 0.0)[None, :]
        c, red = tl.load(conic + 3 * i + 2, here, 1.0)[None, :], tl.load(feature + CHANNELS * i, here, 0.0)
        green, blue = tl.load(feature + CHANNELS * i + 1, here, 0.0), tl.load(feature + CHANNELS * i + 2, here, 0.0)
        dmx, dmy = tl.zeros([PAIRS], tl.float32), tl.zeros([PAIRS], tl.float32)
        da, db, dc = tl.zeros([PAIRS], tl.float32), tl.zeros([PAIRS], tl.float32), tl.zeros([PAIRS], tl.float32)
        dr, dg, dblue = tl.zeros([PAIRS], tl.float32), tl.zeros([PAIRS], tl.float32), tl.zeros([PAIRS], tl.float32)
        dw = tl.zeros([PAIRS], tl.float32)
        for step in range(lines * (TILE // SPAN)):
            line = top + step // (TILE // SPAN)
            px = left + step % (TILE // SPAN) * SPAN + tl.arange(0, SPAN)
            at = frame * CHANNELS * plane + line.to(tl.int64) * width + px
            g0 = tl.load(grad + at, px < width, 0.0)[:, None]
            g1 = tl.load(grad + at + plane, px < width, 0.0)[:, None]
            g2 = tl.load(grad + at + 2 * plane, px < width, 0.0)[:, None]
            dx, dy = px.to(tl.float32)[:, None] + 0.5 - mx, (line.to(tl.float32) + 0.5 - my)[None, :]
            sigma = 0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy)
            hit = (sigma < CUTOFF) & here[None, :]
            e = tl.where(hit, tl.exp(-sigma), 0.0)
            weight = tl.where(hit, e - FLOOR, 0.0)
            q = g0 * red[None, :] + g1 * green[None, :] + g2 * blue[None, :]
            if CHANNELS == 4:
                g3 = tl.load(grad + at + 3 * plane, px < width, 0.0)[:, None]
                q += g3 * tl.load(feature + CHANNELS * i + 3, here, 0.0)[None, :]
                dw += tl.sum(weight * g3, 0)
            q = e * q
            dr, dg, dblue = dr + tl.sum(weight * g0, 0), dg + tl.sum(weight * g1, 0), dblue + tl.sum(weight * g2, 0)
            # outside the support these may overflow; q is 0 there
            dmx += tl.sum(q * tl.where(hit, a * dx + b * dy, 0.0), 0)
            dmy += tl.sum(q * tl.where(hit, b * dx + c * dy, 0.0), 0)
            da -= 0.5 * tl.sum(q * dx * dx, 0)
            db -= tl.sum(q * dx * dy, 0)
            dc -= 0.5 * tl.sum(q * dy * dy, 0)
        target = part + tl.load(origin + pair, here, 0) * STRIDE
        tl.store(target, dmx, here)
        tl.store(target + 1, dmy, here)
        tl.store(target + 2, da, here)
        tl.store(target + 3, db, here)
        tl.store(target + 4, dc, here)
        tl.store(target + 5, dr, here)
        tl.store(target + 6, dg, here)
        tl.store(target + 7, dblue, here)
        if CHANNELS == 4:
            tl.store(target + 8, dw, here)


@triton.jit(do_not_specialize=["total", "room"])
def _add_parts(
    part, end, count, dmean, dconic, dfeature, total, room,
    CHANNELS: tl.constexpr, STRIDE: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """Sum of the parts of each Gaussian, which lie one after the other; there are no more than `room`."""
    i = tl.program_id(0).to(tl.int64) * GROUP + tl.arange(0, GROUP)
    here = i < total
    pairs = tl.load(count + 4 * i, here, 0)
    base = tl.load(end + i, here, 0) - pairs
    most = tl.max(pairs, 0)
    for k in tl.static_range(5 + CHANNELS):
        value = tl.zeros([GROUP], tl.float32)
        for start in range(0, most, GROUP):
            step = start + tl.arange(0, GROUP)
            place = base[:, None] + step[None, :]
            valid = (step[None, :] < pairs[:, None]) & (place < room)
            value += tl.sum(tl.load(part + place * STRIDE + k, valid, 0.0), 1)
        if k < 2:
            tl.store(dmean + 2 * i + k, value, here)
        elif k < 5:
            tl.store(dconic + 3 * i + k - 2, value, here)
        else:
            tl.store(dfeature + CHANNELS * i + k - 5, value, here)


def rasterize_backward(splats: Splats, bins: Bins, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradient of `rasterize` from that of its image, [B, C, height, width] float32.

    Returns (dmean [M, 2], dconic [M, 3], dfeature [M, C]). Raises ShapeError.
    """
    channels, total = splats.feature.shape[1], len(splats.mean)
    grad = tensor("grad", grad, (bins.frames, channels, *bins.size))
    stride = 8 if channels == 3 else 12  # multiples of 16 bytes
    part = torch.zeros(len(bins.owner), stride, device=grad.device)  # pairs that were dropped leave nothing
    arrays = bins.first, bins.owner, bins.origin, splats.mean, splats.conic, splats.feature, grad, part
    settings = {"CHANNELS": channels, "CUTOFF": CUTOFF, "FLOOR": FLOOR, "TILE": TILE, "PAIRS": _PAIRS, "SPAN": _SPAN}
    grid = (bins.tiles * bins.frames,)
    launch(_backward, grid, *arrays, *bins.size, bins.columns, bins.tiles, **settings, STRIDE=stride, num_warps=1)
    out = torch.empty_like(splats.mean), torch.empty_like(splats.conic), torch.empty_like(splats.feature)
    grid = (triton.cdiv(total, _GROUP),)
    sizes = total, len(part)
    launch(_add_parts, grid, part, bins.end, bins.count, *out, *sizes, CHANNELS=channels, STRIDE=stride, GROUP=_GROUP)
    return out
