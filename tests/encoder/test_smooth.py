# SPDX-License-Identifier: MIT
"""The filter of a GoP: weights that bring what is drawn back to what was wanted, where that is worth their bits."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from gscodec.format.records import FilterData
from gscodec.kernels.reference_filter import OFFSETS, filter_picture
from gscodec_cli.encoder.smooth import fit_filter

BITS = 100_000.0


def pictures(count: int = 3) -> np.ndarray:
    """[T, 40, 56, 3] uint8: soft noise."""
    rng = np.random.default_rng(3)
    found = rng.normal(128, 60, (count, 44, 60, 3))
    for axis in (1, 2):
        found = (np.roll(found, 1, axis) + 2 * found + np.roll(found, -1, axis)) / 4
    return np.clip(found[:, 2:42, 2:58], 0, 255).astype(np.uint8)


def drawn(frames: np.ndarray) -> SimpleNamespace:
    """What stands in for a renderer of these frames [T, H, W, 3], float or whole numbers of 0..255."""
    return SimpleNamespace(colours=lambda t: (frames[round(t)] / 255).astype(np.float32).transpose(2, 0, 1))


def error(frames: np.ndarray, found: FilterData, wanted: np.ndarray) -> float:
    """Squared error of frames behind a filter, against that without."""
    behind = [filter_picture(drawn(frames).colours(t), found.symbols / 128) for t in range(len(frames))]
    missing = np.stack(behind).transpose(0, 2, 3, 1) * 255 - wanted
    return float((missing**2).sum() / ((frames - wanted) ** 2.0).sum())


def test_what_was_blurred_is_sharpened():
    wanted = pictures()
    blurred = wanted.astype(float)
    for axis in (1, 2):
        blurred += 0.15 * (np.roll(blurred, 1, axis) + np.roll(blurred, -1, axis) - 2 * blurred)
    found = fit_filter(drawn(blurred), wanted, BITS)
    assert found.symbols[:, OFFSETS.index((0, 1))].max() < -10
    assert error(blurred, found, wanted) < 0.1


def test_noise_is_smoothed_in_the_components_that_have_it():
    wanted = pictures()
    green_and_red = np.random.default_rng(4).normal(0, 12, (*wanted.shape[:3], 1)) * np.array([1, 0, -1])  # u alone
    found = fit_filter(drawn(wanted + green_and_red), wanted, BITS)
    assert found.symbols[1].sum() > 20
    assert not found.symbols[2].any()
    assert error(wanted + green_and_red, found, wanted) < 0.7


def test_a_filter_that_is_not_worth_its_bits_is_left_out():
    wanted = pictures()
    noisy = wanted + np.random.default_rng(4).normal(0, 2, wanted.shape)
    assert fit_filter(drawn(noisy), wanted, BITS) is not None
    assert fit_filter(drawn(noisy), wanted, 200.0) is None
    assert fit_filter(drawn(wanted), wanted, BITS) is None


@pytest.mark.parametrize("size", [(1, 1), (2, 5)])
def test_small_and_plain_pictures_have_none_or_a_good_one(size):
    plain = np.full((2, *size, 3), 90, np.uint8)
    assert fit_filter(drawn(plain + 3.0), plain, BITS) is None
