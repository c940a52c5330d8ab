# SPDX-License-Identifier: MIT
"""A fused step of the Adam optimiser. Imports numpy only."""

import numpy as np

from . import registry
from .checks import Array, output_array
from .errors import ShapeError


def adam_step(
    param: Array,  # float32, any shape, C-contiguous; changed in place
    grad: Array,  # as param; read only
    m: Array,  # as param; running mean of the gradient, changed in place
    v: Array,  # as param; running mean of its square, changed in place
    lr: float,
    beta1: float,  # 0..1, 1 excluded
    beta2: float,  # 0..1, 1 excluded
    eps: float,
    t: int,  # number of this step, from 1
    *,
    threads: int = 0,
    backend: str | None = None,
) -> None:
    """One step of Adam without weight decay, as torch.optim.Adam does it: eps is added outside the root.

    Raises ShapeError, BackendError. Source: Kingma and Ba, ICLR 2015, algorithm 1.
    """
    if t < 1 or not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ShapeError(f"adam_step: found t {t}, betas {beta1}, {beta2}, expected t >= 1 and betas in [0, 1)")
    for name, array in (("param", param), ("m", m), ("v", v)):
        output_array(name, array, param.shape, np.float32)
    if grad.shape != param.shape or grad.dtype != np.float32 or not grad.flags.c_contiguous:
        raise ShapeError(f"grad: expected a C-contiguous float32 array of shape {param.shape}")
    engine = registry.select(backend)
    if engine.name == "cpu":
        lists = ([array.reshape(-1)] for array in (param, grad, m, v))
        registry.cpu.adam_step(engine.isa, *lists, [lr], beta1, beta2, eps, t, threads)
        return
    if engine.name == "triton":
        registry.triton().adam_step(param, grad, m, v, lr, beta1, beta2, eps, t)
        return
    gradient = grad.astype(np.float64)
    m[...] = beta1 * m + (1 - beta1) * gradient
    v[...] = beta2 * v + (1 - beta2) * gradient * gradient
    param[...] -= lr / (1 - beta1**t) * m / (np.sqrt(v / (1 - beta2**t)) + eps)
