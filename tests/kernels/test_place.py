# SPDX-License-Identifier: MIT
"""Moving Gaussians at one time: the engines against the definition, the definition against finite differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels import PlaceSettings, reference_place
from gscodec.kernels.autograd import Place
from tests.kernels.parity import Array, peak
from tests.kernels.test_gradients import check_differences, leaves

MATRIX = ((0.6, 0.6, 0.6), (0.7, 0.0, -0.7), (0.4, -0.8, 0.4))
SETTINGS = PlaceSettings(3.5, 1.5, 4.0, 0.5, MATRIX, log_shape=True, weighted=True)


def parameters_of(count: int, degree: int, log_shape: bool, everything: bool = True) -> tuple:
    """Rows that take part, their times, and parameters; some windows are closed, some half open."""
    rng = np.random.default_rng(count + degree)
    shape = rng.normal(0, 1, (count, 3))
    if not log_shape:
        shape[:, ::2] = np.exp(shape[:, ::2])
    window = np.sort(rng.uniform(-2, 10, (count, 2)), 1).astype(np.float32)
    active = kernels.active_windows(window, 3.5, 1.5) if everything else None
    taking = count if active is None else len(active)
    tau = rng.uniform(-1, 1, taking if everything else 1).astype(np.float32)
    arrays = [rng.uniform(0, 50, (count, 2)), shape, rng.normal(size=(count, 3))]
    arrays.append(rng.normal(size=(count, degree, 2)) if degree else None)
    rest = rng.normal(size=(count, 3)), window, rng.normal(size=(taking, 2)), rng.normal(size=(taking, 3))
    arrays += rest if everything else [None] * 4
    return active, tau, [None if array is None else array.astype(np.float32) for array in arrays]


def filled(arrays: list[Array | None]) -> list[Array]:
    """As the reference takes them."""
    return [np.empty(0, np.float32) if array is None else array for array in arrays]


@pytest.mark.parametrize("count", [0, 1, 17, 5000])
@pytest.mark.parametrize("degree", [0, 1, 3])
@pytest.mark.parametrize("log_shape", [True, False])
@pytest.mark.parametrize("everything", [True, False])
def test_places_as_defined(cpu, count, degree, log_shape, everything):
    settings = replace(SETTINGS, log_shape=log_shape, weighted=everything)
    active, tau, arrays = parameters_of(count, degree, log_shape, everything)
    found = kernels.place(settings, active, tau, arrays)
    exact = reference_place.place(settings, active, tau, filled(arrays))
    grads = [np.random.default_rng(1).normal(size=array.shape).astype(np.float32) for array in exact]
    back = kernels.place_backward(settings, active, tau, arrays, grads)
    exact_back = reference_place.place_backward(settings, active, tau, filled(arrays), grads)
    for array, given in zip(back, arrays, strict=True):
        assert (array is None) == (given is None)
    pairs = [*zip(found, exact, strict=True)]
    pairs += [(a, b) for a, b in zip(back, exact_back, strict=True) if a is not None]
    for ours, truth in pairs:
        assert ours.shape == truth.shape
        assert ours.dtype == np.float32
        assert peak(ours, truth) <= 3e-6 * max(1, float(np.abs(truth).max(initial=0)))


@pytest.mark.parametrize("log_shape", [True, False])
def test_place_definition(log_shape):
    settings = replace(SETTINGS, log_shape=log_shape)
    active, tau, arrays = parameters_of(30, 2, log_shape)
    window = arrays.pop(5)
    exact = [array.astype(np.float64) for array in arrays]
    for part in range(3):
        douts = [np.zeros((len(active), columns)) for columns in (2, 3, 4)]
        douts[part] = np.random.default_rng(2).normal(size=douts[part].shape)
        full = [*exact[:5], window, *exact[5:]]
        grads = reference_place.place_backward(settings, active, tau, full, douts)
        grads.pop(5)  # a window's gradient is not the derivative: see below

        def run(*moved: Array, part: int = part) -> Array:
            return reference_place.place(settings, active, tau, [*moved[:5], window, *moved[5:]])[part]

        check_differences(run, exact, grads, douts[part])


def test_windows_ramp_and_learn_from_outside_their_ramps(engine):
    window = np.array([[0, 7], [3.5, 9], [4.2, 9], [4.4, 9], [9, 20], [-9, 2.8]], np.float32)
    active = kernels.active_windows(window, 3.5, 1.5)
    np.testing.assert_array_equal(active, [0, 1, 2, 3, 5])
    zeros = np.zeros((6, 3), np.float32)
    arrays = [zeros[:, :2], zeros, np.ones((6, 3), np.float32), None, None, window, None, None]
    identity = replace(SETTINGS, matrix=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    _, _, feature = kernels.place(identity, active, np.zeros(1, np.float32), arrays)
    np.testing.assert_allclose(feature[:, 3], [1, 0.5, 0.5 - 0.7 / 1.5, 0, 0.5 - 0.7 / 1.5], atol=1e-6)
    np.testing.assert_allclose(feature[:, 0], feature[:, 3])
    grads = [np.zeros((5, 2), np.float32), np.zeros((5, 3), np.float32), np.array([[0, 0, 0, 1]] * 5, np.float32)]
    back = kernels.place_backward(identity, active, np.zeros(1, np.float32), arrays, grads)[5]
    assert (back[[1, 2, 3], 0] < 0).all()
    assert back[5, 1] > 0
    assert not back[4].any()
    x = torch.tensor((3.5 - window[1:4, 0]) / 1.5 / 0.27, dtype=torch.float64)
    slope = torch.sigmoid(x) * torch.sigmoid(-x) / 0.27 / 1.5
    np.testing.assert_allclose(back[1:4, 0], -slope.numpy(), rtol=1e-5)


def test_threads_do_not_matter_and_order_is_checked(cpu):
    active, tau, arrays = parameters_of(9000, 1, True)
    grads = kernels.place(SETTINGS, active, tau, arrays)
    expected = kernels.place_backward(SETTINGS, active, tau, arrays, grads, threads=1)
    for threads in (2, 5):
        for a, b in zip(
            kernels.place_backward(SETTINGS, active, tau, arrays, grads, threads=threads), expected, strict=True
        ):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="order"):
        kernels.place(SETTINGS, active[::-1].copy(), tau, arrays)
    with pytest.raises(kernels.ShapeError, match="tau"):
        kernels.place(SETTINGS, active, tau[:-1], arrays)


def test_place_function(cpu):
    active, tau, arrays = parameters_of(40, 1, True)
    arrays[4] = None
    tensors = [None if array is None else leaves(array)[0] for array in arrays]
    found = Place.apply(SETTINGS, torch.from_numpy(active), torch.from_numpy(tau), 0, *tensors)
    sum(part.square().sum() for part in found).backward()
    grads = [2 * part for part in kernels.place(SETTINGS, active, tau, arrays)]
    for tensor, grad in zip(tensors, kernels.place_backward(SETTINGS, active, tau, arrays, grads), strict=True):
        if tensor is not None:
            np.testing.assert_array_equal(tensor.grad.numpy(), grad)
