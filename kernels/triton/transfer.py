# SPDX-License-Identifier: MIT
"""Numbers to the device and back without a wait for the device. Imports torch.

Torch's own copies of arrays wait until everything that was started before is done, since the memory that a program owns
may change or vanish; page-locked memory is kept until the copy is through. On the CPU a copy is done at once. Devices
are named everywhere, since training makes the GPU the default one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gscodec.kernels.checks import Array

_ALIGNED = 4  # numbers: kernels are compiled again for addresses that are not multiples of 16 bytes


def send(arrays: Sequence[Array], device: torch.device) -> list[Tensor]:
    """Float32 copies of the arrays on the device, parts of one tensor that goes there in one transfer."""
    ends = np.cumsum([-(-array.size // _ALIGNED) * _ALIGNED for array in arrays], dtype=np.int64)
    on_gpu = device.type == "cuda"
    packed = torch.empty(int(ends[-1]) if len(ends) else 0, device="cpu", pin_memory=on_gpu)
    begins = [int(begin) for begin in (0, *ends[:-1])]
    for begin, array in zip(begins, arrays, strict=False):
        packed[begin : begin + array.size].numpy()[:] = array.ravel()
    there = packed.to(device, non_blocking=True) if on_gpu else packed
    return [there[begin : begin + a.size].view(a.shape) for begin, a in zip(begins, arrays, strict=False)]


def send_indices(indices: Sequence[int], device: torch.device) -> Tensor:
    """[n] int64 on the device."""
    packed = torch.tensor(indices, dtype=torch.int64, device="cpu", pin_memory=device.type == "cuda")
    return packed.to(device, non_blocking=True)


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """[n] float32 on the device; the last few are kept, so that loops send them once."""
    return torch.tensor(values, dtype=torch.float32, device=device)


@dataclass(frozen=True)
class Fetched:
    """A copy, in the computer's memory, of a tensor on the device: on its way until `done`, a CUDA event."""

    copy: Tensor
    done: Any

    def arrived(self) -> bool:
        """Whether `wait` would return at once."""
        return self.done is None or bool(self.done.query())

    def wait(self) -> Tensor:
        """The copy, once it is there."""
        if self.done is not None:
            self.done.synchronize()
        return self.copy


def fetch(value: Tensor, stream: Any = None) -> Fetched:
    """Start to copy a tensor into page-locked memory, behind the work that it comes from.

    stream: a CUDA stream for the copy, which later work on the current one then overlaps; None is the current one.
    """
    if not value.is_cuda:
        return Fetched(value, None)
    current = torch.cuda.current_stream(value.device)
    stream = current if stream is None else stream
    copy = torch.empty(value.shape, dtype=value.dtype, device="cpu", pin_memory=True)
    if stream != current:
        stream.wait_stream(current)
        value.record_stream(stream)
    with torch.cuda.stream(stream):
        copy.copy_(value, non_blocking=True)
        done = torch.cuda.Event()
        done.record(stream)
    return Fetched(copy, done)
