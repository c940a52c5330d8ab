# SPDX-License-Identifier: MIT
"""Definition of the hash encoding and the field: float64, plain, slow. Imports numpy only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .checks import Array
from .constants import HASH_PRIMES

if TYPE_CHECKING:
    from .encoding import HashGeometry
    from .field import FieldWeights


def _index(geometry: HashGeometry, level: int, vertex: list[Array]) -> Array:
    """Row of the table that belongs to vertices given by their int64 coordinates."""
    side, count = geometry.resolutions[level], geometry.entries[level]
    index = np.zeros_like(vertex[0])
    for d, g in enumerate(vertex):
        index = index + g * side**d if geometry.dense(level) else index ^ ((g * HASH_PRIMES[d]) & 0xFFFFFFFF)
    return geometry.offsets[level] + index % count


def _corners(coords: Array, geometry: HashGeometry, level: int) -> Iterator[tuple[Array, Array, Array]]:
    """Rows [N], weights [N] and d weight / d coords [N, D] of the cell's corners, one corner after the other."""
    side, scale = geometry.resolutions[level], geometry.scales[level]
    free = scale * np.where(np.isfinite(coords), coords, 0).astype(np.float64) + 0.5
    p = np.clip(free, 0, side)
    cell = np.floor(p).astype(np.int64)
    fraction = p - cell
    slope = np.where(free > 0, scale, 0)
    for corner in itertools.product((0, 1), repeat=geometry.dims):
        row = _index(geometry, level, [np.minimum(cell[:, d] + c, side - 1) for d, c in enumerate(corner)])
        factor = np.stack([fraction[:, d] if c else 1 - fraction[:, d] for d, c in enumerate(corner)], 1)
        change = np.empty_like(factor)
        for d, c in enumerate(corner):
            others = np.delete(factor, d, 1).prod(1)
            change[:, d] = others * slope[:, d] * (1 if c else -1)
        yield row, factor.prod(1), change


def hash_encode(coords: Array, table: Array, geometry: HashGeometry) -> Array:
    """See `encoding.hash_encode`; returns float64."""
    out = np.zeros((len(coords), geometry.level_count, geometry.feature_count))
    for level in range(geometry.level_count):
        for row, weight, _ in _corners(coords, geometry, level):
            out[:, level] += weight[:, None] * table[row].astype(np.float64)
    return out.reshape(len(coords), geometry.width)


def hash_encode_backward(coords: Array, table: Array, geometry: HashGeometry, grad: Array) -> tuple[Array, Array]:
    """See `encoding.hash_encode_backward`; returns float64."""
    dtable, dcoords = np.zeros(table.shape), np.zeros(coords.shape)
    grads = grad.astype(np.float64).reshape(len(coords), geometry.level_count, geometry.feature_count)
    for level in range(geometry.level_count):
        for row, weight, change in _corners(coords, geometry, level):
            np.add.at(dtable, row, weight[:, None] * grads[:, level])
            dcoords += change * (table[row].astype(np.float64) * grads[:, level]).sum(1, keepdims=True)
    return dtable, dcoords


def time_features(t: float, frequency_count: int) -> Array:
    """[2 * frequency_count]: sin, cos of 2^k pi t for k = 0, 1, ..."""
    angle = np.pi * t * 2.0 ** np.arange(frequency_count)
    return np.stack([np.sin(angle), np.cos(angle)], 1).reshape(-1)


def _coordinates(weights: FieldWeights, xy: Array, t: float) -> Array:
    """[N, 3] float64: clamped to [0, 1] and scaled; NaN counts as 0."""
    xyt = np.concatenate([xy, np.full((len(xy), 1), t)], 1, dtype=np.float64)
    return np.clip(np.nan_to_num(xyt, nan=0), 0, 1) * np.array(weights.input_scale, np.float64)


def _activations(weights: FieldWeights, xy: Array, t: float) -> list[Array]:
    """Input and the two hidden layers of the network, float64."""
    coords = _coordinates(weights, xy, t)
    static = hash_encode(coords[:, :2], weights.table2, weights.geometry2)
    dynamic = hash_encode(coords, weights.table3, weights.geometry3)
    time = np.broadcast_to(time_features(t, weights.frequency_count), (len(xy), 2 * weights.frequency_count))
    x = np.concatenate([static, dynamic, time], 1)
    h1 = np.maximum(x @ weights.w1.T.astype(np.float64) + weights.b1, 0)
    return [x, h1, np.maximum(h1 @ weights.w2.T.astype(np.float64) + weights.b2, 0)]


def field_forward(weights: FieldWeights, xy: Array, t: float) -> Array:
    """Both heads, [N, 5] float64, not scaled. See `field.field_forward`."""
    h2 = _activations(weights, xy, t)[2]
    head = np.concatenate([weights.w_mean, weights.w_colour]).astype(np.float64)
    return np.asarray(h2 @ head.T + np.concatenate([weights.b_mean, weights.b_colour]))


def field_backward(weights: FieldWeights, xy: Array, t: float, dheads: Array) -> list[Array]:
    """Gradients of `weights.tensors`, float64, from that of the heads [N, 5]. See `field.field_backward`."""
    x, h1, h2 = _activations(weights, xy, t)
    dheads = dheads.astype(np.float64)
    d2 = dheads @ np.concatenate([weights.w_mean, weights.w_colour]).astype(np.float64) * (h2 > 0)
    d1 = d2 @ weights.w2.astype(np.float64) * (h1 > 0)
    dx = d1 @ weights.w1.astype(np.float64)
    coords, width = _coordinates(weights, xy, t), weights.geometry2.width
    width3 = weights.geometry3.width
    dtable2, _ = hash_encode_backward(coords[:, :2], weights.table2, weights.geometry2, dx[:, :width])
    dtable3, _ = hash_encode_backward(coords, weights.table3, weights.geometry3, dx[:, width : width + width3])
    dhead, dbias = dheads.T @ h2, dheads.sum(0)
    layers = [d1.T @ x, d1.sum(0), d2.T @ h1, d2.sum(0)]
    return [dtable2, dtable3, *layers, dhead[:2], dbias[:2], dhead[2:], dbias[2:]]
