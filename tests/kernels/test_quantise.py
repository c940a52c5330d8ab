# SPDX-License-Identifier: MIT
"""Rounding to steps and noise in its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gscodec import kernels
from gscodec.kernels.autograd import Quantise
from tests.kernels.parity import Array


def values_of(*shape: int) -> Array:
    """From far below a step to beyond the integers that a float32 holds with a fraction."""
    rng = np.random.default_rng(sum(shape))
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 8, shape)).astype(np.float32)


def steps_of(*shape: int) -> Array:
    """Positive, of different sizes."""
    return np.exp(np.random.default_rng(len(shape)).normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("count", [0, 1, 15, 16, 9000])
def test_rounding_is_exactly_that_of_a_decoder(engine, count, columns):
    x = values_of(count, columns)
    for step in (steps_of(columns), steps_of(count, columns)):
        (found,) = kernels.quantise([x], [step])
        np.testing.assert_array_equal(found, np.round(x / step) * step)
        assert found.dtype == np.float32


def test_ties_go_to_even(engine):
    x = np.array([[-2.5], [-1.5], [-0.5], [0.5], [1.5], [2.5]], np.float32)
    (found,) = kernels.quantise([x], [np.ones(1, np.float32)])
    np.testing.assert_array_equal(found[:, 0], [-2, -2, 0, 0, 2, 2])


def test_a_limit_stands_for_the_step_that_reaches_the_largest_magnitude(engine):
    arrays = [values_of(40, 3), np.zeros((4, 4), np.float32), values_of(7)]
    for x, found in zip(arrays, kernels.quantise(arrays, [7, 63, 1]), strict=True):
        assert np.abs(found).max() == pytest.approx(np.abs(x).max())
        assert found.shape == x.shape
    step = np.float32(float(np.abs(arrays[0]).max()) / 7)
    np.testing.assert_array_equal(kernels.quantise(arrays[:1], [7])[0], np.round(arrays[0] / step) * step)


def test_noise_is_uniform_and_differs_from_array_to_array_and_seed_to_seed(engine):
    x, step = np.zeros((20_000, 3), np.float32), np.array([1, 2, 4], np.float32)
    one, two = kernels.quantise([x, x], [step, step], 5)
    (three,) = kernels.quantise([x], [step], 5 + 2**40)
    for noise in (one, two, three):
        unit = np.sort((noise / step).ravel())
        assert unit.min() >= -0.5
        assert unit.max() <= 0.5
        assert np.abs(unit - np.linspace(-0.5, 0.5, len(unit))).max() < 2 / np.sqrt(len(unit))
        assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 0.03
        assert abs(np.corrcoef(noise[1:, 0], noise[:-1, 0])[0, 1]) < 0.03
    assert np.abs(np.corrcoef([a.ravel() for a in (one, two, three)]) - np.eye(3)).max() < 0.02
    np.testing.assert_array_equal(kernels.quantise([x, x], [step, step], 5)[1], two)


def test_noise_is_the_same_on_every_engine_and_for_any_number_of_threads(cpu):
    x, step = values_of(31_000, 3), steps_of(3)
    exact = kernels.quantise([x[:9], x], [4, step], 99, backend="reference")
    for threads in (1, 2, 5):
        for found, expected in zip(kernels.quantise([x[:9], x], [4, step], 99, threads=threads), exact, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found, kernels.quantise([x[:9], x], [4, step], 99, threads=1)[1])


@pytest.mark.parametrize("seed", [None, 2**63 + 7])
def test_arrays_of_one_call_are_the_same_on_a_gpu(gpu, seed):
    arrays = [values_of(2100, 2), values_of(7), values_of(40, 3), np.zeros((0, 2), np.float32), values_of(1024)]
    steps = [127, 1, steps_of(3), 7, 2**20]
    exact = kernels.quantise(arrays, steps, seed, backend="reference")
    for found, expected in zip(kernels.quantise(arrays, steps, seed), exact, strict=True):
        close = 0 if seed is None else 2e-7 * np.abs(expected).max(initial=0)  # a sum with noise is rounded
        np.testing.assert_allclose(found, expected, rtol=0, atol=close)


@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf])
def test_an_array_that_is_not_finite_has_no_step(gpu, bad):
    x, other = values_of(1500), values_of(6, 2)
    x[1300] = bad
    spoilt, whole = kernels.quantise([x, other], [7, 7])
    assert np.isnan(spoilt).all()
    np.testing.assert_array_equal(whole, kernels.quantise([other], [7])[0])


def test_quantise_function(cpu):
    x = torch.from_numpy(values_of(20, 3)).requires_grad_()
    table = torch.from_numpy(values_of(12, 2)).requires_grad_()
    step, parts = torch.from_numpy(steps_of(3)), ((0, 5), (5, 12))
    found, rows = Quantise.apply((step, (parts, 7)), None, 0, x, table)
    np.testing.assert_array_equal(found.detach().numpy(), kernels.quantise([x.detach().numpy()], [step.numpy()])[0])
    for begin, end in parts:
        part = table.detach().numpy()[begin:end]
        np.testing.assert_array_equal(rows[begin:end].detach().numpy(), kernels.quantise([part], [7])[0])
    (found.square().sum() + 3 * rows.sum()).backward()
    np.testing.assert_array_equal(x.grad, 2 * found.detach())
    assert (table.grad == 3).all()


def test_steps_that_do_not_fit_are_refused(engine):
    x = np.zeros((4, 3), np.float32)
    for step in (np.ones(2, np.float32), np.ones((3, 3), np.float32), 0):
        with pytest.raises(kernels.ShapeError, match="steps"):
            kernels.quantise([x], [step])
    with pytest.raises(kernels.ShapeError, match="steps"):
        kernels.quantise([x], [])
    kernels.quantise([x], [1])
