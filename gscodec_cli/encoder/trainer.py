# SPDX-License-Identifier: MIT
"""The training loop: random frames, one a step unless the plan says otherwise, with coding simulated or not, and what
adds and drops Gaussians.

Takes frames and a model; `fit` says in which order. Knows no bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from gscodec.format.records import CameraData, DetailData, FilterData, ResidualData
from gscodec.kernels.autograd import on_gpu
from gscodec_cli.encoder import home
from gscodec_cli.encoder.bend import bend_of, learn_bends
from gscodec_cli.encoder.camera import Scene, coded_camera, lines_of
from gscodec_cli.encoder.compression import Coding, Compression
from gscodec_cli.encoder.hash_field import FIELD_TENSORS
from gscodec_cli.encoder.init import ResidualMap, add_gaussians, follow
from gscodec_cli.encoder.lattice import signed, widest_gap
from gscodec_cli.encoder.model import Carried, GopModel, keep_in_range
from gscodec_cli.encoder.optimiser import Optimiser
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.replay import Replays, recorder
from gscodec_cli.encoder.steps import TOLD, Look, News, Schedule, looks
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


State = tuple[tuple[dict[str, Tensor], Carried | None], Tensor, DetailData | None, ResidualData | None]


class Trainer:
    """Optimises a model on frames [T, 3, H, W] uint8 or uint16."""

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
        self.residual: ResidualData | None = None  # what is added to what is trained
        self.filter: FilterData | None = None  # what all of that goes through
        self.slope: float | None = None  # with which it is chosen, see `residual.slope_beside`
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
        news = News(lambda step, mse: self.report(stage.name, step, stage.steps, decibels(mse)))
        for step in self._steps(stage, range(first, last)):
            stop_if_interrupted()
            if step % TOLD == TOLD - 1 or step == last - 1:
                news.tell(step + 1, self.mse)
        news.end()
        self.mse = float(self.mse)
        self.gap = widest_gap(self.model)
        if "camera" in self.model.params and stage.coding is Coding.CARRIED:
            # what is born next, and what is coded in the end, moves by the camera that was trained
            self.take_camera(coded_camera(home.array_of(self.model.maps()), self.model.size))

    def take_camera(self, camera: CameraData) -> None:
        """Let a camera take the model's means, and lead what is born, from now on."""
        assert self.scene is not None
        self.scene = replace(self.scene, camera=camera)
        self.model.set_maps(home.tensor_of(lines_of(camera, self.model.size)))

    def _steps(self, stage: Stage, numbers: range) -> Iterator[int]:
        """Take the steps of a stretch, and yield their numbers."""
        optimiser = self._optimiser(stage)
        frames, gap = (1, 1) if stage.key_only else (len(self.frames), self.gap)
        given = looks(frames, self.plan.step_frames, gap, map(stage.rate_at, numbers), self.generator)
        step = partial(self._step, stage, optimiser)
        if not on_gpu(self.model.params["mean"]):
            for number, look in zip(numbers, given, strict=True):
                step(look)
                yield number
            return
        if not numbers:
            return
        self.mse = torch.tensor(self.mse)
        schedule = Schedule(list(given), self.model.size)
        recording = self.compression is None or self.compression.repeats(stage.coding)
        record = recorder(self.frames.device) if recording else None
        replays = Replays(lambda kind: step(schedule.take(kind)), record, optimiser.drop)
        for number, kind in zip(numbers, schedule.kinds, strict=True):
            replays.run(kind)
            yield number

    def _step(self, stage: Stage, optimiser: Optimiser, look: Look) -> None:
        """One step. On a GPU it reads all that changes from tensors, changes them in place and waits for nothing."""
        self._backward(look, stage)
        before = self._carried_values()
        optimiser.step(look.share)
        self._slow_down(before)
        keep_in_range(self.model)

    def _backward(self, look: Look, stage: Stage) -> None:
        """Gradients of the loss on what a step looks at."""
        view = self.compression.view(stage.coding) if self.compression else self.model.params
        loss = self._loss(look, view, stage)
        numbers = self.frames[0].numel()
        self._note(loss, numbers)
        if self.compression:
            # The loss of the paper is the mean over the picture, this one half the sum: Adam does not mind the factor.
            loss = loss + self.compression.penalty() * (numbers / 2)
            if self.lmbda:
                loss = loss + self.lmbda / 2 * self.compression.rate()
        loss.backward()

    def _loss(self, look: Look, view: dict[str, Tensor], stage: Stage) -> Tensor:
        """Half the squared error of a frame, the mean over those that are looked at."""
        settings = self.plan.threads, stage.key_only, look.lattice
        if isinstance(look.frames, Tensor):
            targets = signed(self.frames).index_select(0, look.frames).view(self.frames.dtype)
            return self.model.loss(look.frames, view, targets, *settings)
        losses = [self.model.loss(index, view, self.frames[index], *settings) for index in look.frames]
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def _note(self, loss: Tensor, numbers: int) -> None:
        """Keep the mean squared error, by moving average, of losses on pictures of so many numbers."""
        if isinstance(self.mse, Tensor):
            there = 2 * loss.detach() / numbers
            self.mse.copy_(torch.where(self.mse.isnan(), there, 0.95 * self.mse + 0.05 * there))
        else:
            mse = 2 * loss.item() / numbers
            self.mse = mse if math.isnan(self.mse) else 0.95 * self.mse + 0.05 * mse

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

    @property
    def refined(self) -> bool:
        """Whether something is drawn besides the Gaussians."""
        return self.detail is not None or self.residual is not None

    def state(self) -> State:
        """The Gaussians, as far as dropping some changes them, and what is drawn besides, for `restore`."""
        return self.model.state(), self.frames, self.detail, self.residual

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        model, self.frames, self.detail, self.residual = state
        self.model.restore(model)

    @torch.no_grad()
    def psnr(self) -> float:
        """PSNR of the model as it is, without coding, in dB: the mean over the frames that are probed."""
        found = []
        for index in _spread(len(self.frames)):
            target = self.frames[index]
            loss = self.model.loss(index, self.model.params, target, self.plan.threads)
            found.append(decibels(2 * loss.item() / target.numel()))
        return sum(found) / len(found)

    def drop(self, load: float) -> None:
        """Keep the Gaussians that matter most for their bits, as many as make up `load`."""
        if load < self.model.load:
            order = self.worth_most()
            fitting = int((self.model.loads()[order].cumsum(0) <= load).sum())
            self.model.keep(order[: max(1, fitting)].sort().values)

    def brought_by_least(self, share: float) -> float:
        """Squared error of a frame, on average, if this share of the load were not there, of those that bring least."""
        importance, loads = self.importance(), self.model.loads()
        order = torch.argsort(importance / loads, stable=True)
        few = order[loads[order].cumsum(0) <= share * loads.sum()]
        return float(importance[few].sum())

    def worth_most(self) -> Tensor:
        """[N] indices of the Gaussians, those first that bring most for their bits."""
        return torch.argsort(self.importance() / self.model.loads(), descending=True, stable=True)


def unit_range(frame: Tensor) -> Tensor:
    """A frame of uint8 or uint16 as float32 in 0..1."""
    return frame.float().div_(255 if frame.dtype == torch.uint8 else 65535)


def decibels(mse: float) -> float:
    """PSNR in dB of a mean squared error of values in 0..1."""
    return -10 * math.log10(max(mse, 1e-10))


def _spread(frames: int) -> list[int]:
    """At most PROBED_FRAMES of `frames` frames, evenly spread."""
    return torch.linspace(0, frames - 1, min(PROBED_FRAMES, frames)).round().int().tolist()


def _rate(name: str, effort: Effort) -> float:
    if name in FIELD_TENSORS:
        return effort.lr_field * (TABLE_RATE if name.startswith("table") else 1.0)
    return effort.lr_gaussian * RATE[name]
