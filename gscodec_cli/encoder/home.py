# SPDX-License-Identifier: MIT
"""Where training runs: in the computer's memory or in a GPU's. Must not import the verbs.

The trainer itself does not know. Inside `Home.training` new tensors are made on the device, and the functions of
`gscodec.kernels.autograd` follow the tensors they are given.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache

import numpy as np
import torch
from torch import Tensor

from gscodec.kernels import BackendError, registry
from gscodec_cli.errors import BackendMissingError


class Home:
    """The device named `cpu`, `cuda`, or `auto`, which is the CPU until training on a GPU has been measured."""

    def __init__(self, name: str) -> None:
        """Raises BackendMissingError where there is no GPU to train on."""
        self.on_gpu = name == "cuda"
        self.device = torch.device("cpu")
        if self.on_gpu:
            try:
                self.device = registry.triton().default_device()
            except BackendError as error:
                raise BackendMissingError(f"--device cuda: {error}; use --device cpu") from None

    @contextmanager
    def training(self) -> Iterator[None]:
        """New tensors are made here, and the kernels are those of the device."""
        if not self.on_gpu:
            yield
            return
        stream = nullcontext() if registry.interpreting() else torch.cuda.stream(_stream(self.device))
        with torch.device(self.device), stream, _engine("triton" if registry.interpreting() else None):
            yield


def gpus(name: str) -> list[str]:
    """The GPUs that a device name lets us use, as CUDA_VISIBLE_DEVICES names them; none for the CPU."""
    if name != "cuda":
        return []
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return chosen.split(",") if chosen else [str(index) for index in range(torch.cuda.device_count())]


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream of all that is trained on a GPU: work on the default one cannot be recorded (`encoder.replay`)."""
    return torch.cuda.Stream(device)


@contextmanager
def _engine(name: str | None) -> Iterator[None]:
    """Choose the engine for CPU tensors too, which only the interpreter needs."""
    before = os.environ.get("GSV_BACKEND")
    if name:
        os.environ["GSV_BACKEND"] = name
    try:
        yield
    finally:
        if name:
            os.environ.pop("GSV_BACKEND")
            if before is not None:
                os.environ["GSV_BACKEND"] = before


def generator(seed: int) -> torch.Generator:
    """Random numbers for tensors that are made here."""
    return torch.Generator(torch.get_default_device()).manual_seed(seed)


def tensor_of(array: np.ndarray) -> Tensor:
    """The array as a tensor here; shared with it in the computer's memory."""
    return torch.from_numpy(array).to(torch.get_default_device())


def array_of(tensor: Tensor) -> np.ndarray:
    """The tensor as an array; shared with it in the computer's memory."""
    found: np.ndarray = tensor.detach().cpu().numpy()
    return found
