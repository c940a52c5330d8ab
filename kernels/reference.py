# SPDX-License-Identifier: MIT
"""The rasteriser's definition: float64, plain, slow. Every other engine is measured against it. Imports numpy only."""

from typing import Any

import numpy as np

from .checks import Array
from .constants import CUTOFF, FLOOR


class _Boxes:
    """Clipped bounding boxes of the supports: columns x0..x1, rows y0..y1 (ends excluded), empty if not drawn."""

    def __init__(self, mean: Array, conic: Array, size: tuple[int, int]) -> None:
        a, b, c = conic.astype(np.float64).T
        with np.errstate(all="ignore"):
            det = a * c - b * b
            self.drawn = np.isfinite(mean).all(1) & np.isfinite(conic).all(1) & (a > 0) & (det > 0)
            scale = 2 * CUTOFF / np.where(self.drawn, det, 1)
            extent = np.sqrt(np.where(self.drawn, scale * np.stack([c, a]), 0))
        centre = np.where(self.drawn, mean.astype(np.float64).T, 0)
        limit = np.array([[size[1]], [size[0]]])
        self.start = np.clip(np.ceil(np.clip(centre - extent - 0.5, -1, 1e6)), 0, limit).astype(np.int64)
        self.end = np.clip(np.floor(np.clip(centre + extent + 0.5, -1, 1e6)), 0, limit).astype(np.int64)

    def area(self) -> Array:
        width, height = np.maximum(self.end - self.start, 0)
        return np.where(self.drawn, width * height, 0)


def _weights(mean: Array, conic: Array, boxes: _Boxes, i: Any) -> tuple[tuple[slice, slice], Array, Array, Array]:
    """Window of Gaussian i in the frame, dx [1, w], dy [h, 1] and exp(-sigma) [h, w], 0 outside the support."""
    (x0, y0), (x1, y1) = boxes.start[:, i], boxes.end[:, i]
    dx = np.arange(x0, x1)[None, :] + 0.5 - float(mean[i, 0])
    dy = np.arange(y0, y1)[:, None] + 0.5 - float(mean[i, 1])
    a, b, c = (float(v) for v in conic[i])
    sigma = 0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy)
    return (slice(y0, y1), slice(x0, x1)), dx, dy, np.where(sigma < CUTOFF, np.exp(-sigma), 0)


def rasterize(mean: Array, conic: Array, feature: Array, size: tuple[int, int]) -> Array:
    """See `raster.rasterize`; returns float64 [C, H, W]."""
    image = np.zeros((feature.shape[1], *size))
    boxes = _Boxes(mean, conic, size)
    for i in np.flatnonzero((boxes.area() > 0) & np.isfinite(feature).all(1)):
        window, _, _, e = _weights(mean, conic, boxes, i)
        image[(slice(None), *window)] += feature[i].astype(np.float64)[:, None, None] * np.where(e > 0, e - FLOOR, 0)
    return image


def rasterize_backward(mean: Array, conic: Array, feature: Array, grad: Array) -> tuple[Array, Array, Array]:
    """See `raster.rasterize_backward`; returns float64. dw/dsigma = -exp(-sigma) inside the support."""
    dmean, dconic, dfeature = np.zeros(mean.shape), np.zeros(conic.shape), np.zeros(feature.shape)
    boxes = _Boxes(mean, conic, (grad.shape[1], grad.shape[2]))
    for i in np.flatnonzero((boxes.area() > 0) & np.isfinite(feature).all(1)):
        window, dx, dy, e = _weights(mean, conic, boxes, i)
        g = grad[(slice(None), *window)].astype(np.float64)
        dfeature[i] = (g * np.where(e > 0, e - FLOOR, 0)).sum((1, 2))
        q = e * np.tensordot(feature[i].astype(np.float64), g, 1)
        a, b, c = (float(v) for v in conic[i])
        dmean[i] = (q * (a * dx + b * dy)).sum(), (q * (b * dx + c * dy)).sum()
        dconic[i] = -0.5 * (q * dx * dx).sum(), -(q * dx * dy).sum(), -0.5 * (q * dy * dy).sum()
    return dmean, dconic, dfeature


def normalised(sums: Array, background: Array, epsilon: float) -> Array:
    """[3, H, W] colours of sums [4, H, W] of colour times weight, and of weight, over a background."""
    with np.errstate(all="ignore"):
        colours: Array = (sums[:3] + epsilon * background.astype(np.float64)[:, None, None]) / (sums[3] + epsilon)
        return colours


def to_rgb8(image: Array, background: Array, epsilon: float) -> Array:
    """[3 or 4, H, W] float to [H, W, 3] uint8, as `raster.render_rgb8` says."""
    if len(image) == 4:
        image = normalised(image, background, epsilon)
    unit = np.clip(np.where(np.isnan(image), 0, image), 0, 1)
    return np.floor(unit * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)


def render_rgb8(
    mean: Array, conic: Array, feature: Array, size: tuple[int, int], background: Array, epsilon: float
) -> Array:
    """See `raster.render_rgb8`."""
    return to_rgb8(rasterize(mean, conic, feature, size), background, epsilon)


def covered_pixels(mean: Array, conic: Array, size: tuple[int, int]) -> int:
    """See `raster.covered_pixels`."""
    return int(_Boxes(mean, conic, size).area().sum())
