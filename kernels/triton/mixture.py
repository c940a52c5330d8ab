# SPDX-License-Identifier: MIT
"""Bits of values under mixtures of logistics, see `gscodec.kernels.mixture_bits`. Imports torch and triton."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.loss import LEAST_PROBABILITY, MIXTURE_PARTS

from .launch import INTERPRETED, launch, tensor

_BLOCK = 1024 if INTERPRETED else 256


@triton.jit
def _logistic(v):
    return 1 / (1 + tl.exp(-v))


@triton.jit
def _part(x, step, mean, log_scale, share, c, k: tl.constexpr, PARTS: tl.constexpr):
    """Of part k: end of the step and what lies below it and below its other end, in the lower tail, where the numbers
    keep their digits; the mass between, as a product without differences; the step, the sign and 1 / scale.
    """
    z, inverse = x - tl.load(mean + c * PARTS + k), tl.exp(-tl.load(log_scale + c * PARTS + k))
    away, wide = tl.abs(z), step * inverse
    high, low = (0.5 * step - away) * inverse, (-0.5 * step - away) * inverse
    series = wide * (1 - wide / 2 * (1 - wide / 3 * (1 - wide / 4 * (1 - wide / 5))))
    rest = tl.where(wide < 0.1, series, 1 - tl.exp(-wide))
    mass = tl.load(share + c * PARTS + k) * rest * _logistic(high) * _logistic(-low)
    sign = tl.where(z > 0, 1.0, tl.where(z < 0, -1.0, 0.0))
    return high, _logistic(high), _logistic(low), mass, wide, sign, inverse


@triton.jit
def _bits(
    x, steps, mean, log_scale, share, dx, bits, part, count, columns, step_stride,
    LEAST: tl.constexpr, LN2: tl.constexpr, PARTS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Per block and column: the bits, and for each part of the mixture the gradients by mean, scale and logit."""
    block, c = tl.program_id(0).to(tl.int64), tl.program_id(1)
    i = block * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    value = tl.load(x + i * columns + c, here, 0.0)
    step = tl.load(steps + i * step_stride + c, here, 1.0)
    total = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(PARTS):
        total += _part(value, step, mean, log_scale, share, c, k, PARTS)[3]
    held = tl.maximum(total, LEAST)
    tl.store(bits + block * columns + c, tl.sum(tl.where(here, -tl.log2(held), 0.0), 0))
    factor = tl.where(here & (total > LEAST), -1 / (held * LN2), 0.0)
    slope = tl.zeros([BLOCK], tl.float32)
    for k in tl.static_range(PARTS):
        high, below, under, mass, wide, sign, inverse = _part(value, step, mean, log_scale, share, c, k, PARTS)
        p = tl.load(share + c * PARTS + k)
        # the densities at the ends differ by this, and their first moments by `moment`
        change = mass * (1 - below - under)
        by_x = -factor * change * sign * inverse
        slope += by_x
        moment = tl.where(change != 0, change * high, 0.0)
        moment += tl.where(under > 0, p * under * (1 - under) * wide, 0.0)
        target = part + ((block * columns + c) * PARTS + k) * 3
        tl.store(target, -tl.sum(by_x, 0))
        tl.store(target + 1, -tl.sum(factor * moment, 0))
        tl.store(target + 2, tl.sum(factor * (mass - p * total), 0))
    tl.store(dx + i * columns + c, slope, here)


def mixture_bits(
    x: Tensor, step: Tensor, mean: Tensor, log_scale: Tensor, logit: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Bits (float64, on the device) of x [N, C] in steps [C] or [N, C], and gradients by x and the mixture [C, 3].

    See `gscodec.kernels.mixture_bits`. Raises ShapeError, BackendError.
    """
    x = tensor("x", x, (None, None))
    count, columns = x.shape
    step = tensor("step", step.reshape(-1, columns), (1 if step.numel() == columns else count, columns))
    shape = columns, MIXTURE_PARTS
    mean, log_scale = tensor("mean", mean, shape), tensor("log_scale", log_scale, shape)
    share = tensor("logit", logit, shape).softmax(1)
    blocks = triton.cdiv(count, _BLOCK)
    dx, bits = torch.empty_like(x), torch.empty(blocks, columns, device=x.device)
    part = torch.empty(blocks, *shape, 3, device=x.device)
    sizes = count, columns, 0 if len(step) == 1 else columns
    settings = {"LEAST": LEAST_PROBABILITY, "LN2": math.log(2), "PARTS": MIXTURE_PARTS, "BLOCK": _BLOCK}
    launch(_bits, (blocks, columns), x, step, mean, log_scale, share, dx, bits, part, *sizes, **settings)
    sums = part.sum(0, dtype=torch.float64).movedim(2, 0)
    by_mean, by_scale, by_logit = sums.to(torch.float32, memory_format=torch.contiguous_format)
    return bits.sum(dtype=torch.float64), dx, by_mean, by_scale, by_logit
