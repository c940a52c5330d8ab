# SPDX-License-Identifier: MIT
"""Adam over the tensors of a training in one call: torch's own spends more on each tensor than on its numbers."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from gscodec.kernels import Adam

BETAS, EPS = (0.9, 0.99), 1e-15


class Optimiser:
    """Changes leaf tensors, given with their learning rates, in place; they must be contiguous."""

    def __init__(self, rates: Iterable[tuple[Tensor, float]], threads: int) -> None:
        pairs = list(rates)
        self._tensors = [tensor for tensor, _ in pairs]
        arrays = [tensor.detach().numpy() for tensor in self._tensors]
        beta1, beta2 = BETAS
        self._adam = Adam(arrays, [rate for _, rate in pairs], beta1=beta1, beta2=beta2, eps=EPS, threads=threads)

    def step(self, share: float) -> None:
        """One step at `share` of the rates by the tensors' gradients, which are dropped."""
        grads = [None if tensor.grad is None else tensor.grad.numpy() for tensor in self._tensors]
        self._adam.step(grads, share)
        for tensor in self._tensors:
            tensor.grad = None
