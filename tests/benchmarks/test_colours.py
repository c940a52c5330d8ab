# SPDX-License-Identifier: MIT
"""Colours as scalars and as RVQ at equal error."""

import numpy as np
import pytest

from benchmarks.colours import Way, coded_at, entropy


def test_entropy_is_that_of_the_shares_and_falls_with_what_is_known():
    symbols = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert entropy(symbols) == 2
    assert entropy(symbols, symbols // 2) == 1
    assert entropy(symbols, symbols) == 0


def test_scalars_are_compared_between_their_own_points_only():
    ways = [Way("fine", 0.01, 0, 0, 12.0), Way("coarse", 0.04, 0, 0, 8.0)]
    assert coded_at(ways, 0.02) == pytest.approx(10)
    assert np.isnan(coded_at(ways, 0.05))
