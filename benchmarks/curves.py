# SPDX-License-Identifier: MIT
"""Rate-distortion curves: interpolation in log(bpp), Bjontegaard rates. Numbers in, numbers out.

Needs `bjontegaard` (and with it scipy): pip install 'gscodec[bench]'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from benchmarks.points import Point

METRICS = {"rgb_psnr": "RGB-PSNR, dB", "y_psnr": "Y-PSNR, dB", "ms_ssim": "MS-SSIM, dB"}
SLACK = 1.03  # how far outside its points, as a factor of the rate, a curve may be read: rate control ends 1.5 % below
REACH = 2.0  # the same for differences to a baseline of few points


@dataclass(frozen=True)
class Curve:
    """Quality over rate, both strictly rising: [N] bpp and [N] dB, N >= 2."""

    rates: np.ndarray
    quality: np.ndarray

    def at(self, bpp: float, slack: float = SLACK) -> float | None:
        """Quality at a rate; None further outside the points than `slack` allows. Outside, the last slope goes on."""
        return _read(np.log(self.rates), self.quality, math.log(bpp), math.log(slack))

    def rate_at(self, quality: float, slack: float = REACH) -> float | None:
        """The rate in bpp that a quality takes; None where that is further outside than `slack` allows."""
        found = _read(self.quality, np.log(self.rates), quality, math.inf)
        low, high = math.log(self.rates[0] / slack), math.log(self.rates[-1] * slack)
        return math.exp(found) if found is not None and low <= found <= high else None

    def between(self, low: float, high: float) -> Curve | None:
        """The part between two rates, with points at its ends; None where less than two points are left."""
        low, high = max(low, self.rates[0]), min(high, self.rates[-1])
        if low >= high:
            return None
        inner = self.rates[(self.rates > low) & (self.rates < high)]
        rates = np.array([low, *inner, high])
        return Curve(rates, np.array([self.at(rate) for rate in rates], float))


def curve_of(points: Iterable[Point], metric: str) -> Curve | None:
    """The curve of a metric (a key of METRICS); None with fewer than two points.

    A point that is no better than one of lower rate is left out: nobody would choose it. MS-SSIM becomes dB.
    """
    rates: list[float] = []
    quality: list[float] = []
    for point in sorted(points, key=lambda item: item.bpp):
        value = quality_of(point, metric)
        if value is not None and (not quality or (value > quality[-1] and point.bpp > rates[-1])):
            rates.append(point.bpp)
            quality.append(value)
    return Curve(np.array(rates), np.array(quality)) if len(rates) > 1 else None


def quality_of(point: Point, metric: str) -> float | None:
    """A metric of a point in dB; MS-SSIM as -10 log10(1 - MS-SSIM), which spreads what lies close to 1."""
    value = getattr(point, metric)
    if value is None or metric != "ms_ssim":
        return value
    return -10 * math.log10(max(1 - value, 1e-6))


def bd_rate(anchor: Curve | None, curve: Curve | None, low: float, high: float) -> float | None:
    """Bjontegaard's difference of rates in per cent (negative: `curve` needs fewer bits than `anchor`).

    Over the qualities that both reach at `low` to `high` bpp, by piecewise cubic interpolation (pchip); None where
    there are none.
    """
    if anchor is None or curve is None:
        return None
    first, second = anchor.between(low, high), curve.between(low, high)
    if first is None or second is None:
        return None
    if min(first.quality[-1], second.quality[-1]) <= max(first.quality[0], second.quality[0]):
        return None
    from bjontegaard import bd_rate as measure

    points = first.rates, first.quality, second.rates, second.quality
    return float(measure(*points, method="pchip", require_matching_points=False, min_overlap=0))


def _read(x: np.ndarray, y: np.ndarray, place: float, reach: float) -> float | None:
    """y at a place: pchip inside, straight on outside, None further than `reach` from the ends."""
    if place < x[0] - reach or place > x[-1] + reach:
        return None
    if x[0] <= place <= x[-1]:
        return float(PchipInterpolator(x, y)(place))
    first, second = (0, 1) if place < x[0] else (-1, -2)
    return float(y[first] + (place - x[first]) * (y[second] - y[first]) / (x[second] - x[first]))
