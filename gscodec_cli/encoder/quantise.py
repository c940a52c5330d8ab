# SPDX-License-Identifier: MIT
"""Quantisers that can be trained through: uniform scalar ones (paper 001, appendix C, eq. 10); `rvq` has the residual
vector quantisers.

`fake` gives what the decoder will see, with gradients passed straight through, or uniform noise of one step in place of
rounding; `symbols(x)` of each quantiser gives the integers of SPEC 5. Knows tensors, not bytes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gscodec.kernels.autograd import Quantise, on_gpu


def _straight_through(x: Tensor) -> Tensor:
    """round(x) forwards, identity backwards."""
    return x + (torch.round(x) - x).detach()


def _seed(noise: bool, like: Tensor) -> int | Tensor | None:
    """A fresh seed of the noise, or None for rounding. A GPU draws its own: a replayed step would keep a number."""
    if not noise:
        return None
    if on_gpu(like):
        return torch.randint(1 << 62, (1,), device=like.device)
    return int(torch.randint(1 << 62, (), device="cpu"))


class Uniform:
    """value = step * symbol + offset for each of C components (paper 001 eq. 10, with rounding to nearest in place of
    floor).

    step, offset: [C] float32. levels: symbols are clamped to 0..levels-1; None for no limit. Where `learned`, step
    and offset are trained: the step by its logarithm, so that it stays positive.
    """

    def __init__(self, step: Tensor, offset: Tensor, levels: int | None, learned: bool) -> None:
        self.fixed_step = None if learned else step.float()  # kept as it is: exp(log(step)) would not be a power of two
        self.log_step = step.float().log().requires_grad_(learned)
        self.offset = offset.float().clone().requires_grad_(learned)
        self.levels = levels
        self.learned = learned

    @classmethod
    def asymmetric(cls, x: Tensor, bits: int) -> Uniform:
        """Learned `bits`-bit quantiser over all but the most extreme 0.1 % of x [N, C].

        Those few are clipped and retrained.
        """
        low, high = torch.quantile(x, 0.001, dim=0), torch.quantile(x, 0.999, dim=0)
        return cls(((high - low) / (2**bits - 1)).clamp_min(1e-4), low, 2**bits, learned=True)

    @classmethod
    def fixed(cls, step: Tensor) -> Uniform:
        """Quantiser with given steps [C], offset 0 and no limit."""
        return cls(step, torch.zeros_like(step), None, learned=False)

    def step(self) -> Tensor:
        """[C] float32."""
        return self.log_step.exp() if self.fixed_step is None else self.fixed_step

    def fake(self, x: Tensor, noise: bool) -> Tensor:
        """What decoding gives for x [N, C], or x with uniform noise of one step."""
        if self.fixed_step is not None:
            (value,) = Quantise.apply((self.fixed_step,), _seed(noise, x), 0, x)
            return value
        step = self.step()
        if noise:
            return x + (torch.rand_like(x) - 0.5) * step
        scaled = (x - self.offset) / step
        if self.levels is not None:
            scaled = scaled.clamp(0, self.levels - 1)
        return _straight_through(scaled) * step + self.offset

    @torch.no_grad()
    def symbols(self, x: Tensor) -> Tensor:
        """Integers [N, C] int64."""
        scaled = (x - self.offset) / self.step()
        if self.levels is not None:
            scaled = scaled.clamp(0, self.levels - 1)
        return torch.round(scaled).long()

    def learnables(self) -> list[Tensor]:
        """Tensors an optimiser may change."""
        return [self.log_step, self.offset] if self.learned else []


class Symmetric:
    """Uniform quantiser of a field tensor: value = step * symbol, `bits` bits, step from the largest magnitude of
    each part.

    parts: row ranges that have a step of their own (the levels of a table). The field is 8 bit in paper 001.
    """

    def __init__(self, parts: tuple[tuple[int, int], ...], bits: int) -> None:
        self.parts, self.limit = parts, 2 ** (bits - 1) - 1

    def steps(self, x: Tensor) -> list[float]:
        """Step of each part, rounded to float32 as stored."""
        return [max(float(x[a:b].detach().abs().max()), 1e-8) / self.limit for a, b in self.parts]

    @torch.no_grad()
    def symbols(self, x: Tensor) -> list[Tensor]:
        """Integers of each part, in the shape of the part."""
        return [torch.round(x[a:b] / s).long() for (a, b), s in zip(self.parts, self.steps(x), strict=True)]


def fake(quantisers: dict[str, Any], tensors: dict[str, Tensor], noise: bool) -> dict[str, Tensor]:
    """What decoding gives for each of the tensors, or noise in its place; in one call where steps are not trained."""
    steps = {name: known for name in tensors if (known := _known_steps(quantisers[name])) is not None}
    given = [tensors[name] for name in steps]
    values = Quantise.apply(list(steps.values()), _seed(noise, given[0]), 0, *given) if given else ()
    found = dict(zip(steps, values, strict=True))
    return {name: found[name] if name in found else quantisers[name].fake(x, noise) for name, x in tensors.items()}


def _known_steps(quantiser: Any) -> Tensor | tuple[Any, int] | None:
    """Steps as `Quantise` takes them, None where they are trained."""
    if isinstance(quantiser, Symmetric):
        return quantiser.parts, quantiser.limit
    return quantiser.fixed_step if isinstance(quantiser, Uniform) else None
