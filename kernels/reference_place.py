# SPDX-License-Identifier: MIT
"""The definition of placing moving Gaussians at one time; float64. Imports numpy only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .checks import Array
from .reference_loss import logistic

if TYPE_CHECKING:
    from .place import PlaceSettings

SLOPE_WIDTH = 0.27  # of the logistic whose slope stands for a ramp's
REACH = 1.9  # of a soft window beyond its ramps, in widths
LEAST_WEIGHT = 0.02


def active_windows(window: Array, index: float, edge: float) -> Array:
    """See `place.active_windows`."""
    rise, fall = _position(window, index, edge)
    soft = logistic(rise / SLOPE_WIDTH + REACH) * logistic(fall / SLOPE_WIDTH + REACH)
    return np.flatnonzero(soft > LEAST_WEIGHT)


def place(s: PlaceSettings, rows: Array | None, tau: Array, arrays: list[Array]) -> tuple[Array, Array, Array]:
    """See `place.place`; float64."""
    p = _Parts(s, rows, tau, arrays)
    feature = p.rgb * p.weight
    conic = np.stack([(1 + p.ratio**2) * p.first**2, -p.ratio * p.first * p.second, p.second**2], 1)
    return p.mean, conic, np.concatenate([feature, p.weight], 1) if s.weighted else feature


def place_backward(
    s: PlaceSettings, rows: Array | None, tau: Array, arrays: list[Array], grads: list[Array]
) -> list[Array | None]:
    """See `place.place_backward`; float64."""
    p = _Parts(s, rows, tau, arrays)
    dmean, dconic, dfeature = (grad.astype(np.float64) for grad in grads)
    dweight = (dfeature[:, :3] * p.rgb).sum(1) + (dfeature[:, 3] if s.weighted else 0)
    dcolour = (dfeature[:, :3] * p.weight) @ np.array(s.matrix, np.float64).T
    dmotion = (
        np.stack([dmean * p.tau ** (k + 1) for k in range(p.degree)], 1) if p.degree else np.zeros((len(dmean), 0, 2))
    )
    up, down = _ramp(p.rise), _ramp(p.fall)
    dwindow = np.stack([-dweight * down * _slope(p.rise), dweight * up * _slope(p.fall)], 1) / s.edge
    inner = dmean, _shape_grad(s, p, dconic), dcolour, dmotion, dcolour * p.tau, dwindow
    scattered = [_scatter(grad, rows, array) for grad, array in zip(inner, arrays[:6], strict=True)]
    return [*scattered, s.mean_scale * dmean, s.colour_scale * dcolour]


class _Parts:
    """The values on the way from parameters to placed Gaussians, of those that take part."""

    def __init__(self, s: PlaceSettings, rows: Array | None, tau: Array, arrays: list[Array]) -> None:
        chosen = slice(None) if rows is None else rows
        exact = [array.astype(np.float64) for array in arrays]
        mean, shape, colour, motion, drift, window = (a[chosen] if a.ndim > 1 else a for a in exact[:6])
        self.tau = np.broadcast_to(tau.astype(np.float64), len(mean))[:, None]
        self.degree = motion.shape[1] if motion.ndim == 3 else 0
        for k in range(self.degree):
            mean = mean + motion[:, k] * self.tau ** (k + 1)
        self.mean = mean + s.mean_scale * exact[6] if exact[6].ndim > 1 else mean
        if drift.ndim > 1:
            colour = colour + drift * self.tau
        if exact[7].ndim > 1:
            colour = colour + s.colour_scale * exact[7]
        self.rgb = colour @ np.array(s.matrix, np.float64)
        if window.ndim == 1:
            window = np.broadcast_to(np.array([-np.inf, np.inf]), (len(mean), 2))
        self.rise, self.fall = _position(window, s.index, s.edge)
        self.weight = (_ramp(self.rise) * _ramp(self.fall))[:, None]
        if s.log_shape:
            self.ratio, self.first, self.second = shape[:, 1], np.exp(-shape[:, 0]), np.exp(-shape[:, 2])
        else:
            self.first, self.second = 1 / shape[:, 0], 1 / shape[:, 2]
            self.ratio = shape[:, 1] * self.second


def _shape_grad(s: PlaceSettings, p: _Parts, dconic: Array) -> Array:
    a, b, c = dconic.T
    ratio = 2 * a * p.ratio * p.first**2 - b * p.first * p.second
    first = 2 * a * (1 + p.ratio**2) * p.first - b * p.ratio * p.second
    second = 2 * c * p.second - b * p.ratio * p.first
    if s.log_shape:
        return np.stack([-first * p.first, ratio, -second * p.second], 1)
    second = second + ratio * p.ratio / p.second
    return np.stack([-first * p.first**2, ratio * p.second, -second * p.second**2], 1)


def _scatter(grad: Array, rows: Array | None, array: Array) -> Array | None:
    if array.ndim == 1:
        return None
    full = np.zeros(array.shape)
    full[slice(None) if rows is None else rows] = grad
    return full


def _position(window: Array, index: float, edge: float) -> tuple[Array, Array]:
    exact = window.astype(np.float64)
    return (index - exact[:, 0]) / edge, (exact[:, 1] - index) / edge


def _ramp(x: Array) -> Array:
    return np.clip(x + 0.5, 0, 1)


def _slope(x: Array) -> Array:
    small = np.exp(-np.abs(x) / SLOPE_WIDTH)
    slope: Array = small / (1 + small) ** 2 / SLOPE_WIDTH
    return slope
