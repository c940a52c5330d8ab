# SPDX-License-Identifier: MIT
"""The rasteriser's definition: float64, plain, slow. Every other engine is measured against it. Imports numpy only."""

from typing import Any

import numpy as np

from .checks import Array, planes_of
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


class _Detail:
    """Detail of one Gaussian at its pixels: `value` [h, w], and what its gradients need."""

    def __init__(self, conic: Array, h: Array, dx: Array, dy: Array) -> None:
        self.a, self.b, self.c = (float(v) for v in conic)
        self.k = np.sqrt(self.c - self.b * self.b / self.a)
        self.dx, self.dy = np.broadcast_arrays(dx, dy)
        self.u, self.v = np.sqrt(self.a) * (self.dx + self.b / self.a * self.dy), self.k * self.dy
        u, v = self.u, self.v
        self.basis = np.stack([u, v, u * u - 1, u * v, v * v - 1])
        self.value = np.tensordot(h, self.basis, 1)
        self.by_u, self.by_v = h[0] + 2 * h[2] * u + h[3] * v, h[1] + h[3] * u + 2 * h[4] * v

    def backward(self, t: Array) -> tuple[Array, Array, Array]:
        """Gradients by mean [2], conic [3] and h [5], given those by the value [h, w]."""
        a, b, root = self.a, self.b, np.sqrt(self.a)
        along, across = t * self.by_u, t * self.by_v  # by U and by V
        dmean = -np.array([(along * root).sum(), (along * b / root + across * self.k).sum()])
        by_a = along * (self.dx - b / a * self.dy) / (2 * root) + across * (b / a) ** 2 * self.dy / (2 * self.k)
        by_b = along * self.dy / root - across * b / a * self.dy / self.k
        dconic = np.array([by_a.sum(), by_b.sum(), (across * self.dy).sum() / (2 * self.k)])
        return dmean, dconic, (t * self.basis).sum((1, 2))


def rasterize(mean: Array, conic: Array, feature: Array, size: tuple[int, int]) -> Array:
    """See `raster.rasterize`; returns float64 [min(C, 4), H, W]."""
    planes = planes_of(feature)
    image = np.zeros((planes, *size))
    boxes = _Boxes(mean, conic, size)
    for i in np.flatnonzero((boxes.area() > 0) & np.isfinite(feature).all(1)):
        window, dx, dy, e = _weights(mean, conic, boxes, i)
        weight, own = np.where(e > 0, e - FLOOR, 0), feature[i].astype(np.float64)
        image[(slice(None), *window)] += own[:planes, None, None] * weight
        if len(own) > planes:
            image[(slice(3), *window)] += weight * _Detail(conic[i], own[planes:], dx, dy).value
    return image


def rasterize_backward(mean: Array, conic: Array, feature: Array, grad: Array) -> tuple[Array, Array, Array]:
    """See `raster.rasterize_backward`; returns float64. dw/dsigma = -exp(-sigma) inside the support."""
    dmean, dconic, dfeature = np.zeros(mean.shape), np.zeros(conic.shape), np.zeros(feature.shape)
    boxes = _Boxes(mean, conic, (grad.shape[1], grad.shape[2]))
    for i in np.flatnonzero((boxes.area() > 0) & np.isfinite(feature).all(1)):
        window, dx, dy, e = _weights(mean, conic, boxes, i)
        g = grad[(slice(None), *window)].astype(np.float64)
        weight, own = np.where(e > 0, e - FLOOR, 0), feature[i].astype(np.float64)
        dfeature[i, : len(g)] = (g * weight).sum((1, 2))
        by_weight = np.tensordot(own[: len(g)], g, 1)
        if len(own) > len(g):
            detail = _Detail(conic[i], own[len(g) :], dx, dy)
            dmean[i], dconic[i], dfeature[i, len(g) :] = detail.backward(weight * g[:3].sum(0))
            by_weight = by_weight + detail.value * g[:3].sum(0)
        q = e * by_weight
        a, b, c = (float(v) for v in conic[i])
        dmean[i] += (q * (a * dx + b * dy)).sum(), (q * (b * dx + c * dy)).sum()
        dconic[i] += -0.5 * (q * dx * dx).sum(), -(q * dx * dy).sum(), -0.5 * (q * dy * dy).sum()
    return dmean, dconic, dfeature


def to_rgb8(image: Array, background: Array, epsilon: float) -> Array:
    """[3 or 4, H, W] float to [H, W, 3] uint8, as `raster.render_rgb8` says."""
    if len(image) == 4:
        with np.errstate(all="ignore"):
            image = (image[:3] + epsilon * background.astype(np.float64)[:, None, None]) / (image[3] + epsilon)
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
