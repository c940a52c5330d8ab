# SPDX-License-Identifier: MIT
"""The training loop: one random frame a step, with coding simulated or not, and what adds and drops Gaussians.

Takes frames and a model; `fit` says in which order. Knows no bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gscodec.format.records import CameraData, DetailData
from gscodec_cli.encoder import home
from gscodec_cli.encoder.bend import bend_of, learn_bends
from gscodec_cli.encoder.camera import Scene, coded_camera, lines_of
from gscodec_cli.encoder.compression import Coding, Compression
from gscodec_cli.encoder.hash_field import FIELD_TENSORS
from gscodec_cli.encoder.init import ResidualMap, add_gaussians, follow
from gscodec_cli.encoder.lattice import Lattice, random_lattices, widest_gap
from gscodec_cli.encoder.model import GopModel, keep_in_range
from gscodec_cli.encoder.optimiser import Optimiser
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.tools import Effort
from gscodec_cli.interrupts import stop_if_interrupted

# Learning rate of each parameter relative to `lr_gaussian` (attributes) or `lr_field`: natural sizes differ (px, log,
# weight, frames).
RATE = {
    "mean": 20.0,
    "shape": 4.0,
    "colour": 1.5,
    "motion": 30.0,
    "drift": 1.0,
    "window": 25.0,
    "background": 1.0,
    "camera": 0.2,
}
TABLE_RATE = 5.0  # hash tables against the MLP: an entry sees few of the samples
RATE_MODEL_LR = 0.1
CARRIED_RATE = 0.1  # share of the learning rates for what is carried over: 1 costs 1 dB on Bunny, 0.03 is no better
SLOW = ("mean", "shape", "colour", "motion", "drift")
PROBED_FRAMES, PROBES = 10, 3  # to find the Gaussians that matter least
FINAL_RATE = 0.1  # share of a stage's rate that is left at its end

Report = Callable[[str, int, int, float], None]  # stage, step, steps, PSNR in dB of the last steps


@dataclass(frozen=True)
class Stage:
    """A stretch of training: name, steps, first and last share of the learning rates, what of coding is simulated."""

    name: str
    steps: int
    rate: float
    final: float = FINAL_RATE
    coding: Coding = Coding.CARRIED
    key_only: bool = False  # the first frame alone, without motion

    def rate_at(self, step: float) -> float:
        """Half cosine from `rate` to `rate * final`."""
        return self.rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * step / max(self.steps, 1))))


class Trainer:
    """Optimises a model on frames [T, 3, H, W] uint8, one random frame a step."""

    def __init__(
        self,
        frames: Tensor,
        model: GopModel,
        plan: Plan,
        generator: torch.Generator,
        report: Report,
        scene: Scene | None,
    ) -> None:
        self.frames, self.model, self.plan, self.generator, self.report = frames, model, plan, generator, report
        self.scene = scene
        self.detail: DetailData | None = None  # what `frames` are without
        self.compression = Compression(model, generator) if model.carried else None
        self.rated = False  # trained with the rate of everything that is coded
        # Squared error of a frame that is worth one bit: the slope of a uniform quantiser, times what measured best.
        self.lmbda = plan.tools.rate_slope * plan.tools.amplitude_step**2
        self.mse: Tensor | float = math.nan
        # Of lattices, as trained Gaussians allow it: those just placed or born are larger than they will be.
        self.gap = widest_gap(model)

    def run(self, stage: Stage, first: int, last: int) -> None:
        """Steps first..last-1 of a stage; a new optimiser, since the set of Gaussians may have changed."""
        self.rated = self.rated or stage.coding is not Coding.CARRIED
        if self.compression:
            self.compression.prepare(stage.coding)
        optimiser = self._optimiser(stage)
        order = _frame_order(1 if stage.key_only else len(self.frames), self.generator)
        lattices = random_lattices(1 if stage.key_only else self.gap, self.generator)
        for step in range(first, last):
            self._backward(next(order), stage, next(lattices))
            before = self._carried_values()
            optimiser.step(stage.rate_at(step))
            self._slow_down(before)
            keep_in_range(self.model)
            stop_if_interrupted()
            if step % 10 == 9 or step == last - 1:
                self.report(stage.name, step + 1, stage.steps, -10 * math.log10(max(self.mse, 1e-10)))
        self.gap = widest_gap(self.model)
        if "camera" in self.model.params and stage.coding is Coding.CARRIED:
            # what is born next, and what is coded in the end, moves by the camera that was trained
            self.take_camera(coded_camera(home.array_of(self.model.maps()), self.model.size))

    def take_camera(self, camera: CameraData) -> None:
        """Let a camera take the model's means, and lead what is born, from now on."""
        assert self.scene is not None
        self.scene = replace(self.scene, camera=camera)
        self.model.set_maps(home.tensor_of(lines_of(camera, self.model.size)))

    def _backward(self, index: int, stage: Stage, lattice: Lattice | None) -> None:
        """Gradients of the loss on one frame, or on a lattice of its pixels."""
        view = self.compression.view(stage.coding) if self.compression else self.model.params
        target = self.frames[index]
        loss = self.model.loss(index, view, target, self.plan.threads, stage.key_only, lattice)
        mse = 2 * (loss.detach() if loss.is_cuda else loss.item()) / target.numel()  # a GPU is not waited for
        if self.compression:
            # The loss of the paper is the mean over the picture, this one half the sum: Adam does not mind the factor.
            loss = loss + self.compression.penalty() * (target.numel() / 2)
            if self.lmbda:
                loss = loss + self.lmbda / 2 * self.compression.rate()
        loss.backward()
        begun = not (isinstance(self.mse, float) and math.isnan(self.mse))
        self.mse = 0.95 * self.mse + 0.05 * mse if begun else mse

    def _carried_values(self) -> dict[str, Tensor]:
        """A copy of what `_slow_down` holds back."""
        if self.model.carried is None:
            return {}
        count = self.model.carried.count
        return {name: self.model.params[name].detach()[:count].clone() for name in SLOW if name in self.model.params}

    @torch.no_grad()
    def _slow_down(self, before: dict[str, Tensor]) -> None:
        """Let what is carried over move by a share of the step only: at full rate it leaves its prediction for good."""
        for name, old in before.items():
            self.model.params[name].detach()[: len(old)].sub_(old).mul_(CARRIED_RATE).add_(old)

    def _optimiser(self, stage: Stage) -> Optimiser:
        effort, rates = self.plan.effort, []
        for name, value in self.model.params.items():
            if stage.key_only and name not in ("mean", "shape", "colour", "background"):
                continue
            if name == "camera" and stage.coding is not Coding.CARRIED:  # rounded for good
                continue
            self.model.params[name] = value.detach().contiguous().requires_grad_()
            rates.append((self.model.params[name], _rate(name, effort)))
        if self.compression:
            rates += [(value, effort.lr_gaussian) for value in self.compression.learnables()]
            if self.lmbda:
                rates += [(value, RATE_MODEL_LR) for value in self.compression.rate_model.learnables()]
        return Optimiser(rates, self.plan.threads)

    def start_moving(self) -> None:
        """Let Gaussians that were fitted to the first frame go where the picture goes."""
        if self.scene is not None:
            self.model.params = {name: value.detach() for name, value in self.model.params.items()}
            start = torch.zeros(self.model.count, dtype=torch.int64)
            if self.model.tools.field is not None:
                learn_bends(self.model, self.scene, self.generator)
            follow(self.model.params, start, self.model.frames, self.scene, bend_of(self.model))

    @torch.no_grad()
    def add(self, count: int, indices: range, *, still: bool = False) -> None:
        """Add Gaussians where the frames `indices` of the GoP miss most."""
        found = ResidualMap(self.model.size, self.model.tools.normalised)
        for index in indices:
            picture = self.model.frame(index, self.model.params, self.plan.threads, still=still)
            found.add(picture, unit_range(self.frames[index]))
        add_gaussians(self.model, found, count, self.generator, self.scene)

    def importance(self) -> Tensor:
        """[N] estimated squared error in a frame, on average, if a Gaussian were not there.

        To second order that is the diagonal of the Gauss-Newton matrix of its weight, of which the squared gradient
        under a random sign per pixel is an unbiased sample (Hutchinson).
        """
        total = torch.zeros(self.model.count, 1)
        chosen = _spread(len(self.frames))
        view = {name: value.detach() for name, value in self.model.params.items()}
        for index in chosen:
            gain = torch.ones_like(total, requires_grad=True)
            picture = self.model.frame(index, view, self.plan.threads, gain=gain)
            for probe in range(PROBES):
                signs = torch.randint(0, 2, picture.shape, generator=self.generator).float().mul_(2).sub_(1)
                total += torch.autograd.grad(picture, gain, signs, retain_graph=probe + 1 < PROBES)[0].square()
        return total[:, 0] / (len(chosen) * PROBES)

    @torch.no_grad()
    def psnr(self) -> float:
        """PSNR of the model as it is, without coding, in dB: the mean over the frames that are probed."""
        found = []
        for index in _spread(len(self.frames)):
            target = self.frames[index]
            loss = self.model.loss(index, self.model.params, target, self.plan.threads)
            found.append(-10 * math.log10(max(2 * loss.item() / target.numel(), 1e-10)))
        return sum(found) / len(found)

    def drop(self, load: float) -> None:
        """Keep the Gaussians that matter most for their bits, as many as make up `load`."""
        if load < self.model.load:
            order = self.worth_most()
            fitting = int((self.model.loads()[order].cumsum(0) <= load).sum())
            self.model.keep(order[: max(1, fitting)].sort().values)

    def worth_most(self) -> Tensor:
        """[N] indices of the Gaussians, those first that bring most for their bits."""
        return torch.argsort(self.importance() / self.model.loads(), descending=True, stable=True)


def unit_range(frame: Tensor) -> Tensor:
    """A frame of uint8 or uint16 as float32 in 0..1."""
    return frame.float().div_(255 if frame.dtype == torch.uint8 else 65535)


def _spread(frames: int) -> list[int]:
    """At most PROBED_FRAMES of `frames` frames, evenly spread."""
    return torch.linspace(0, frames - 1, min(PROBED_FRAMES, frames)).round().int().tolist()


def _rate(name: str, effort: Effort) -> float:
    if name in FIELD_TENSORS:
        return effort.lr_field * (TABLE_RATE if name.startswith("table") else 1.0)
    return effort.lr_gaussian * RATE[name]


def _frame_order(count: int, generator: torch.Generator) -> Iterator[int]:
    """Every frame once in random order, for ever."""
    while True:
        yield from torch.randperm(count, generator=generator).tolist()
