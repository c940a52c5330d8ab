# SPDX-License-Identifier: MIT
"""Interpolation and BD-rates on curves whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.curves import Curve, bd_rate, curve_of, quality_of

RATES = np.array([0.01, 0.02, 0.05, 0.1, 0.2])


def straight(shift: float = 1.0) -> Curve:
    """6 dB per factor of ten; `shift` moves it along the rates."""
    return Curve(RATES * shift, 40 + 6 * np.log10(RATES))


@pytest.mark.parametrize("bpp", [0.01, 0.03, 0.07, 0.2])
def test_a_straight_line_in_log_rate_stays_one(bpp):
    assert straight().at(bpp) == pytest.approx(40 + 6 * np.log10(bpp))
    assert straight().rate_at(40 + 6 * np.log10(bpp)) == pytest.approx(bpp)


def test_a_curve_is_read_a_little_outside_its_points_and_no_further():
    curve = straight()
    assert curve.at(0.2 * 1.02) == pytest.approx(40 + 6 * np.log10(0.204))
    assert curve.at(0.01 / 1.02) == pytest.approx(40 + 6 * np.log10(0.01 / 1.02))
    assert curve.at(0.25) is None
    assert curve.at(0.008) is None
    assert curve.at(0.25, slack=2) == pytest.approx(40 + 6 * np.log10(0.25))
    assert curve.rate_at(curve.quality[-1] + 3) is None


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.25])
def test_the_bd_rate_of_a_shifted_curve_is_the_shift(factor):
    assert bd_rate(straight(), straight(factor), 0.01, 0.1) == pytest.approx(100 * (factor - 1), abs=1e-6)


def test_the_bd_rate_looks_at_its_range_of_rates_only():
    # Equal up to 0.1 bpp, twice the bits for the same quality above.
    late = Curve(np.array([0.01, 0.02, 0.05, 0.1, 0.4]), straight().quality)
    assert bd_rate(straight(), late, 0.01, 0.05) == pytest.approx(0, abs=1e-6)
    assert bd_rate(straight(), late, 0.01, 0.4) > 5


def test_curves_that_do_not_meet_have_no_bd_rate():
    high = Curve(RATES, straight().quality + 50)
    assert bd_rate(straight(), high, 0.01, 0.1) is None
    assert bd_rate(straight(), Curve(RATES * 100, straight().quality), 0.01, 0.1) is None
    assert bd_rate(None, straight(), 0.01, 0.1) is None


def test_points_that_cost_more_and_give_less_are_left_out(point):
    curve = curve_of([point(0.1, 35.0), point(0.02, 30.0), point(0.05, 29.0), point(0.2, 35.0)], "rgb_psnr")
    assert curve.rates.tolist() == [0.02, 0.1]
    assert curve_of([point(0.1, 35.0)], "rgb_psnr") is None


def test_ms_ssim_is_read_in_db(point):
    assert quality_of(point(0.1, 35.0, ms_ssim=0.99), "ms_ssim") == pytest.approx(20)
    assert quality_of(point(0.1, 35.0, ms_ssim=None), "ms_ssim") is None
