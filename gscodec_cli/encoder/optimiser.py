# SPDX-License-Identifier: MIT
"""Adam over the tensors of a training in one call: torch's own spends more on each tensor than on its numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from gscodec.kernels import Adam

BETAS, EPS = (0.9, 0.99), 1e-15


class Optimiser:
    """Changes leaf tensors, given with their learning rates, in place; they must be contiguous."""

    def __init__(self, rates: Iterable[tuple[Tensor, float]], threads: int) -> None:
        pairs = list(rates)
        self._tensors = [tensor for tensor, _ in pairs]
        self._rates = [rate for _, rate in pairs]
        self._there: torch.optim.Optimizer | None = None
        if any(tensor.is_cuda for tensor in self._tensors):
            groups: dict[float, list[Tensor]] = {}  # each takes launches of its own
            for tensor, rate in pairs:
                groups.setdefault(rate, []).append(tensor)
            self._rates = list(groups)
            given = [{"params": tensors, "lr": rate} for rate, tensors in groups.items()]
            self._there = torch.optim.Adam(given, betas=BETAS, eps=EPS, fused=True)
            return
        arrays = [tensor.detach().numpy() for tensor in self._tensors]
        beta1, beta2 = BETAS
        self._adam = Adam(arrays, [rate for _, rate in pairs], beta1=beta1, beta2=beta2, eps=EPS, threads=threads)

    def step(self, share: float) -> None:
        """One step at `share` of the rates by the tensors' gradients, which are dropped."""
        if self._there is not None:
            for group, rate in zip(self._there.param_groups, self._rates, strict=True):
                group["lr"] = rate * share
            self._there.step()
            self._there.zero_grad(set_to_none=True)
            return
        grads = [None if tensor.grad is None else tensor.grad.numpy() for tensor in self._tensors]
        self._adam.step(grads, share)
        for tensor in self._tensors:
            tensor.grad = None
