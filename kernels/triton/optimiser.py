# SPDX-License-Identifier: MIT
"""One fused step of Adam, as `gscodec.kernels.adam_step` defines it. Imports torch and triton."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from gscodec.kernels.errors import ShapeError

from .launch import INTERPRETED, launch, tensor

_BLOCK = 4096 if INTERPRETED else 1024


@triton.jit
def _adam(param, grad, m, v, count, rate, root, beta1, beta2, eps, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = i < count
    g = tl.load(grad + i, here, 0.0)
    mean = beta1 * tl.load(m + i, here, 0.0) + (1 - beta1) * g
    square = beta2 * tl.load(v + i, here, 0.0) + (1 - beta2) * g * g
    tl.store(m + i, mean, here)
    tl.store(v + i, square, here)
    tl.store(param + i, tl.load(param + i, here, 0.0) - rate * mean / (tl.sqrt(square) * root + eps), here)


def adam_step(
    param: Tensor, grad: Tensor, m: Tensor, v: Tensor, lr: float, beta1: float, beta2: float, eps: float, t: int
) -> None:
    """Changes param, m and v (float32, contiguous, of one shape) in place; t counts from 1. Raises ShapeError."""
    for name, value in (("param", param), ("grad", grad), ("m", m), ("v", v)):
        if tensor(name, value, tuple(param.shape)).data_ptr() != value.data_ptr():
            raise ShapeError(f"{name}: expected a contiguous tensor")
    rate, root = lr / (1 - beta1**t), (1 - beta2**t) ** -0.5
    count = param.numel()
    launch(_adam, (triton.cdiv(count, _BLOCK),), param, grad, m, v, count, rate, root, beta1, beta2, eps, BLOCK=_BLOCK)
