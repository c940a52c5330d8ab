# SPDX-License-Identifier: MIT
"""Adam over the tensors of a training in one call: torch's own spends more on each tensor than on its numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from gscodec.kernels import Adam
from gscodec.kernels.autograd import on_gpu

BETAS, EPS = (0.9, 0.99), 1e-15


class Optimiser:
    """Changes leaf tensors, given with their learning rates, in place; they must be contiguous."""

    def __init__(self, rates: Iterable[tuple[Tensor, float]], threads: int) -> None:
        pairs = list(rates)
        self._tensors = [tensor for tensor, _ in pairs]
        self._there: torch.optim.Optimizer | None = None
        if on_gpu(*self._tensors):
            groups: dict[float, list[Tensor]] = {}  # each takes launches of its own
            for tensor, rate in pairs:
                groups.setdefault(rate, []).append(tensor)
            self._rates = torch.tensor(list(groups))
            self._now = self._rates.clone()  # of this step, which Adam reads on the device
            given = [{"params": tensors, "lr": rate} for tensors, rate in zip(groups.values(), self._now, strict=True)]
            self._there = torch.optim.Adam(given, betas=BETAS, eps=EPS, fused=True, capturable=True)
            return
        arrays = [tensor.detach().numpy() for tensor in self._tensors]
        beta1, beta2 = BETAS
        self._adam = Adam(arrays, [rate for _, rate in pairs], beta1=beta1, beta2=beta2, eps=EPS, threads=threads)

    def step(self, share: float | Tensor) -> None:
        """One step at `share` of the rates by the tensors' gradients, which are dropped. On a GPU it may lie there."""
        if self._there is not None:
            torch.mul(self._rates, share, out=self._now)
            self._there.step()
            self.drop()
            return
        assert isinstance(share, float)
        grads = [None if tensor.grad is None else tensor.grad.numpy() for tensor in self._tensors]
        self._adam.step(grads, share)
        self.drop()

    def drop(self) -> None:
        """Forget the gradients."""
        for tensor in self._tensors:
            tensor.grad = None
