# SPDX-License-Identifier: MIT
"""Train one GoP. Reads top to bottom: key frame, joint training, compression simulated (paper 001, section II.C and
appendices B, C).

Takes frames, a plan and an aim, gives a trained model with its quantisers. Knows no bytes.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from gscodec_cli.encoder import home
from gscodec_cli.encoder.camera import Scene
from gscodec_cli.encoder.compression import Coding, Compression
from gscodec_cli.encoder.init import key_frame_model
from gscodec_cli.encoder.model import GopModel
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.trainer import Report, Stage, Trainer, unit_range

if TYPE_CHECKING:
    from gscodec_cli.encoder.rate import Aim

KEY_RATE = 2.0  # key frame stage against the joint stage
TUNE_RATE = 0.2
# Rounds of births in the joint stage: so many steps apart, but within these shares of it, up to the last share.
BIRTHS_APART, LEAST_APART, MOST_APART, LAST_BIRTHS = 140, 0.05, 0.15, 0.6
KEY_SHARE = 0.5  # of the Gaussians that begin; the rest is added to the residual
REPLACED = 0.15  # share of the Gaussians that every round of births replaces, those that matter least
CORRECTION = 0.1  # of the compression stage, after Gaussians were dropped or added to meet a target
# Of the compression stage: where Gaussians go, and how many times as many as are wanted stay, since the bits of each
# still get fewer. From SHARED on detail, residual and Gaussians share the bits, for the last time at REFINED.
SHARED, REFINED = 0.35, 0.82
NOISY = (0.2, 1.1), (SHARED, 1.05), (0.7, 1.0)
BIRTH_SHARE = 0.4  # of the Gaussians that are kept for births, where the profile has them


class Refine(Protocol):
    """Gives a trainer the detail that its Gaussians leave out and the residual of each frame, if they are worth it.

    What the detail leaves is trained towards. The `last` time they take no more bits than there are.
    """

    def __call__(self, trainer: Trainer, *, last: bool = False) -> None: ...


def fit_gop(
    frames: Tensor,
    plan: Plan,
    aim: Aim,
    seed: int,
    report: Report,
    predicted: GopModel | None,
    scene: Scene | None,
    refine: Refine,
) -> Trainer | None:
    """Fit Gaussians to frames [T, 3, H, W] uint8 or uint16 and train them through quantisation.

    As many as `aim` asks for. `predicted`: what the GoP before leaves, for a GoP that is predicted from it.
    `scene`: how the picture moves, where that is known. `refine`: gives what is trained a new detail.
    Returns the trainer, whose `compression` is ready for `export`; None where the aim wants to begin anew. `report` is
    called every ten steps.
    """
    torch.manual_seed(seed)
    plan = replace(plan, effort=plan.effort.for_gop(len(frames)))
    generator = home.generator(seed)
    spare = 1 + plan.tools.spare
    if predicted is None:
        trainer = _fit_key_frame(frames, plan, round(aim.start() * spare), generator, report, scene)
        if plan.choose_blend:
            trainer = _better_blend(trainer, round(aim.start() * spare))
        trainer.start_moving()
    else:
        trainer = Trainer(frames, predicted, plan, generator, report, scene)
    if scene is not None and scene.camera is not None:
        trainer.take_camera(scene.camera)
    _train_jointly(trainer, aim)
    if not aim.learn(trainer):
        return None
    refine(trainer)
    trainer.drop(aim.keep(trainer))
    _train_compressed(trainer, aim, refine)
    aim.settle(trainer)
    if trainer.refined:  # Gaussians went on moving under it
        refine(trainer, last=True)
        aim.settle(trainer)
    return trainer


def shrink(trainer: Trainer, load: float) -> None:
    """Drop the Gaussians that bring least until `load` is left, and let the rest make up for them."""
    trainer.drop(load)
    _correct(trainer, Coding.ROUND)


def extend(trainer: Trainer, load: float) -> None:
    """Add Gaussians to the residual until there is `load`."""
    trainer.add(max(1, round(load - trainer.model.load)), range(len(trainer.frames)))
    _correct(trainer, Coding.NOISE if trainer.plan.tools.energy_colour else Coding.ROUND)
    _correct(trainer, Coding.ROUND)


def _correct(trainer: Trainer, coding: Coding) -> None:
    steps = round(trainer.plan.effort.tune_iterations * CORRECTION)
    rate = TUNE_RATE if coding is Coding.NOISE else TUNE_RATE * 0.5
    trainer.run(Stage("fit to target", steps, rate, 0.1, coding), 0, steps)


def _better_blend(trainer: Trainer, count: int) -> Trainer:
    """Fit the key frame with the other blending too, and go on with the better of the two."""
    plan = trainer.plan
    tools = replace(plan.tools, normalised=not plan.tools.normalised)
    plan = replace(plan, tools=tools)
    other = _fit_key_frame(trainer.frames, plan, count, trainer.generator, trainer.report, trainer.scene)
    return other if other.mse < trainer.mse else trainer


def _fit_key_frame(
    frames: Tensor, plan: Plan, count: int, generator: torch.Generator, report: Report, scene: Scene | None
) -> Trainer:
    """KFCI: a coarse fit of the first frame, in two rounds, the second where the first left most error."""
    tools, steps = plan.tools, plan.effort.key_iterations
    if tools.births and len(frames) > 1:
        count = round(count * (1 - BIRTH_SHARE))
    begin = max(1, round(count * KEY_SHARE))
    model = key_frame_model(unit_range(frames[0]), begin, tools, len(frames), generator)
    trainer = Trainer(frames, model, plan, generator, report, scene)
    stage = Stage("key frame", steps, KEY_RATE, key_only=True)
    half = round(steps * 0.35)
    trainer.run(stage, 0, half)
    if count > begin:
        trainer.add(count - begin, range(1), still=True)
    trainer.run(stage, half, steps)
    return trainer


def _train_jointly(trainer: Trainer, aim: Aim) -> None:
    """All frames; Gaussians are born where and when the error is largest."""
    steps = trainer.plan.effort.joint_iterations
    stage = Stage("joint", steps, 1.0)
    rounds = _birth_rounds(steps) if trainer.plan.tools.births and len(trainer.frames) > 1 else []
    if trainer.model.carried is not None:
        rounds = [0.0, *rounds]  # what is new in the GoP's frames is missing from the start
    done = 0
    for left, share in zip(range(len(rounds), 0, -1), rounds, strict=True):
        trainer.run(stage, done, round(steps * share))
        done = round(steps * share)
        load = trainer.model.load
        wanted = load + (aim.grow(trainer) * (1 + trainer.plan.tools.spare) - load) / left
        trainer.drop(min(wanted, load * (1 - REPLACED)))
        missing = round(wanted - trainer.model.load)
        if missing > 0:
            trainer.add(missing, range(len(trainer.frames)))
    trainer.run(stage, done, steps)


def _birth_rounds(steps: int) -> list[float]:
    """When Gaussians are born, in shares of a joint stage of so many steps."""
    apart = min(max(BIRTHS_APART / max(steps, 1), LEAST_APART), MOST_APART)
    return [apart * number for number in range(1, math.floor(LAST_BIRTHS / apart + 1e-6) + 1)]


def _train_compressed(trainer: Trainer, aim: Aim, refine: Refine) -> None:
    """Quantisation in the loop.

    For `main` uniform noise first, then rounding; for `stgv` rounding throughout (paper 001, appendix C).
    """
    model, plan = trainer.model, trainer.plan
    if not plan.tools.shape_log:
        _to_linear_shape(model)
    trainer.compression = trainer.compression or Compression(model, trainer.generator)
    steps, done = plan.effort.tune_iterations, 0
    noise, rounding = (Stage("compression", steps, TUNE_RATE, 0.05, coding) for coding in (Coding.NOISE, Coding.ROUND))
    for share, loose in NOISY if plan.tools.energy_colour else ():
        begun, done = done, round(steps * share)
        trainer.run(noise, begun, done)
        if share < SHARED:
            aim.learn(trainer)
        if share == SHARED or (share > SHARED and trainer.refined):
            refine(trainer)
        if plan.tools.spare:
            trainer.drop(aim.keep(trainer) * loose)
    if trainer.refined:
        begun, done = done, round(steps * REFINED)
        trainer.run(rounding, begun, done)
        refine(trainer)
        trainer.drop(aim.keep(trainer))
    trainer.run(rounding, done, steps)


@torch.no_grad()
def _to_linear_shape(model: GopModel) -> None:
    """From (ln l11, l21 / l22, ln l22), in which training converges, to (l11, l21, l22), which `stgv` codes."""
    log11, ratio, log22 = model.params["shape"].unbind(1)
    l22 = log22.exp()
    model.params["shape"] = torch.stack([log11.exp(), ratio * l22, l22], 1)
    model.log_shape = False
