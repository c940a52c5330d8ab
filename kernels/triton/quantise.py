# SPDX-License-Identifier: MIT
"""Rounding to steps, and noise in its place, as `gscodec.kernels.quantise` defines them. Imports torch and triton."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.quantise import LEAST_RANGE

from .launch import INTERPRETED, launch

_BLOCK = 1024 if INTERPRETED else 256
_WHOLE = 1.5 * 2**52


@triton.jit
def _uniform(i, seed, number):
    """Numbers in -0.5..0.5: the counter hash of `quantise`, so that a seed means the same everywhere.

    The seed lies on the device, so that a step may draw it there. number: the array's place in the call.
    """
    words = tl.load(seed)
    second = (words >> 32).to(tl.uint32) + tl.cast(number, tl.uint32) * 0x9E3779B9
    h = i.to(tl.uint32) + words.to(tl.uint32)
    h = (h ^ (h >> 16)) * 0x7FEB352D + second
    h = (h ^ (h >> 15)) * 0x846CA68B
    h = (h ^ (h >> 16)) * 0x7FEB352D
    return ((h ^ (h >> 15)) >> 8).to(tl.float32) / 16777216 - 0.5


@triton.jit(do_not_specialize=["count", "number"])
def _noise(x, step, seed, out, count, columns, number, PER: tl.constexpr, BLOCK: tl.constexpr):
    """x plus uniform noise of one step."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    place = i
    if PER == "column":
        place = i % columns
    unit = _uniform(i, seed, number)
    tl.store(out + i, tl.load(x + i, here, 0.0) + unit * tl.load(step + place, here, 0.0), here)


@triton.jit
def _largest(x, blocks, bits, BLOCK: tl.constexpr):
    """Largest magnitude of each array, as the integer of the same bits: those have the same order, NaN comes last."""
    row = blocks + 6 * tl.program_id(0)
    i = tl.load(row + 1) + tl.arange(0, BLOCK)
    magnitude = tl.abs(tl.load(x + i, i < tl.load(row + 2), 0.0))
    tl.atomic_max(bits + tl.load(row), tl.max(magnitude.to(tl.int32, bitcast=True), 0), sem="relaxed")


@triton.jit
def _by_largest(
    x, blocks, bits, seed, out, NOISE: tl.constexpr, LEAST: tl.constexpr, WHOLE: tl.constexpr, BLOCK: tl.constexpr
):
    """x rounded, or with noise, in steps of the largest magnitude over the limit; divisions as the host has them."""
    row = blocks + 6 * tl.program_id(0)
    begin, within = tl.load(row + 1), tl.load(row + 3) + tl.arange(0, BLOCK)
    i = begin + tl.arange(0, BLOCK)
    here = i < tl.load(row + 2)
    largest = tl.load(bits + tl.load(row)).to(tl.float32, bitcast=True).to(tl.float64)
    least = tl.full([], LEAST, tl.float64)
    step = (tl.where(largest < least, least, largest) / tl.load(row + 4).to(tl.float64)).to(tl.float32)
    value = tl.load(x + i, here, 0.0)
    if NOISE:
        value += _uniform(within, seed, tl.load(row + 5)) * step
    else:
        # In float64 a sum with WHOLE keeps no fraction, and rounds ties to even.
        whole = tl.full([], WHOLE, tl.float64)
        value = (tl.div_rn(value, step + tl.zeros_like(value)).to(tl.float64) + whole - whole).to(tl.float32) * step
    tl.store(out + i, value, here)


def quantise(values: Sequence[Tensor], steps: Sequence[Tensor | int], seed: int | Tensor | None = None) -> list[Tensor]:
    """See `gscodec.kernels.quantise`; nothing waits for the device. Arrays with limits take two launches together.

    A seed may lie on the device, a tensor of one int64. Raises ShapeError.
    """
    limited = tuple(
        (i, x.numel(), step) for i, (x, step) in enumerate(zip(values, steps, strict=True)) if isinstance(step, int)
    )
    if not values:
        return []
    device = values[0].device
    # A number above 2^63 - 1 becomes the int64 of the same bits.
    drawn = torch.full((1,), (seed + 2**63) % 2**64 - 2**63, device=device) if isinstance(seed, int) else seed
    found = _limited([values[i].detach() for i, _, _ in limited], limited, drawn) if limited else []
    rounded = {i: value for (i, _, _), value in zip(limited, found, strict=True)}
    return [
        rounded[i] if isinstance(step, int) else _stepped(values[i].detach(), step, drawn, i)
        for i, step in enumerate(steps)
    ]


def _stepped(x: Tensor, step: Tensor, seed: Tensor | None, number: int) -> Tensor:
    """One array in given steps; `number` is its place in the call."""
    if seed is None:
        return torch.round(x / step) * step
    x, step = x.contiguous(), step.detach().contiguous()
    out, count = torch.empty_like(x), x.numel()
    columns, per = (x.shape[-1], "column") if step.ndim == 1 and x.ndim > 1 else (1, "value")
    launch(_noise, (triton.cdiv(count, _BLOCK),), x, step, seed, out, count, columns, number, PER=per, BLOCK=_BLOCK)
    return out


def _limited(values: Sequence[Tensor], limited: tuple[tuple[int, int, int], ...], seed: Tensor | None) -> list[Tensor]:
    """Arrays in steps of their own: for each its place in the call, its length and its limit."""
    flat = torch.cat([x.reshape(-1) for x in values])
    blocks, out = _blocks(limited, flat.device), torch.empty_like(flat)
    bits = torch.zeros(len(values), dtype=torch.int32, device=flat.device)
    settings = {"NOISE": seed is not None, "LEAST": LEAST_RANGE, "WHOLE": _WHOLE, "BLOCK": _BLOCK}
    launch(_largest, (len(blocks),), flat, blocks, bits, BLOCK=_BLOCK)
    launch(_by_largest, (len(blocks),), flat, blocks, bits, bits if seed is None else seed, out, **settings)
    return [part.view(x.shape) for part, x in zip(out.split([x.numel() for x in values]), values, strict=True)]


@lru_cache(maxsize=64)
def _blocks(limited: tuple[tuple[int, int, int], ...], device: torch.device) -> Tensor:
    """[blocks, 6] int32, sent once: array, first value, end of the array, values before it there, limit, number."""
    rows, begin = [], 0
    for k, (number, length, limit) in enumerate(limited):
        rows += [(k, begin + at, begin + length, at, limit, number) for at in range(0, length, _BLOCK)]
        begin += length
    return torch.tensor(rows, dtype=torch.int32, device=device).reshape(-1, 6)
