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
