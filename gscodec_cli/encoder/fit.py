# SPDX-License-Identifier: MIT
"""Train one GoP. Reads top to bottom: key frame, joint training, compression simulated (paper 001, section II.C and
appendices B, C).

Takes frames and a plan, gives a trained model with its quantisers. Knows no bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gscodec_cli.encoder.compression import Compression
from gscodec_cli.encoder.init import ResidualMap, add_gaussians, key_frame_model
from gscodec_cli.encoder.model import FIELD_TENSORS, GopModel, keep_in_range
from gscodec_cli.encoder.optimiser import Optimiser
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.tools import Effort

# Learning rate of each parameter relative to `lr_gaussian` (attributes) or `lr_field`: natural sizes differ (px, log,
# weight, frames).
RATE = {"mean": 20.0, "shape": 4.0, "colour": 1.5, "motion": 30.0, "drift": 1.0, "window": 25.0, "background": 1.0}
TABLE_RATE = 5.0  # hash tables against the MLP: an entry sees few of the samples
KEY_RATE = 2.0  # key frame stage against the joint stage
TUNE_RATE = 0.2
RATE_MODEL_LR = 0.1
PROBED_FRAMES, PROBES = 10, 3  # to find the Gaussians that matter least
FINAL_RATE = 0.1  # share of a stage's rate that is left at its end
BIRTH_ROUNDS = (0.1, 0.25, 0.4)  # of the joint stage
KEY_SHARE = 0.5  # of the Gaussians that begin; the rest is added to the residual
REPLACED = 0.15  # share of the Gaussians that every round of births replaces, those that matter least
SHRINK_SHARE = 0.25  # of the compression stage, after Gaussians were dropped to meet a rate
BIRTH_SHARE = 0.4  # of the Gaussians that are kept for births, where the profile has them

Report = Callable[[str, int, int, float], None]  # stage, step, steps, PSNR in dB of the last steps


@dataclass(frozen=True)
class Stage:
    """A stretch of training: name, steps, first and last share of the learning rates."""

    name: str
    steps: int
    rate: float
    final: float = FINAL_RATE

    def rate_at(self, step: float) -> float:
        """Half cosine from `rate` to `rate * final`."""
        return self.rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * step / max(self.steps, 1))))


class Trainer:
    """Optimises a model on frames [T, 3, H, W] uint8, one random frame a step."""

    def __init__(self, frames: Tensor, model: GopModel, plan: Plan, generator: torch.Generator, report: Report) -> None:
        self.frames, self.model, self.plan, self.generator, self.report = frames, model, plan, generator, report
        self.compression: Compression | None = None
        # Squared error of a frame that is worth one bit: the slope of a uniform quantiser, times what measured best.
        self.lmbda = plan.tools.rate_slope * plan.tools.amplitude_step**2
        self.mse = math.nan

    def run(self, stage: Stage, first: int, last: int, *, key_only: bool = False, noise: bool = False) -> None:
        """Steps first..last-1 of a stage; a new optimiser, since the set of Gaussians may have changed."""
        optimiser = self._optimiser(key_only)
        order = _frame_order(1 if key_only else len(self.frames), self.generator)
        for step in range(first, last):
            self._backward(next(order), noise, still=key_only)
            optimiser.step(stage.rate_at(step))
            keep_in_range(self.model)
            if step % 10 == 9 or step == last - 1:
                self.report(stage.name, step + 1, stage.steps, -10 * math.log10(max(self.mse, 1e-10)))

    def _backward(self, index: int, noise: bool, still: bool) -> None:
        """Gradients of the loss on one frame."""
        view = self.compression.view(noise) if self.compression else self.model.params
        target = self.frames[index]
        loss = self.model.loss(index, view, target, self.plan.threads, still=still)
        mse = 2 * loss.item() / target.numel()
        if self.compression:
            # The loss of the paper is the mean over the picture, this one half the sum: Adam does not mind the factor.
            loss = loss + self.compression.penalty() * (target.numel() / 2)
            if self.lmbda:
                loss = loss + self.lmbda / 2 * self.compression.rate()
        loss.backward()
        self.mse = mse if math.isnan(self.mse) else 0.95 * self.mse + 0.05 * mse

    def _optimiser(self, key_only: bool) -> Optimiser:
        effort, rates = self.plan.effort, []
        for name, value in self.model.params.items():
            if key_only and name not in ("mean", "shape", "colour", "background"):
                continue
            self.model.params[name] = value.detach().contiguous().requires_grad_()
            rates.append((self.model.params[name], _rate(name, effort)))
        if self.compression:
            rates += [(value, effort.lr_gaussian) for value in self.compression.learnables()]
            if self.lmbda:
                rates += [(value, RATE_MODEL_LR) for value in self.compression.rate_model.learnables()]
        return Optimiser(rates, self.plan.threads)

    @torch.no_grad()
    def add(self, count: int, indices: range, *, still: bool = False) -> None:
        """Add Gaussians where the frames `indices` of the GoP miss most."""
        found = ResidualMap(self.model.size, self.model.tools.normalised)
        for index in indices:
            picture = self.model.frame(index, self.model.params, self.plan.threads, still=still)
            found.add(picture, self.frames[index].float().div_(255))
        add_gaussians(self.model, found, count, self.generator)

    def importance(self) -> Tensor:
        """[N] estimated squared error in a frame, on average, if a Gaussian were not there.

        To second order that is the diagonal of the Gauss-Newton matrix of its weight, of which the squared gradient
        under a random sign per pixel is an unbiased sample (Hutchinson).
        """
        total = torch.zeros(self.model.count, 1)
        chosen = torch.linspace(0, len(self.frames) - 1, min(PROBED_FRAMES, len(self.frames))).round().int().tolist()
        view = {name: value.detach() for name, value in self.model.params.items()}
        for index in chosen:
            gain = torch.ones_like(total, requires_grad=True)
            picture = self.model.frame(index, view, self.plan.threads, gain=gain)
            for probe in range(PROBES):
                signs = torch.randint(0, 2, picture.shape, generator=self.generator).float().mul_(2).sub_(1)
                total += torch.autograd.grad(picture, gain, signs, retain_graph=probe + 1 < PROBES)[0].square()
        return total[:, 0] / (len(chosen) * PROBES)

    def drop(self, count: int) -> None:
        """Keep the `count` Gaussians that matter most."""
        if count < self.model.count:
            self.model.keep(torch.topk(self.importance(), count).indices.sort().values)


def fit_gop(
    frames: Tensor, plan: Plan, count: int, seed: int, report: Report, keep: Callable[[Trainer], int] | None = None
) -> Trainer:
    """Fit `count` Gaussians to frames [T, 3, H, W] uint8 and train them through quantisation.

    `keep` may say how many to keep of all that were trained, in place of `count`: before compression is simulated, and
    again when it has been for a while.
    Returns the trainer, whose `compression` is ready for `export`. `report` is called every ten steps.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    most = round(count * (1 + plan.tools.spare))
    trainer = _fit_key_frame(frames, plan, most, generator, report)
    if plan.choose_blend:
        trainer = _better_blend(trainer, most)
    _train_jointly(trainer, most)
    if not plan.tools.spare:
        keep = None
    trainer.drop(keep(trainer) if keep else count)
    _train_compressed(trainer, keep)
    return trainer


