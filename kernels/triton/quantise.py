# SPDX-License-Identifier: MIT
"""Rounding to steps, and noise in its place, as `gscodec.kernels.quantise` defines them. Imports torch and triton."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.quantise import LEAST_RANGE

from .launch import INTERPRETED, launch

_BLOCK = 1024 if INTERPRETED else 128


@triton.jit
def _noise(x, step, out, count, columns, first, second, PER: tl.constexpr, BLOCK: tl.constexpr):
    """x plus uniform noise of one step: the counter hash of `quantise`, so that a seed means the same everywhere."""
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    h = i.to(tl.uint32) + tl.cast(first, tl.uint32)
    h = (h ^ (h >> 16)) * 0x7FEB352D + tl.cast(second, tl.uint32)
    h = (h ^ (h >> 15)) * 0x846CA68B
    h = (h ^ (h >> 16)) * 0x7FEB352D
    unit = ((h ^ (h >> 15)) >> 8).to(tl.float32) / 16777216 - 0.5
    place = i
    if PER == "column":
        place = i % columns
    elif PER == "array":
        place = i * 0
    tl.store(out + i, tl.load(x + i, here, 0.0) + unit * tl.load(step + place, here, 0.0), here)


def quantise(values: Sequence[Tensor], steps: Sequence[Tensor | int], seed: int | None = None) -> list[Tensor]:
    """See `gscodec.kernels.quantise`; nothing waits for the device. Raises ShapeError, BackendError."""
    return [_quantise(x.detach(), step, seed, i) for i, (x, step) in enumerate(zip(values, steps, strict=True))]


def _quantise(x: Tensor, step: Tensor | int, seed: int | None, number: int) -> Tensor:
    per = "value"
    if isinstance(step, int):
        largest = x.abs().amax() if x.numel() else x.new_zeros(())
        step, per = (largest.double().clamp_min(LEAST_RANGE) / step).float(), "array"
    elif step.ndim == 1 and x.ndim > 1:
        per = "column"
    if seed is None:
        return torch.round(x / step) * step
    x, step = x.contiguous(), step.detach().contiguous()
    words = seed & 0xFFFFFFFF, ((seed >> 32) + 0x9E3779B9 * number) & 0xFFFFFFFF
    first, second = (int(np.uint32(word).view(np.int32)) for word in words)
    out, count = torch.empty_like(x), x.numel()
    columns = x.shape[-1] if x.ndim else 1
    launch(_noise, (triton.cdiv(count, _BLOCK),), x, step, out, count, columns, first, second, PER=per, BLOCK=_BLOCK)
    return out
