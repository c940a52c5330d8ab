# SPDX-License-Identifier: MIT
"""The hash encoding and its gradient, as `gscodec.kernels.encoding` defines them. Imports torch and triton.

One program per block of points and level. The gradient of the table is summed in 64-bit integers, in units so small
that float32 could not resolve them: integer sums do not depend on the order of the atomics, so results do not change
from run to run, and no sort is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.constants import HASH_PRIMES
from gscodec.kernels.encoding import HashGeometry

from . import tcnn
from .launch import INTERPRETED, launch, tensor

_BLOCK = 1024 if INTERPRETED else 128
_SUM_BITS = 61  # of an integer sum, sign and some room apart


@dataclass(frozen=True)
class Levels:
    """A geometry on the device: per level (resolution, row mask or 0 if dense, first row) and the scale."""

    numbers: Tensor  # [levels, 3] int32
    scales: Tensor  # [levels] float32


@lru_cache(maxsize=64)
def levels_of(geometry: HashGeometry, device: torch.device) -> Levels:
    """A geometry on a device; the last few are kept."""
    masks = [0 if geometry.dense(level) else count - 1 for level, count in enumerate(geometry.entries)]
    rows = list(zip(geometry.resolutions, masks, geometry.offsets, strict=True))
    numbers = torch.tensor(rows, dtype=torch.int32, device=device).reshape(-1, 3)
    return Levels(numbers, torch.tensor(geometry.scales, dtype=torch.float32, device=device))


@triton.jit
def _cell(coords, times, p, here, points, scale, side, D: tl.constexpr, TIMED: tl.constexpr, d: tl.constexpr):
    """Cell, fraction and slope of dimension d: the last dimension is the time of the frame if TIMED."""
    if TIMED:
        if d == D - 1:
            u = tl.load(times + p // points, here, 0.0)
        else:
            u = tl.load(coords + p % points * (D - 1) + d, here, 0.0)
    else:
        u = tl.load(coords + p * D + d, here, 0.0)
    u = tl.where(tl.abs(u) < float("inf"), u, 0.0)  # false for NaN too
    free = scale * u + 0.5
    limit = tl.cast(side, tl.float32)
    position = tl.minimum(tl.maximum(free, 0.0), limit)
    cell = tl.floor(position)
    return cell.to(tl.int32), position - cell, tl.where(free > 0, scale, 0.0)


@triton.jit
def cells_of(coords, times, numbers, scales, level, p, here, points, D: tl.constexpr, TIMED: tl.constexpr):
    """Of a level (vertices a side, row mask, first row), and of the points their cells, fractions and slopes."""
    side, scale = tl.load(numbers + 3 * level), tl.load(scales + level)
    grid = side, tl.load(numbers + 3 * level + 1), tl.load(numbers + 3 * level + 2)
    g0, f0, s0 = _cell(coords, times, p, here, points, scale, side, D, TIMED, 0)
    g1, f1, s1 = _cell(coords, times, p, here, points, scale, side, D, TIMED, 1)
    g2, f2, s2 = g0, f0, s0
    if D == 3:
        g2, f2, s2 = _cell(coords, times, p, here, points, scale, side, D, TIMED, 2)
    return grid, (g0, g1, g2), (f0, f1, f2), (s0, s1, s2)


@triton.jit
def vertex(g0, g1, g2, side, mask, offset, corner: tl.constexpr, D: tl.constexpr, P1: tl.constexpr, P2: tl.constexpr):
    """Row of the table of one corner of the cell; bit d of `corner` says on which side it lies."""
    last = side - 1
    v0, v1 = tl.minimum(g0 + corner % 2, last), tl.minimum(g1 + corner // 2 % 2, last)
    plain = v0 + v1 * side
    hashed = v0.to(tl.uint32) ^ (v1.to(tl.uint32) * P1)
    if D == 3:
        v2 = tl.minimum(g2 + corner // 4, last)
        plain += v2 * side * side
        hashed = hashed ^ (v2.to(tl.uint32) * P2)
    row = tl.where(mask == 0, plain, (hashed & tl.cast(mask, tl.uint32)).to(tl.int32))
    return (row + offset).to(tl.int64)


@triton.jit
def side_of(fraction, slope, corner: tl.constexpr, d: tl.constexpr):
    """Factor of dimension d in a corner's weight, and how it changes with the coordinate."""
    if corner // (1 << d) % 2 == 1:
        return fraction, slope
    else:
        return 1 - fraction, -slope