def shrink(trainer: Trainer, count: int) -> None:
    """Drop the Gaussians that bring least until `count` are left, and let the rest make up for them."""
    trainer.drop(count)
    steps = round(trainer.plan.effort.tune_iterations * SHRINK_SHARE)
    trainer.run(Stage("fit to rate", steps, TUNE_RATE * 0.5, 0.1), 0, steps)


def _better_blend(trainer: Trainer, count: int) -> Trainer:
    """Fit the key frame with the other blending too, and go on with the better of the two."""
    plan = trainer.plan
    tools = replace(plan.tools, normalised=not plan.tools.normalised)
    other = _fit_key_frame(trainer.frames, replace(plan, tools=tools), count, trainer.generator, trainer.report)
    return other if other.mse < trainer.mse else trainer


def _fit_key_frame(frames: Tensor, plan: Plan, count: int, generator: torch.Generator, report: Report) -> Trainer:
    """KFCI: a coarse fit of the first frame, in two rounds, the second where the first left most error."""
    tools, steps = plan.tools, plan.effort.key_iterations
    if tools.births and len(frames) > 1:
        count = round(count * (1 - BIRTH_SHARE))
    begin = max(1, round(count * KEY_SHARE))
    model = key_frame_model(frames[0].float().div_(255), begin, tools, len(frames), generator)
    trainer = Trainer(frames, model, plan, generator, report)
    stage = Stage("key frame", steps, KEY_RATE)
    half = round(steps * 0.35)
    trainer.run(stage, 0, half, key_only=True)
    if count > begin:
        trainer.add(count - begin, range(1), still=True)
    trainer.run(stage, half, steps, key_only=True)
    return trainer


def _train_jointly(trainer: Trainer, count: int) -> None:
    """All frames; Gaussians are born where and when the error is largest."""
    steps = trainer.plan.effort.joint_iterations
    stage = Stage("joint", steps, 1.0)
    rounds = BIRTH_ROUNDS if trainer.plan.tools.births and len(trainer.frames) > 1 else ()
    done = 0
    for left, share in zip(range(len(rounds), 0, -1), rounds, strict=True):
        trainer.run(stage, done, round(steps * share))
        done = round(steps * share)
        aim = trainer.model.count + (count - trainer.model.count) // left
        trainer.drop(round(trainer.model.count * (1 - REPLACED)))
        missing = aim - trainer.model.count
        if missing > 0:
            trainer.add(missing, range(len(trainer.frames)))
    trainer.run(stage, done, steps)


def _train_compressed(trainer: Trainer, keep: Callable[[Trainer], int] | None) -> None:
    """Quantisation in the loop.

    For `main` uniform noise first, then rounding; for `stgv` rounding throughout (paper 001, appendix C).
    """
    model, plan = trainer.model, trainer.plan
    if not plan.tools.shape_log:
        _to_linear_shape(model)
    trainer.compression = Compression(model, trainer.generator)
    steps = plan.effort.tune_iterations
    stage = Stage("compression", steps, TUNE_RATE, 0.05)
    noisy = round(steps * 0.7) if plan.tools.energy_colour else 0
    trainer.run(stage, 0, noisy, noise=True)
    if keep:
        trainer.drop(keep(trainer))
    trainer.run(stage, noisy, steps)


@torch.no_grad()
def _to_linear_shape(model: GopModel) -> None:
    """From (ln l11, l21 / l22, ln l22), in which training converges, to (l11, l21, l22), which `stgv` codes."""
    log11, ratio, log22 = model.params["shape"].unbind(1)
    l22 = log22.exp()
    model.params["shape"] = torch.stack([log11.exp(), ratio * l22, l22], 1)
    model.log_shape = False


def _rate(name: str, effort: Effort) -> float:
    if name in FIELD_TENSORS:
        return effort.lr_field * (TABLE_RATE if name.startswith("table") else 1.0)
    return effort.lr_gaussian * RATE[name]


def _frame_order(count: int, generator: torch.Generator) -> Iterator[int]:
    """Every frame once in random order, for ever."""
    while True:
        yield from torch.randperm(count, generator=generator).tolist()
