# SPDX-License-Identifier: MIT
"""Squared error of drawn frames and bits of mixtures: against their definitions, torch and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import reference_loss, torch_ref
from gscodec.kernels.autograd import MixtureBits, SplatLoss
from tests.kernels.parity import Array, assert_as_good, make_scene, relative
from tests.kernels.test_gradients import check_differences, leaves

SIZES = [(1, 1), (3, 5), (4, 4), (33, 130), (97, 70)]
LEAST = kernels.loss.LEAST_PROBABILITY


def target_of(size: tuple[int, int], dtype: type) -> Array:
    """Random samples of the whole range."""
    return np.random.default_rng(sum(size)).integers(0, np.iinfo(dtype).max, (3, *size), dtype, endpoint=True)


def scene_of(size: tuple[int, int], channels: int, count: int = 60) -> list[Array]:
    """Gaussians and a background; weights are positive, as blending needs them."""
    scene = make_scene(sum(size) + channels, count, size, channels)
    scene.feature[:, 3:] = np.abs(scene.feature[:, 3:])
    return [*scene.arrays, np.array([0.2, 0.5, 1.1], np.float32)]


def plain_loss(tensors: list[torch.Tensor], target: Array, epsilon: float) -> torch.Tensor:
    """The same in plain torch, in the precision of the tensors."""
    mean, conic, feature, background = tensors
    sums = torch_ref.rasterize(mean, conic, feature, target.shape[1:])
    if len(sums) == 4:
        sums = (sums[:3] + epsilon * background[:, None, None]) / (sums[3:] + epsilon)
    wanted = torch.from_numpy(target.astype(np.float64) / np.iinfo(target.dtype).max).to(sums.dtype)
    return (sums - wanted).square().sum() / 2


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def test_splat_loss_is_as_exact_as_float32_torch(cpu, size, channels, dtype):
    arrays, target = scene_of(size, channels), target_of(size, dtype)
    tensors = leaves(*arrays)
    loss = plain_loss(tensors, target, 0.2)
    loss.backward()
    error, *grads = kernels.splat_loss(*arrays, target, epsilon=0.2)
    exact_error, *exact = reference_loss.splat_loss(*arrays, target, 0.2)
    assert error == pytest.approx(exact_error, rel=1e-5)
    for found, truth, tensor in zip(grads, exact, tensors, strict=True):
        plain = np.zeros(3, np.float32) if tensor.grad is None else tensor.grad.numpy()
        assert_as_good(found, truth, plain, floor=4e-6)


@pytest.mark.parametrize("count", [0, 1])
def test_splat_loss_of_few_gaussians(engine, count):
    arrays, target = scene_of((9, 11), 4, count), target_of((9, 11), np.uint8)
    error, *grads = kernels.splat_loss(*arrays, target, epsilon=0.2)
    assert error == pytest.approx(2 * float(plain_loss(leaves(*arrays), target, 0.2).detach()), rel=1e-5)
    assert [grad.shape for grad in grads] == [(count, 2), (count, 3), (count, 4), (3,)]


def test_losses_do_not_depend_on_threads(cpu):
    arrays, target = scene_of((130, 90), 4, 300), target_of((130, 90), np.uint8)
    x, step, *mixture = mixture_of(3000, 3)
    one = kernels.splat_loss(*arrays, target, epsilon=0.2, threads=1)
    bits = kernels.mixture_bits(x, step, *mixture, threads=1)
    for threads in (2, 3, 7):
        for found, expected in (
            (kernels.splat_loss(*arrays, target, epsilon=0.2, threads=threads), one),
            (kernels.mixture_bits(x, step, *mixture, threads=threads), bits),
        ):
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_blend_loss_definition():
    rng = np.random.default_rng(1)
    sums, background = np.abs(rng.normal(size=(4, 5, 6))), rng.uniform(size=3)
    target = target_of((5, 6), np.uint8)

    def half(sums: Array, background: Array) -> Array:
        return np.array(reference_loss.blend_loss(sums, background, target, 0.2)[0] / 2)

    grads = reference_loss.blend_loss(sums, background, target, 0.2)[1:]
    check_differences(half, [sums, background], grads, np.array(1.0))


def test_splat_loss_function(cpu):
    arrays, target = scene_of((37, 41), 4), target_of((37, 41), np.uint8)
    ours, plain = leaves(*arrays), leaves(*arrays)
    (3 * SplatLoss.apply(*ours, torch.from_numpy(target), 0.2)).backward()
    (3 * plain_loss(plain, target, 0.2)).backward()
    for a, b in zip(ours, plain, strict=True):
        assert relative(a.grad.numpy(), b.grad.numpy()) < 2e-5


def test_wrong_targets_are_refused(engine):
    arrays = scene_of((4, 4), 4)
    with pytest.raises(kernels.ShapeError, match="target"):
        kernels.splat_loss(*arrays, np.zeros((3, 4, 4), np.float32), epsilon=0.2)
    with pytest.raises(kernels.ShapeError, match="epsilon"):
        kernels.splat_loss(*arrays, np.zeros((3, 4, 4), np.uint8))
    kernels.mixture_bits(*mixture_of(1, 1))  # runs the engine, which refusals do not reach


def mixture_of(count: int, columns: int, rows: bool = False) -> list[Array]:
    """Values from the middle to far out in the tails, steps from far below to far above the scales."""
    rng = np.random.default_rng(count + columns)
    x = rng.normal(0, 1, (count, columns)) * np.exp(rng.normal(0, 1.5, (count, columns)))
    step = np.exp(rng.normal(-1, 1.5, (count, columns) if rows else columns))
    parts = rng.normal(0, 1, (columns, 3)), rng.normal(0, 1, (columns, 3)), rng.normal(0, 1, (columns, 3))
    return [array.astype(np.float32) for array in (x, step, *parts)]


def plain_bits(x: torch.Tensor, step: torch.Tensor, *mixture: torch.Tensor) -> torch.Tensor:
    """The plain form, whose difference of sigmoids cancels."""
    mean, log_scale, logit = mixture
    z, half = x[..., None] - mean, step[..., None] / 2
    inverse = torch.exp(-log_scale)
    mass = torch.sigmoid((z + half) * inverse) - torch.sigmoid((z - half) * inverse)
    return -(mass * torch.softmax(logit, 1)).sum(-1).clamp_min(LEAST).log().sum() / math.log(2)


@pytest.mark.parametrize("rows", [False, True], ids=["step per column", "step per value"])
@pytest.mark.parametrize("columns", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 1025])
def test_mixture_bits_are_as_exact_as_float32_torch(cpu, count, columns, rows):
    arrays = mixture_of(count, columns, rows)
    tensors = leaves(*arrays)
    plain_bits(*tensors).backward()
    bits, *grads = kernels.mixture_bits(*arrays)
    exact_bits, *exact = reference_loss.mixture_bits(*arrays, LEAST)
    assert bits == pytest.approx(exact_bits, rel=2e-6)
    for found, truth, k in zip(grads, exact, (0, 2, 3, 4), strict=True):
        assert_as_good(found, truth, tensors[k].grad.numpy(), floor=4e-6)


@pytest.mark.parametrize("rows", [False, True])
def test_mixture_definition(rows):
    x, step, *mixture = (array.astype(np.float64) for array in mixture_of(40, 2, rows))
    grads = reference_loss.mixture_bits(x, step, *mixture, LEAST)[1:]

    def bits(x: Array, *mixture: Array) -> Array:
        return np.array(reference_loss.mixture_bits(x, step, *mixture, LEAST)[0])

    check_differences(bits, [x, *mixture], grads, np.array(1.0))


def test_narrow_and_wide_steps_keep_their_digits(engine):
    mixture = [np.zeros((1, 3), np.float32) for _ in range(3)]
    for width, expected in ((1e-4, -math.log2(1e-4 / 4)), (1e4, 0.0)):  # the density of a logistic at 0 is 1/4
        bits, dx, *_ = kernels.mixture_bits(np.zeros((1, 1), np.float32), np.array([width], np.float32), *mixture)
        assert bits == pytest.approx(expected, abs=1e-5)
        assert abs(dx[0, 0]) < 1e-6


def test_values_beyond_the_tails_cost_a_bounded_number_of_bits(engine):
    mixture = [np.zeros((1, 3), np.float32) for _ in range(3)]
    x = np.array([[1e30], [-1e30], [300]], np.float32)
    bits, *grads = kernels.mixture_bits(x, np.ones(1, np.float32), *mixture)
    assert bits == pytest.approx(-3 * math.log2(LEAST), rel=1e-6)
    assert not any(grad.any() for grad in grads)


def test_mixture_function(cpu):
    arrays = mixture_of(50, 3)
    arrays[0], arrays[1][:], arrays[3][:] = arrays[0].clip(-3, 3), 1, 0  # where the plain form keeps its digits
    ours, plain = leaves(*arrays), leaves(*arrays)
    (0.5 * MixtureBits.apply(*ours)).backward()
    (0.5 * plain_bits(*plain)).backward()
    for k in (0, 2, 3, 4):
        assert relative(ours[k].grad.numpy(), plain[k].grad.numpy()) < 2e-5
    assert ours[1].grad is None