@triton.jit
def weight_of(fractions, slopes, corner: tl.constexpr, D: tl.constexpr):
    """Weight of a corner of the cell."""
    weight = side_of(fractions[0], slopes[0], corner, 0)[0] * side_of(fractions[1], slopes[1], corner, 1)[0]
    if D == 3:
        weight *= side_of(fractions[2], slopes[2], corner, 2)[0]
    return weight


@triton.jit(do_not_specialize=["count", "points"])
def _encode(
    coords, times, table, numbers, scales, out, count, points, width,
    D: tl.constexpr, F: tl.constexpr, TIMED: tl.constexpr, P1: tl.constexpr, P2: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    level = tl.program_id(1)
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = p < count
    grid, cells, fractions, slopes = cells_of(coords, times, numbers, scales, level, p, here, points, D, TIMED)
    feature = tl.arange(0, F)
    total = tl.zeros([BLOCK, F], tl.float32)
    for corner in tl.static_range(1 << D):
        row = vertex(*cells, *grid, corner, D, P1, P2)
        weight = weight_of(fractions, slopes, corner, D)
        total += weight[:, None] * tl.load(table + row[:, None] * F + feature[None, :], here[:, None], 0.0)
    tl.store(out + p[:, None] * width + level * F + feature[None, :], total, here[:, None])


@triton.jit(do_not_specialize=["count", "points"])
def _encode_backward(
    coords, times, table, numbers, scales, grad, unit, sums, dcoords, count, points, width,
    D: tl.constexpr, F: tl.constexpr, TIMED: tl.constexpr, COORDS: tl.constexpr, P1: tl.constexpr, P2: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    """Adds to `sums` [entries, F] int64 in units of 1 / unit; with COORDS writes dcoords [levels, N, D] as well."""
    level = tl.program_id(1)
    p = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = p < count
    grid, cells, fractions, slopes = cells_of(coords, times, numbers, scales, level, p, here, points, D, TIMED)
    feature = tl.arange(0, F)
    g = tl.load(grad + p[:, None] * width + level * F + feature[None, :], here[:, None], 0.0)
    small = g * tl.load(unit)
    d0, d1, d2 = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for corner in tl.static_range(1 << D):
        row = vertex(*cells, *grid, corner, D, P1, P2)
        w0, c0 = side_of(fractions[0], slopes[0], corner, 0)
        w1, c1 = side_of(fractions[1], slopes[1], corner, 1)
        weight, w2, c2 = w0 * w1, 1.0, 0.0
        if D == 3:
            w2, c2 = side_of(fractions[2], slopes[2], corner, 2)
            weight *= w2
        place = row[:, None] * F + feature[None, :]
        tl.atomic_add(sums + place, (weight[:, None] * small).to(tl.int64), here[:, None], sem="relaxed")
        if COORDS:
            along = tl.sum(g * tl.load(table + place, here[:, None], 0.0), 1)
            d0, d1 = d0 + along * c0 * w1 * w2, d1 + along * w0 * c1 * w2
            if D == 3:
                d2 += along * w0 * w1 * c2
    if COORDS:
        target = dcoords + (level * count + p) * D
        tl.store(target, d0, here)
        tl.store(target + 1, d1, here)
        if D == 3:
            tl.store(target + 2, d2, here)


def _start(
    kernel: object,
    geometry: HashGeometry,
    coords: Tensor,
    table: Tensor,
    times: Tensor | None,
    *more: Tensor,
    **settings: bool,
) -> None:
    """Start a kernel for all points, levels and times."""
    levels, count = levels_of(geometry, coords.device), _count(coords, times)
    arrays = coords, coords if times is None else times, table, levels.numbers, levels.scales, *more
    sizes = count, max(1, len(coords)), geometry.width
    constants = {"D": geometry.dims, "F": geometry.feature_count, "TIMED": times is not None, "BLOCK": _BLOCK}
    constants |= {"P1": HASH_PRIMES[1], "P2": HASH_PRIMES[2], **settings}
    launch(kernel, (triton.cdiv(count, _BLOCK), geometry.level_count), *arrays, *sizes, **constants)


def _count(coords: Tensor, times: Tensor | None) -> int:
    return len(coords) * (1 if times is None else len(times))


def hash_encode(coords: Tensor, table: Tensor, geometry: HashGeometry, times: Tensor | None = None) -> Tensor:
    """Features [N, levels * F] of N points; see `gscodec.kernels.hash_encode`.

    coords [N, D], table [entries, F]: float32. With `times` [B] the last coordinate of all points is the time, coords
    are [N, D - 1], and the result is [B * N, levels * F], frame after frame. Raises ShapeError, BackendError.
    """
    coords, table, times = _checked(coords, table, geometry, times)
    if tcnn.asked_for():
        return tcnn.hash_encode(_with_times(coords, times), table, geometry).detach()
    out = torch.empty(_count(coords, times), geometry.width, device=coords.device)
    _start(_encode, geometry, coords, table, times, out)
    return out


def hash_encode_backward(
    coords: Tensor,
    table: Tensor,
    geometry: HashGeometry,
    grad: Tensor,  # as the result of hash_encode
    times: Tensor | None = None,
    *,
    want_coords: bool = True,
) -> tuple[Tensor, Tensor | None]:
    """(dtable [entries, F], dcoords [N, D] or None with `times` or if not wanted). Raises ShapeError, BackendError."""
    coords, table, times = _checked(coords, table, geometry, times)
    count = _count(coords, times)
    grad = tensor("grad", grad, (count, geometry.width))
    want_coords = want_coords and times is None
    if tcnn.asked_for():
        return tcnn.hash_encode_backward(_with_times(coords, times), table, geometry, grad, want_coords=want_coords)
    # The largest power of two with which no sum overflows, and float32 holds it; it stays on the device.
    largest = grad.abs().amax() if grad.numel() else grad.new_zeros(())
    terms = max(1, count << geometry.dims).bit_length()
    unit = torch.exp2((_SUM_BITS - terms - torch.frexp(largest).exponent).clamp(max=126).float())
    sums = torch.zeros(table.shape, dtype=torch.int64, device=table.device)
    shape = (geometry.level_count, len(coords), geometry.dims) if want_coords else (0,)
    dcoords = torch.zeros(shape, device=coords.device)
    _start(_encode_backward, geometry, coords, table, times, grad, unit, sums, dcoords, COORDS=want_coords)
    # A gradient that is not finite has no place among integers: all of the table's gradient becomes NaN.
    dtable = (sums.double() / unit.double() + 0 * largest.double()).float()
    return dtable, dcoords.sum(0) if want_coords else None


def _with_times(coords: Tensor, times: Tensor | None) -> Tensor:
    """[B * N, D]: every point at every time."""
    if times is None:
        return coords
    return torch.cat([coords.repeat(len(times), 1), times.repeat_interleave(len(coords))[:, None]], 1)


def _checked(
    coords: Tensor, table: Tensor, geometry: HashGeometry, times: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    coords = tensor("coords", coords, (None, geometry.dims - (times is not None)))
    table = tensor("table", table.reshape(-1, geometry.feature_count), (geometry.total_entries, geometry.feature_count))
    return coords, table, None if times is None else tensor("times", times, (None,))
