# SPDX-License-Identifier: MIT
"""How kernels are started, on a GPU or in Triton's interpreter. Imports torch and triton; knows no kernel.

The interpreter (TRITON_INTERPRET=1) runs every program with numpy on CPU tensors, one after the other: the same
kernels, for tests on machines without a GPU. Triton reads the variable when a kernel is defined.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import torch
import triton
from torch import Tensor

from gscodec.kernels.errors import BackendError, ShapeError

INTERPRETED = bool(triton.knobs.runtime.interpret)
_interpreter = Lock()  # which program runs is a global of the interpreter, and GoPs are prepared in another thread


def default_device() -> torch.device:
    """The device that numpy arrays are sent to. Raises BackendError where the kernels cannot run."""
    if INTERPRETED:
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise BackendError(f"backend 'triton' is not available: torch {torch.__version__} sees no CUDA GPU")
    return torch.device("cuda", torch.cuda.current_device())


def engine_name() -> str:
    """`cuda` or `interpreter`: what `Engine.isa` says of this engine."""
    return "interpreter" if INTERPRETED else "cuda"


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **settings: Any) -> None:
    """Start `kernel` on the device of its first argument; an empty grid starts nothing."""
    if 0 in grid:
        return
    first: Tensor = arguments[0]
    if first.is_cuda:
        with torch.cuda.device(first.device):
            kernel[grid](*arguments, **settings, enable_fp_fusion=True)
        return
    with _interpreter, np.errstate(all="ignore"):  # the interpreter computes with numpy; a GPU does not warn either
        kernel[grid](*arguments, **settings)


def tensor(name: str, value: Tensor, shape: tuple[int | None, ...], dtype: torch.dtype = torch.float32) -> Tensor:
    """Return `value` contiguous after checking shape (None matches any length) and dtype. Raises ShapeError.

    Raises BackendError for a tensor on a device that the kernels do not run on.
    """
    if value.dtype != dtype:
        raise ShapeError(f"{name}: found dtype {value.dtype}, expected {dtype}")
    if value.ndim != len(shape) or any(w is not None and w != got for w, got in zip(shape, value.shape, strict=True)):
        wanted = ", ".join("any" if want is None else str(want) for want in shape)
        raise ShapeError(f"{name}: found shape {tuple(value.shape)}, expected ({wanted})")
    if value.is_cuda == INTERPRETED:
        where = "CPU tensors under TRITON_INTERPRET=1" if INTERPRETED else "tensors on a CUDA device"
        raise BackendError(f"{name} is on {value.device}, expected {where}")
    return value.detach().contiguous()
