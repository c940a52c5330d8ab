# SPDX-License-Identifier: MIT
"""Estimated rate while training: logistic mixtures fitted to what is being coded, so that bits have a gradient.

The tables that are written are histograms of the symbols; a mixture of three logistics per component is their smooth
stand-in (the form of paper 002's entropy constraint).
"""

from __future__ import annotations

import torch
from torch import Tensor

from gscodec.kernels.autograd import MixtureBits

SPREADS = (0.2, 1.0, 4.0)  # first scales of a mixture's parts, in standard deviations of the data


class LogisticMixture:
    """Density of C components, each a mixture of logistics with trained means, scales and shares."""

    def __init__(self, x: Tensor, step: Tensor) -> None:
        x = x.detach()
        spread = torch.maximum(x.std(0, correction=0), step / 2)
        self.mean = x.median(0).values[:, None].repeat(1, len(SPREADS)).requires_grad_()
        self.log_scale = (spread[:, None] * torch.tensor(SPREADS)).log().requires_grad_()
        self.logit = torch.zeros(x.shape[1], len(SPREADS)).requires_grad_()

    def bits(self, x: Tensor, step: Tensor) -> Tensor:
        """Estimated bits of all of x [N, C] when it is coded in steps [C] or [N, C]; a scalar.

        Differentiable in x and the mixture.
        """
        return MixtureBits.apply(x, step, *self.learnables())

    def learnables(self) -> list[Tensor]:
        """Tensors an optimiser may change."""
        return [self.mean, self.log_scale, self.logit]


class RateModel:
    """One mixture for each kind of parameter, made when the kind is first coded."""

    def __init__(self) -> None:
        self.mixtures: dict[str, LogisticMixture] = {}

    def begin(self, values: dict[str, tuple[Tensor, Tensor]]) -> None:
        """Make the mixtures that are missing for {kind: (x [N, C], step [C])}."""
        for name, (x, step) in values.items():
            if name not in self.mixtures:
                self.mixtures[name] = LogisticMixture(x, step)

    def bits(self, values: dict[str, tuple[Tensor, Tensor]]) -> Tensor:
        """Estimated bits of {kind: (x [N, C], step [C])}; kinds that have begun."""
        found = [self.mixtures[name].bits(x, step) for name, (x, step) in values.items()]
        return torch.stack(found).sum() if found else torch.zeros(())

    def learnables(self) -> list[Tensor]:
        """Tensors an optimiser may change."""
        return [tensor for mixture in self.mixtures.values() for tensor in mixture.learnables()]
