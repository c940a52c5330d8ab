# SPDX-License-Identifier: MIT
"""The definition of what training measures, float64: squared error of a frame, bits of mixtures. Imports numpy only."""

from __future__ import annotations

import math

import numpy as np

from . import reference
from .checks import Array


def blend_loss(sums: Array, background: Array, target: Array, epsilon: float) -> tuple[float, Array, Array]:
    """Squared error of blended sums [3 or 4, H, W] against samples [3, H, W].

    Returns it with the gradients of its half: by the sums, and by the background [3].
    """
    wanted = target.astype(np.float64) / np.iinfo(target.dtype).max
    if len(sums) == 3:
        difference = sums - wanted
        return float((difference**2).sum()), difference, np.zeros(3)
    weight = 1 / (sums[3:] + epsilon)
    value = (sums[:3] + epsilon * background.astype(np.float64)[:, None, None]) * weight
    difference = value - wanted
    slope = difference * weight
    grad = np.concatenate([slope, -(slope * value).sum(0, keepdims=True)])
    return float((difference**2).sum()), grad, epsilon * slope.sum((1, 2))


def splat_loss(
    mean: Array, conic: Array, feature: Array, background: Array, target: Array, epsilon: float
) -> tuple[float, Array, Array, Array, Array]:
    """See `loss.splat_loss`; float64."""
    sums = reference.rasterize(mean, conic, feature, (target.shape[1], target.shape[2]))
    error, grad, dbackground = blend_loss(sums, background, target, epsilon)
    return error, *reference.rasterize_backward(mean, conic, feature, grad), dbackground


def mixture_bits(
    x: Array, step: Array, mean: Array, log_scale: Array, logit: Array, least: float
) -> tuple[float, Array, Array, Array, Array]:
    """See `loss.mixture_bits`; float64."""
    x, step, mean, log_scale, logit = (np.asarray(a, np.float64) for a in (x, step, mean, log_scale, logit))
    inverse = np.exp(-log_scale)
    share = np.exp(logit - logit.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    z, half = x[..., None] - mean, np.broadcast_to(step, x.shape)[..., None] / 2
    # By symmetry the difference is taken in the lower tail, where both terms keep their digits.
    high, low = (half - np.abs(z)) * inverse, (-half - np.abs(z)) * inverse
    mass = (logistic(high) - logistic(low)) * share
    total = mass.sum(-1, keepdims=True)
    density_high, density_low = (logistic(v) * logistic(-v) * share for v in (high, low))
    factor = np.where(total > least, -1 / (np.maximum(total, least) * math.log(2)), 0)
    by_x = factor * (density_low - density_high) * np.sign(z) * inverse
    by_scale = -factor * (density_high * high - density_low * low)
    by_logit = factor * (mass - share * total)
    bits = -np.log2(np.maximum(total, least)).sum()
    return float(bits), by_x.sum(-1), -by_x.sum(0), by_scale.sum(0), by_logit.sum(0)


def logistic(v: Array) -> Array:
    """1 / (1 + exp(-v)), without overflow."""
    small: Array = np.exp(-np.abs(v))
    value: Array = np.where(v > 0, 1, small) / (1 + small)
    return value
