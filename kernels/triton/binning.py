# SPDX-License-Identifier: MIT
"""Which Gaussians touch which tile, found on the device. Imports torch and triton.

Every Gaussian gets the box of tiles around its support (the float64 boxes of `reference`); a (Gaussian, tile) pair
whose tile the ellipse misses is dropped; a stable sort puts the pairs in the order of the tiles. Nothing here depends
on the order in which threads run, so neither does any sum that follows this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.constants import CUTOFF

from .launch import INTERPRETED, launch

TILE = 16  # pixels, both ways
_BLOCK = 1024 if INTERPRETED else 128


@dataclass(frozen=True)
class Bins:
    """Pairs of M Gaussians and the tiles of B frames; P is the room for pairs, as many as there are or more.

    first: [tiles + 1] int64, the pairs of tile k are first[k]..first[k + 1] in the order of the tiles.
    owner: [P] int32, the Gaussian of each pair in that order. origin: [P] int64, its place in the order of the
    Gaussians, where those of Gaussian i end before end[i]. count: [M] int32, pairs of each Gaussian.
    pixels: [M] int64, area of its box. total: number of pairs, on the device; above P pairs are missing.
    """

    size: tuple[int, int]
    frames: int
    first: Tensor
    owner: Tensor
    origin: Tensor
    end: Tensor
    count: Tensor
    pixels: Tensor
    total: Tensor

    @property
    def columns(self) -> int:
        """Tiles side by side."""
        return triton.cdiv(self.size[1], TILE)

    @property
    def tiles(self) -> int:
        """Tiles of a frame."""
        return self.columns * triton.cdiv(self.size[0], TILE)


@dataclass(frozen=True)
class Boxes:
    """Result of the first half of binning, from which the work can be read before it is done.

    box: [M, 4] int32, first tile column and row, columns, pairs. reach: [M, 2] float32, see `_boxes`.
    """

    box: Tensor
    reach: Tensor
    pixels: Tensor
    end: Tensor


@triton.jit(do_not_specialize=["count"])
def _boxes(
    mean, conic, feature, box, reach, pixels, count, height, width, CHANNELS: tl.constexpr, TILE: tl.constexpr,
    CUTOFF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Tiles around each support. reach = (half width, det), NaN where float32 could not judge a tile by them."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    x, y = tl.load(mean + 2 * i, here, 0.0).to(tl.float64), tl.load(mean + 2 * i + 1, here, 0.0).to(tl.float64)
    a = tl.load(conic + 3 * i, here, 0.0).to(tl.float64)
    b = tl.load(conic + 3 * i + 1, here, 0.0).to(tl.float64)
    c = tl.load(conic + 3 * i + 2, here, 0.0).to(tl.float64)
    det = a * c - b * b
    # |v| < inf is false for NaN as well
    largest = float("inf")
    good = here & (tl.abs(x) < largest) & (tl.abs(y) < largest) & (a > 0) & (det > 0)
    good = good & (tl.abs(a) < largest) & (tl.abs(b) < largest) & (tl.abs(c) < largest)
    for channel in tl.static_range(CHANNELS):
        good = good & (tl.abs(tl.load(feature + CHANNELS * i + channel, here, 0.0)) < largest)
    x, y = tl.where(good, x, 0.0), tl.where(good, y, 0.0)
    scale = 2 * CUTOFF / tl.where(good, det, 1.0)
    half_x, half_y = tl.sqrt(tl.where(good, scale * c, 0.0)), tl.sqrt(tl.where(good, scale * a, 0.0))
    x0, x1 = _span(x, half_x, width)
    y0, y1 = _span(y, half_y, height)
    good = good & (x1 > x0) & (y1 > y0)
    column, row = x0 // TILE, y0 // TILE
    columns = tl.where(good, (x1 + TILE - 1) // TILE - column, 0)
    rows = tl.where(good, (y1 + TILE - 1) // TILE - row, 0)
    tl.store(box + 4 * i, column, here)
    tl.store(box + 4 * i + 1, row, here)
    tl.store(box + 4 * i + 2, columns, here)
    tl.store(box + 4 * i + 3, columns * rows, here)
    tl.store(pixels + i, tl.where(good, (x1 - x0).to(tl.int64) * (y1 - y0), 0), here)
    plain = (a > 1e-10) & (a < 1e10) & (c > 1e-10) & (c < 1e10) & (det > 1e-20) & (det < 1e20)
    tl.store(reach + 2 * i, tl.where(plain, half_x, float("nan")).to(tl.float32), here)
    tl.store(reach + 2 * i + 1, det.to(tl.float32), here)


@triton.jit
def _span(centre, half, limit):
    """First and one past the last pixel whose centre lies within `half` of `centre`, inside 0..limit."""
    low = tl.ceil(tl.minimum(tl.maximum(centre - half - 0.5, -1.0), 1e6)).to(tl.int32)
    high = tl.floor(tl.minimum(tl.maximum(centre + half + 0.5, -1.0), 1e6)).to(tl.int32)
    return tl.minimum(tl.maximum(low, 0), limit), tl.minimum(tl.maximum(high, 0), limit)


@triton.jit(do_not_specialize=["count", "room", "nowhere", "steps", "per_frame"])
def _pairs(
    found, end, box, reach, mean, conic, frame, key, count, room, columns, tiles, nowhere, steps, per_frame,
    EQUAL: tl.constexpr, TILE: tl.constexpr, CUTOFF: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Gaussian and tile number of each pair in the order of the Gaussians; tile `nowhere` where there is no overlap.

    steps: halvings until one of `count` is left. EQUAL: every frame has `per_frame` Gaussians, `frame` is not read.
    """
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = p < room
    low, high = tl.zeros([BLOCK], tl.int32), tl.zeros([BLOCK], tl.int32) + count
    for _ in range(steps):
        middle = (low + high) // 2
        past = (low < high) & (tl.load(end + middle, low < high, 0) <= p)
        low, high = tl.where(past, middle + 1, low), tl.where(past, high, middle)
    tl.store(found + p, low, inside)
    here = inside & (low < count)
    i = tl.where(here, low, 0).to(tl.int64)
    wide = tl.maximum(tl.load(box + 4 * i + 2, here, 1), 1)
    k = (p - tl.load(end + i, here, 0)).to(tl.int32) + tl.load(box + 4 * i + 3, here, 0)
    column, row = tl.load(box + 4 * i, here, 0) + k % wide, tl.load(box + 4 * i + 1, here, 0) + k // wide
    # The ellipse's extent in x within the rows of the tile, in pixels from its mean: at the height of its outermost
    # points, or at the end of the rows that is closer to them.
    a, b = tl.load(conic + 3 * i, here, 1.0), tl.load(conic + 3 * i + 1, here, 0.0)
    c, half = tl.load(conic + 3 * i + 2, here, 1.0), tl.load(reach + 2 * i, here, 0.0)
    det = tl.load(reach + 2 * i + 1, here, 0.0)
    top = row * TILE + 0.5 - tl.load(mean + 2 * i + 1, here, 0.0)
    left = column * TILE + 0.5 - tl.load(mean + 2 * i, here, 0.0)
    tip = -b / c * half
    at_right = tl.minimum(tl.maximum(tip, top), top + (TILE - 1))
    at_left = tl.minimum(tl.maximum(-tip, top), top + (TILE - 1))
    right = (-b * at_right + tl.sqrt(tl.maximum(2 * CUTOFF * a - det * at_right * at_right, 0.0))) / a
    leftmost = (-b * at_left - tl.sqrt(tl.maximum(2 * CUTOFF * a - det * at_left * at_left, 0.0))) / a
    slack = 0.02 + 2e-3 * half  # more than the rounding of the roots
    missed = (right + slack < left) | (leftmost - slack > left + (TILE - 1))
    number = (i // per_frame).to(tl.int32) if EQUAL else tl.load(frame + i, here, 0)
    number = number * tiles + row * columns + column
    tl.store(key + p, tl.where(here & (missed == 0), number, nowhere), inside)


def boxes_of(mean: Tensor, conic: Tensor, feature: Tensor, size: tuple[int, int]) -> Boxes:
    """Boxes of M Gaussians in a frame of `size` (height, width); starts no more than two kernels."""
    count, device = len(mean), mean.device
    box = torch.empty(count, 4, dtype=torch.int32, device=device)
    reach = torch.empty(count, 2, device=device)
    pixels = torch.empty(count, dtype=torch.int64, device=device)
    settings = {"CHANNELS": feature.shape[1], "TILE": TILE, "CUTOFF": CUTOFF, "BLOCK": _BLOCK}
    grid = (triton.cdiv(count, _BLOCK),)
    launch(_boxes, grid, mean, conic, feature, box, reach, pixels, count, *size, **settings)
    return Boxes(box, reach, pixels, torch.cumsum(box[:, 3], 0, dtype=torch.int64))


def bin_pairs(
    boxes: Boxes, mean: Tensor, conic: Tensor, counts: Sequence[int], size: tuple[int, int], capacity: int | None = None
) -> Bins:
    """Sort the pairs of `boxes` by tile.

    capacity: room for pairs. None reads their number from the device, which waits for it; with a number nothing waits,
    and pairs beyond it are lost: compare `Bins.total` later, and draw again with more room.
    """
    count, device = len(mean), mean.device
    total = boxes.end[-1] if count else torch.zeros((), dtype=torch.int64, device=device)
    room = max(1, int(total) if capacity is None else capacity)
    columns, tiles = triton.cdiv(size[1], TILE), triton.cdiv(size[0], TILE) * triton.cdiv(size[1], TILE)
    found, key = (torch.empty(room, dtype=torch.int32, device=device) for _ in range(2))
    nowhere, equal, frame = tiles * len(counts), len(set(counts)) < 2, boxes.box
    if not equal:
        numbers = torch.arange(len(counts), dtype=torch.int32, device=device)
        frame = numbers.repeat_interleave(torch.tensor(counts, device=device), output_size=count)
    arrays = found, boxes.end, boxes.box, boxes.reach, mean, conic, frame, key
    sizes = count, room, columns, tiles, nowhere, count.bit_length(), max((1, *counts))
    settings = {"EQUAL": equal, "TILE": TILE, "CUTOFF": CUTOFF, "BLOCK": _BLOCK}
    launch(_pairs, (triton.cdiv(room, _BLOCK),), *arrays, *sizes, **settings)
    key, origin = torch.sort(key, stable=True)
    first = torch.searchsorted(key, torch.arange(nowhere + 1, dtype=torch.int32, device=device))
    owner = found[origin]
    return Bins(size, len(counts), first, owner, origin, boxes.end, boxes.box[:, 3], boxes.pixels, total)
