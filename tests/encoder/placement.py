# SPDX-License-Identifier: MIT
"""Steps of training on a device that is not the CPU, on a machine that has none: does every tensor follow?

    TRITON_INTERPRET=1 python -m tests.encoder.placement

Torch's device `meta` stands in for a GPU: its tensors have shapes and no numbers, and an operation that mixes them with
tensors of the CPU is refused, as it would be with a GPU's. Kernels are not launched. Prints the profiles that pass.
"""

from __future__ import annotations

import importlib
import itertools
import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gscodec.kernels import registry
from gscodec_cli.encoder import compression
from gscodec_cli.encoder.compression import Coding
from gscodec_cli.encoder.init import ResidualMap, add_gaussians, key_frame_model
from gscodec_cli.encoder.lattice import Lattice
from gscodec_cli.encoder.options import EncodeOptions, resolve
from gscodec_cli.encoder.steps import Look, Schedule
from gscodec_cli.encoder.trainer import Stage, Trainer

MODULES = ("binning", "hashing", "mixture", "network", "optimiser", "quantise", "raster", "raster_backward", "training")


def stand_in() -> None:
    """Make `meta` pass for a GPU, and leave out what needs one: kernels, page-locked memory, Adam's own kernel."""
    registry.triton()
    package = "gscodec.kernels.triton."
    torch.Tensor.is_cuda = property(lambda tensor: tensor.device.type == "meta")  # type: ignore[assignment]
    importlib.import_module(package + "launch").INTERPRETED = False
    for name in MODULES:
        importlib.import_module(package + name).launch = lambda *arguments, **settings: None
    importlib.import_module(package + "room").Room.before = lambda self, total, wait: 1000
    adam = torch.optim.Adam

    def plain_adam(groups: Any, fused: bool, capturable: bool, **options: Any) -> torch.optim.Optimizer:
        assert all(group["lr"].is_cuda for group in groups)
        return adam([group | {"lr": 0.1} for group in groups], foreach=False, **options)

    torch.optim.Adam = plain_adam  # type: ignore


class NothingIsSent(TorchFunctionMode):
    """Refuses to make tensors of numbers and to move tensors between devices: on a GPU the host would wait for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        made = func in (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) and found.is_cuda
        moved = func in (torch.Tensor.to, torch.Tensor.cuda) and found.is_cuda != args[0].is_cuda
        if made or moved:
            raise RuntimeError(f"{func.__name__} waits for the GPU")
        return found


def check(profile: str) -> None:
    """The key frame, steps with and without coding, importance and births."""
    compression._level_rows = lambda entries: tuple(itertools.pairwise([0, *itertools.accumulate(entries)]))
    plan = resolve(EncodeOptions(profile=profile))
    plan = replace(plan, tools=replace(plan.tools, drift=profile == "main", lattice=False))
    frames = torch.zeros(3, 3, 20, 28, dtype=torch.uint8)
    no_generator: Any = None  # one of a GPU cannot be made here
    model = key_frame_model(frames[0].float().div_(255), 30, plan.tools, 3, no_generator)
    if profile == "main":
        model.params["camera"] = torch.zeros(3, 2, 3)
    trainer = Trainer(frames, model, plan, no_generator, lambda *told: None, None)
    trainer.mse = torch.tensor(math.nan)
    for key_only in (True, False):
        steps(trainer, Stage("joint", 1, 1.0, key_only=key_only))
    if profile == "main":  # the codebooks of stgv are made from numbers
        trainer.compression = compression.Compression(model, no_generator)
        for coding in (Coding.NOISE, Coding.ROUND):
            trainer.compression.prepare(coding)
            steps(trainer, Stage("compression", 1, 1.0, coding=coding))
    model.loss(1, model.params, frames[1], 0).backward()
    gain = torch.ones(30, 1, requires_grad=True)
    picture = model.frame(0, {name: value.detach() for name, value in model.params.items()}, 0, gain=gain)
    torch.autograd.grad(picture, gain, torch.zeros_like(picture))
    found = ResidualMap(model.size, True)
    found.add(picture.detach(), frames[0].float())
    add_gaussians(model, found, 5, no_generator, None)
    assert all(value.is_cuda for value in model.params.values())


def steps(trainer: Trainer, stage: Stage) -> None:
    """Whole steps of one frame and of two, on all pixels and on a lattice's."""
    optimiser = trainer._optimiser(stage)
    for frames, lattice in itertools.product([(0,), (2, 0)], [None, Lattice(2, 0, 1)]):
        schedule = Schedule([Look(frames, lattice, 0.5)] * 2, trainer.model.size)
        for watch in (nullcontext(), NothingIsSent()):  # constants are sent in the first step
            with watch:
                trainer._step(stage, optimiser, schedule.take(schedule.kinds[0]))


def main() -> None:
    """Check both profiles, and that a tensor left behind or sent is noticed."""
    stand_in()
    try:
        torch.zeros(3, device="meta") + torch.zeros(3)
    except RuntimeError:
        print("mixtures are refused")
    try:
        with torch.device("meta"), NothingIsSent():
            torch.tensor([1.0])
    except RuntimeError:
        print("numbers are refused")
    with torch.device("meta"):
        for profile in ("main", "stgv"):
            check(profile)
            print(profile)


if __name__ == "__main__":
    main()
