# SPDX-License-Identifier: MIT
"""The torch functions on tensors of the GPU give what they give on the CPU, gradients included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import autograd
from tests.kernels.parity import Array, make_field, make_geometry, make_scene, relative
from tests.kernels.test_field import coordinates
from tests.kernels.test_loss import mixture_of, scene_of, target_of
from tests.kernels.test_place import SETTINGS, parameters_of


@pytest.fixture
def compare(gpu, monkeypatch) -> Callable[..., None]:
    """Runs a function on the GPU and on the CPU, with gradients of random signs by its leaves, and compares."""
    home = kernels.registry.triton().default_device()

    def run(function: Callable[..., Any], arrays: list[Array | None], device: torch.device) -> list[torch.Tensor]:
        given = [None if a is None else torch.from_numpy(a.copy()).to(device).requires_grad_() for a in arrays]
        found = function(*given)
        found = found if isinstance(found, tuple) else (found,)
        rng = np.random.default_rng(3)
        signs = [torch.from_numpy(rng.choice([-1.0, 1.0], value.shape).astype(np.float32)) for value in found]
        sum((value * sign.to(device)).sum() for value, sign in zip(found, signs, strict=True)).backward()
        grads = [leaf.grad for leaf in given if leaf is not None and leaf.grad is not None]
        return [value.detach().cpu() for value in (*found, *grads)]

    def check(function: Callable[..., Any], arrays: list[Array | None], close: float = 1e-5) -> None:
        monkeypatch.setenv("GSV_BACKEND", "cpu")
        monkeypatch.setenv("GSV_CPU_ISA", "")
        expected = run(function, arrays, torch.device("cpu"))
        monkeypatch.setenv("GSV_BACKEND", "triton")
        found = run(function, arrays, home)
        assert kernels.last_engine().name == "triton"
        assert len(found) == len(expected)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours.shape == theirs.shape
            assert relative(ours.numpy(), theirs.double().numpy()) < close

    return check


def test_rasterize(compare):
    scene = make_scene(3, 30, (20, 33), 4)
    compare(lambda *splats: autograd.Rasterize.apply(*splats, scene.size), list(scene.arrays))


def test_splat_loss(compare):
    target = torch.from_numpy(target_of((19, 21), np.uint8))

    def loss(*tensors: torch.Tensor) -> torch.Tensor:
        return autograd.SplatLoss.apply(*tensors, target.to(tensors[0].device), 0.2)

    compare(loss, scene_of((19, 21), 4, 30))


@pytest.mark.parametrize("channels", [3, 4])
def test_splat_loss_of_several_frames_is_the_sum_of_theirs(gpu, monkeypatch, channels):
    from gscodec.kernels.triton import raster

    launches, draw = [], raster.launch
    monkeypatch.setattr(
        raster, "launch", lambda *arguments, **settings: launches.append(1) or draw(*arguments, **settings)
    )
    monkeypatch.setenv("GSV_BACKEND", "triton")
    home = kernels.registry.triton().default_device()
    frames = [make_scene(k, 20, (18, 35), channels).arrays for k in range(3)]
    splats = [np.stack(parts) for parts in zip(*frames, strict=True)]
    splats[2][..., 3:] = np.abs(splats[2][..., 3:])
    targets = np.stack([target_of((18, 35), np.uint8), *np.zeros((2, 3, 18, 35), np.uint8)])
    given = [torch.from_numpy(a.copy()).to(home).requires_grad_() for a in (*splats, np.full(3, 0.4, np.float32))]
    together = autograd.SplatLoss.apply(*given, torch.from_numpy(targets).to(home), 0.2)
    (3 * together).backward()
    assert len(launches) == 1
    losses, background = [], np.zeros(3)
    for k in range(3):
        error, *grads = kernels.splat_loss(
            *(part[k] for part in splats), given[3].detach().cpu().numpy(), targets[k], epsilon=0.2
        )
        losses.append(error / 2)
        background += 3 * grads[3]
        for tensor, grad in zip(given[:3], grads[:3], strict=True):
            np.testing.assert_array_equal(tensor.grad[k].cpu().numpy(), 3 * grad)
    assert float(together.detach()) == pytest.approx(sum(losses), rel=1e-6)
    np.testing.assert_allclose(given[3].grad.cpu().numpy(), background, rtol=1e-5)
    with pytest.raises(kernels.ShapeError, match="target"):
        autograd.SplatLoss.apply(*given, torch.from_numpy(targets[:2]).to(home), 0.2)


def test_mixture_bits(compare):
    x, step, *parts = mixture_of(60, 3)
    steps = torch.from_numpy(step)
    compare(lambda x, *parts: autograd.MixtureBits.apply(x, steps.to(x.device), *parts), [x, *parts])


@pytest.mark.parametrize("everything", [True, False])
def test_place(compare, everything):
    active, tau, arrays = parameters_of(40, 1, True, everything)
    settings = replace(SETTINGS, weighted=everything)

    def place(*tensors: torch.Tensor | None) -> Any:
        device = tensors[0].device
        rows = None if active is None else torch.from_numpy(active).to(device)
        return autograd.Place.apply(settings, rows, torch.from_numpy(tau).to(device), 0, *tensors)

    compare(place, arrays)


@pytest.mark.parametrize("each", [True, False])
@pytest.mark.parametrize("everything", [True, False])
def test_place_of_several_frames(compare, everything, each):
    positions, rng = [3.5, 0.0, 6.0], np.random.default_rng(4)
    _, _, arrays = parameters_of(40, 1, True, everything)
    tau = torch.from_numpy(rng.uniform(-1, 1, (3, 40) if each else (3, 1)).astype(np.float32))
    if everything:
        arrays[6:] = (rng.normal(size=(3, 40, width)).astype(np.float32) for width in (2, 3))

    def place(*tensors: torch.Tensor | None) -> Any:
        settings = replace(SETTINGS, weighted=everything)
        if autograd.on_gpu(*tensors):
            settings = replace(settings, index=torch.tensor(positions, device=tensors[0].device))
            when = tau.to(tensors[0].device)
            mean, *rest = autograd.Place.apply(settings, None, when if each else when[:, 0], 0, *tensors)
            shut = mean[..., :1].isnan()  # of the Gaussians that take no part
            return tuple(torch.where(shut, 0.0, part) for part in (mean, *rest))
        found = []
        for k, index in enumerate(positions):
            active = None
            if everything:
                active = torch.from_numpy(kernels.active_windows(arrays[5], index, SETTINGS.edge))
            taking = slice(None) if active is None else active
            mine = [part if part is None or n < 6 else part[k][taking] for n, part in enumerate(tensors)]
            time = tau[k][taking] if each else tau[k]
            placed = autograd.Place.apply(replace(settings, index=index), active, time.contiguous(), 0, *mine)
            found.append(
                [part.new_zeros(40, part.shape[1]).index_copy(0, torch.arange(40)[taking], part) for part in placed]
            )
        return tuple(torch.stack(parts) for parts in zip(*found, strict=True))

    compare(place, arrays)


@pytest.mark.parametrize("seed", [7 + 2**40, 2**64 - 3])
def test_a_seed_may_lie_on_the_device(gpu, seed):
    from gscodec.kernels.triton.quantise import quantise

    kernels.registry.select("triton")
    home = kernels.registry.triton().default_device()
    given = [torch.ones(40, 3, device=home), torch.ones(50, device=home)], [torch.full((3,), 0.5, device=home), 7]
    drawn = torch.tensor([seed - 2**64 if seed >= 2**63 else seed], device=home)
    for ours, theirs in zip(quantise(*given, drawn), quantise(*given, seed), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.std() > 0.01


@pytest.mark.parametrize("seed", [None, 7 + 2**40])
def test_quantise(compare, seed):
    rng = np.random.default_rng(1)
    x, table = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(12, 2)).astype(np.float32)
    step, parts = torch.tensor([0.1, 0.2, 0.4]), ((0, 5), (5, 12))

    def quantise(*tensors: torch.Tensor) -> Any:
        return autograd.Quantise.apply((step.to(tensors[0].device), (parts, 7)), seed, 0, *tensors)

    compare(quantise, [x, table], 1e-6)


def test_hash_encode(compare):
    geometry = make_geometry(3, 4)
    table = np.random.default_rng(2).normal(size=(geometry.total_entries, 4)).astype(np.float32)
    compare(lambda x, table: autograd.HashEncode.apply(x, table, geometry), [coordinates(1, 50, 3), table])


def test_field(compare):
    weights, xy = make_field(3, hidden=20), torch.from_numpy(coordinates(2, 40, 2))
    settings = weights.geometry2, weights.geometry3, weights.input_scale, weights.frequency_count

    def field(*tensors: torch.Tensor) -> Any:
        return autograd.FieldFunction.apply(xy.to(tensors[0].device), 0.35, *tensors, *settings)

    compare(field, weights.tensors)


def test_field_at_several_times(compare):
    weights, xy = make_field(3, hidden=20), torch.from_numpy(coordinates(2, 40, 2))
    settings = weights.geometry2, weights.geometry3, weights.input_scale, weights.frequency_count
    times = [0.35, 0.9, 0.0]

    def field(*tensors: torch.Tensor) -> Any:
        points = xy.to(tensors[0].device)
        if autograd.on_gpu(*tensors):
            return autograd.FieldFunction.apply(points, torch.tensor(times, device=points.device), *tensors, *settings)
        found = [autograd.FieldFunction.apply(points, t, *tensors, *settings) for t in times]
        return tuple(torch.stack(parts) for parts in zip(*found, strict=True))

    compare(field, weights.tensors)


def test_room_follows_what_was_needed(gpu):
    from gscodec.kernels.triton.room import LEAST, Room

    room, (home,) = Room(), (kernels.registry.triton().default_device(),)
    kernels.registry.select("triton")
    assert room.before(torch.tensor(10, device=home)) == LEAST
    first = Room().before(torch.tensor(100_000, device=home))
    assert first == 150_000
    room.before(torch.tensor(20_000, device=home))
    if home.type == "cuda":
        torch.cuda.synchronize()
    assert room.before(torch.tensor(20_000, device=home)) == 30_000
    assert room.before(torch.tensor(21_000, device=home)) == 30_000
