# SPDX-License-Identifier: MIT
"""A lattice's picture is the frame's at its pixels, and the lattices of one gap share the frame's loss out."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
import torch

from gscodec_cli.encoder.home import generator
from gscodec_cli.encoder.init import key_frame_model
from gscodec_cli.encoder.lattice import Lattice, random_lattices, widest_gap
from gscodec_cli.encoder.model import GopModel
from gscodec_cli.encoder.presets import PROFILES

HEIGHT, WIDTH = 37, 50


def model_of(profile: str) -> tuple[GopModel, torch.Tensor]:
    """A model of 40 moving Gaussians, and the frames it is for."""
    frames = torch.randint(0, 256, (3, 3, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator(1))
    model = key_frame_model(frames[0].float() / 255, 40, PROFILES[profile].tools, 3, generator(2))
    for name in ("motion", "shape"):
        if name in model.params:
            model.params[name] += torch.randn(model.params[name].shape, generator=generator(3)) * 0.3
    model.params = {name: value.detach().requires_grad_() for name, value in model.params.items()}
    return model, frames


def lattices(gap: int) -> list[Lattice]:
    """All of one gap: each pixel is in one of them."""
    return [Lattice(gap, x, y) for x, y in itertools.product(range(gap), repeat=2)]


@pytest.mark.parametrize("gap", [2, 3, 4])
@pytest.mark.parametrize("profile", ["main", "stgv"])
def test_the_lattices_of_a_gap_share_the_loss_and_its_gradients(profile, gap):
    model, frames = model_of(profile)
    loss = model.loss(1, model.params, frames[1], 1)
    loss.backward()
    whole = {name: value.grad for name, value in model.params.items()}
    for value in model.params.values():
        value.grad = None
    parts = []
    for lattice in lattices(gap):
        share = lattice.of(frames[1]).numel() / frames[1].numel()
        part = share * model.loss(1, model.params, frames[1], 1, lattice=lattice)
        part.backward()
        parts.append(part.item())
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(loss.item(), rel=1e-5)
    for name, value in model.params.items():
        if whole[name] is None:
            assert value.grad is None
        else:
            size = whole[name].abs().max().item()
            torch.testing.assert_close(value.grad, whole[name], rtol=1e-3, atol=1e-4 * size, msg=name)


def test_a_lattice_sees_its_own_pixels():
    frame = torch.arange(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH)
    seen = Lattice(3, 2, 1).of(frame)
    assert seen.shape == (1, 12, 16)
    assert seen[0, 2, 5] == (1 + 2 * 3) * WIDTH + 2 + 5 * 3


@pytest.mark.parametrize(("size", "gap"), [(1.0, 1), (2.0, 2), (5.0, 3), (8.0, 4)])
def test_wide_gaussians_allow_wide_gaps(size, gap):
    model, _ = model_of("main")
    model.size = (480, 640)
    model.params["shape"].detach()[:, 0::2] = math.log(size)
    assert widest_gap(model) == gap
    model.size = (70, 640)
    assert widest_gap(model) == min(gap, 2), "too few rows would be left"
    model.tools = replace(model.tools, lattice=False)
    assert widest_gap(model) == 1


def test_no_gaussians_allow_no_gap():
    model, _ = model_of("main")
    model.keep(torch.zeros(0, dtype=torch.int64))
    assert widest_gap(model) == 1


def test_offsets_are_random_and_reach_all_pixels():
    assert list(itertools.islice(random_lattices(1, generator(0)), 3)) == [None] * 3
    found = list(itertools.islice(random_lattices(3, generator(0)), 600))
    assert set(found) == set(lattices(3))
    assert found != list(itertools.islice(random_lattices(3, generator(1)), 600))
