# SPDX-License-Identifier: MIT
"""Rounding to steps, and noise in its place, as `gscodec.kernels.quantise` defines them. Imports torch and triton."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.quantise import LEAST_RANGE

from .launch import INTERPRETED, launch

_BLOCK = 1024 if INTERPRETED else 256
_WHOLE = 1.5 * 2**52


@triton.jit
def _uniform(i, first, second):
    """Numbers in -0.5..0.5: the counter hash of `quantise`, so that a seed means the same everywhere."""
    h = i.to(tl.uint32) + tl.cast(first, tl.uint32)
    h = (h ^ (h >> 16)) * 0x7FEB352D + tl.cast(second, tl.uint32)
    h = (h ^ (h >> 15)) * 0x846CA68B
    h = (h ^ (h >> 16)) * 0x7FEB352D
    return ((h ^ (h >> 15)) >> 8).to(tl.float32) / 16777216 - 0.5


@triton.jit(do_not_specialize=["count", "first", "second"])
def _noise(x, step, out, count, columns, first, second, PER: tl.constexpr, BLOCK: tl.constexpr):
    """x plus uniform noise of one step."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    place = i
    if PER == "column":
        place = i % columns
    unit = _uniform(i, first, second)
    tl.store(out + i, tl.load(x + i, here, 0.0) + unit * tl.load(step + place, here, 0.0), here)


@triton.jit
def _largest(x, blocks, bits, BLOCK: tl.constexpr):
    """Largest magnitude of each array, as the integer of the same bits: those have the same order, NaN comes last."""
    row = blocks + 6 * tl.program_id(0)
    i = tl.load(row + 1) + tl.arange(0, BLOCK)
    magnitude = tl.abs(tl.load(x + i, i < tl.load(row + 2), 0.0))
    tl.atomic_max(bits + tl.load(row), tl.max(magnitude.to(tl.int32, bitcast=True), 0), sem="relaxed")


@triton.jit(do_not_specialize=["first", "second"])
def _by_largest(
    x, blocks, bits, out, first, second, NOISE: tl.constexpr, LEAST: tl.constexpr, WHOLE: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
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
        value += (
            _uniform(within, first, tl.cast(second, tl.uint32) + tl.load(row + 5).to(tl.uint32) * 0x9E3779B9) * step
        )
    else:
        # In float64 a sum with WHOLE keeps no fraction, and rounds ties to even.
        whole = tl.full([], WHOLE, tl.float64)
        value = (tl.div_rn(value, step + tl.zeros_like(value)).to(tl.float64) + whole - whole).to(tl.float32) * step
    tl.store(out + i, value, here)


def quantise(values: Sequence[Tensor], steps: Sequence[Tensor | int], seed: int | None = None) -> list[Tensor]:
    """See `gscodec.kernels.quantise`; nothing waits for the device. Arrays with limits take two launches together.

    Raises ShapeError.
    """
    limited = tuple(
        (i, x.numel(), step) for i, (x, step) in enumerate(zip(values, steps, strict=True)) if isinstance(step, int)
    )
    found = _limited([values[i].detach() for i, _, _ in limited], limited, seed) if limited else []
    rounded = {i: value for (i, _, _), value in zip(limited, found, strict=True)}
    return [
        rounded[i] if isinstance(step, int) else _stepped(values[i].detach(), step, seed, i)
        for i, step in enumerate(steps)
    ]


def _stepped(x: Tensor, step: Tensor, seed: int | None, number: int) -> Tensor:
    """One array in given steps; `number` is its place in the call."""
    if seed is None:
        return torch.round(x / step) * step
    x, step = x.contiguous(), step.detach().contiguous()
    first, second = _words(seed, number)
    out, count = torch.empty_like(x), x.numel()
    columns, per = (x.shape[-1], "column") if step.ndim == 1 and x.ndim > 1 else (1, "value")
    launch(_noise, (triton.cdiv(count, _BLOCK),), x, step, out, count, columns, first, second, PER=per, BLOCK=_BLOCK)
    return out


def _limited(values: Sequence[Tensor], limited: tuple[tuple[int, int, int], ...], seed: int | None) -> list[Tensor]:
    """Arrays in steps of their own: for each its place in the call, its length and its limit."""
    flat = torch.cat([x.reshape(-1) for x in values])
    blocks, out = _blocks(limited, flat.device), torch.empty_like(flat)
    bits = torch.zeros(len(values), dtype=torch.int32, device=flat.device)
    first, second = _words(seed or 0, 0)
    settings = {"NOISE": seed is not None, "LEAST": LEAST_RANGE, "WHOLE": _WHOLE, "BLOCK": _BLOCK}
    launch(_largest, (len(blocks),), flat, blocks, bits, BLOCK=_BLOCK)
    launch(_by_largest, (len(blocks),), flat, blocks, bits, out, first, second, **settings)
    return [part.view(x.shape) for part, x in zip(out.split([x.numel() for x in values]), values, strict=True)]


@lru_cache(maxsize=64)
def _blocks(limited: tuple[tuple[int, int, int], ...], device: torch.device) -> Tensor:
    """[blocks, 6] int32, sent once: array, first value, end of the array, values before it there, limit, number."""
    rows, begin = [], 0
    for k, (number, length, limit) in enumerate(limited):
        rows += [(k, begin + at, begin + length, at, limit, number) for at in range(0, length, _BLOCK)]
        begin += length
    return torch.tensor(rows, dtype=torch.int32, device=device).reshape(-1, 6)


def _words(seed: int, number: int) -> tuple[int, int]:
    """The two words that the hash takes, as int32."""
    first, second = seed & 0xFFFFFFFF, ((seed >> 32) + 0x9E3779B9 * number) & 0xFFFFFFFF
    return int(np.uint32(first).view(np.int32)), int(np.uint32(second).view(np.int32))
