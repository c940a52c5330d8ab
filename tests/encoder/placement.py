# SPDX-License-Identifier: MIT
"""Steps of training on a device that is not the CPU, on a machine that has none: does every tensor follow?

    TRITON_INTERPRET=1 python -m tests.encoder.placement

Torch's device `meta` stands in for a GPU: its tensors have shapes and no numbers, and an operation that mixes them with
tensors of the CPU is refused, as it would be with a GPU's. Kernels are not launched. Prints the profiles that pass.
"""

from __future__ import annotations

import importlib
import itertools
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from gscodec.kernels import registry
from gscodec_cli.encoder import compression
from gscodec_cli.encoder.init import ResidualMap, add_gaussians, key_frame_model
from gscodec_cli.encoder.lattice import Lattice
from gscodec_cli.encoder.model import keep_in_range
from gscodec_cli.encoder.optimiser import Optimiser
from gscodec_cli.encoder.presets import PROFILES

MODULES = ("binning", "hashing", "mixture", "network", "optimiser", "quantise", "raster", "raster_backward", "training")


def stand_in() -> None:
    """Make `meta` pass for a GPU, and leave out what needs one: kernels, page-locked memory, Adam's own kernel."""
    registry.triton()
    package = "gscodec.kernels.triton."
    torch.Tensor.is_cuda = property(lambda tensor: tensor.device.type == "meta")  # type: ignore[assignment]
    importlib.import_module(package + "launch").INTERPRETED = False
    for name in MODULES:
        importlib.import_module(package + name).launch = lambda *arguments, **settings: None
    importlib.import_module(package + "room").Room.before = lambda self, total: 1000
    adam = torch.optim.Adam
    torch.optim.Adam = lambda groups, fused, **options: adam(groups, foreach=False, **options)  # type: ignore


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
    tools = replace(PROFILES[profile].tools, drift=profile == "main")
    frames = torch.zeros(3, 3, 20, 28, dtype=torch.uint8)
    no_generator: Any = None  # one of a GPU cannot be made here
    model = key_frame_model(frames[0].float().div_(255), 30, tools, 3, no_generator)
    if profile == "main":
        model.params["camera"] = torch.zeros(3, 2, 3)
    model.params = {name: value.detach().requires_grad_() for name, value in model.params.items()}
    for watch in (nullcontext(), NothingIsSent()):  # constants are sent in the first step
        with watch:
            for still in (True, False):
                for lattice in (None, Lattice(2, 0, 1)):
                    model.loss(1, model.params, frames[1], 0, still, lattice).backward()
            keep_in_range(model)
    Optimiser([(value, 0.1) for value in model.params.values()], 0).step(0.5)
    keep_in_range(model)
    if profile == "main":  # the codebooks of stgv are made from numbers
        coded = compression.Compression(model, no_generator)
        for coding in (compression.Coding.NOISE, compression.Coding.ROUND):
            coded.prepare(coding)
            with NothingIsSent():
                loss = model.loss(2, coded.view(coding), frames[2], 0) + coded.rate() + coded.penalty()
                loss.backward()
    gain = torch.ones(30, 1, requires_grad=True)
    picture = model.frame(0, {name: value.detach() for name, value in model.params.items()}, 0, gain=gain)
    torch.autograd.grad(picture, gain, torch.zeros_like(picture))
    found = ResidualMap(model.size, True)
    found.add(picture.detach(), frames[0].float())
    add_gaussians(model, found, 5, no_generator, None)
    assert all(value.is_cuda for value in model.params.values())


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
