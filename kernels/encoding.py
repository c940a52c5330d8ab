# SPDX-License-Identifier: MIT
"""Multi-resolution hash encoding (Instant-NGP, Mueller et al. 2022): public functions. Imports numpy only.

At each level a coordinate u becomes the position p = scale * u + 0.5, the cell g = floor(p); the level's feature is
the multilinear mix of the entries at the cell's vertices, held at the border of the grid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np

from . import reference_field, registry
from .checks import MAX_SIDE, Array, float_array
from .errors import ShapeError


@dataclass(frozen=True)
class HashGeometry:
    """Levels of a hash grid, coarse to fine; the numbers are stored per level, not derived from a growth factor.

    dims: 2 or 3. feature_count: 1, 2, 4 or 8 numbers per entry. resolutions: vertices per side. scales: cells across
    the unit range. entries: entries per level, in one table level after level. A level is dense, x running fastest,
    if resolution**dims <= entries; otherwise it is hashed and its entries are a power of two.
    """

    dims: int
    feature_count: int
    resolutions: tuple[int, ...]
    scales: tuple[float, ...]
    entries: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dims not in (2, 3) or self.feature_count not in (1, 2, 4, 8):
            raise ShapeError(f"hash grid: dims {self.dims} or feature_count {self.feature_count} is not supported")
        if not len(self.resolutions) == len(self.scales) == len(self.entries):
            raise ShapeError("hash grid: resolutions, scales and entries differ in length")
        for level, (side, count) in enumerate(zip(self.resolutions, self.entries, strict=True)):
            hashed = side**self.dims > count
            if not (1 <= side <= MAX_SIDE and 1 <= count <= 1 << 30) or (hashed and count & (count - 1)):
                raise ShapeError(f"hash grid: level {level} has resolution {side} and {count} entries")

    @classmethod
    def create(
        cls,
        dims: int,
        feature_count: int,
        log2_table_size: int,
        resolutions: Sequence[int],
        scales: Sequence[float] | None = None,  # resolution - 1 if None
    ) -> Self:
        """The grid whose levels have min(resolution**dims rounded up to a multiple of 8, 2**log2_table_size) entries.

        Raises ShapeError for values no grid can have.
        """
        sides = tuple(int(side) for side in resolutions)
        entries = tuple(min((side**dims + 7) // 8 * 8, 1 << log2_table_size) for side in sides)
        chosen = [side - 1 for side in sides] if scales is None else scales
        return cls(dims, feature_count, sides, tuple(float(np.float32(scale)) for scale in chosen), entries)

    @classmethod
    def growing(cls, dims: int, feature_count: int, log2_table_size: int, level_count: int) -> Self:
        """The usual grid: resolution floor(16 * 1.5**level). Source: eq. 3 of STGV."""
        return cls.create(
            dims, feature_count, log2_table_size, [math.floor(16 * 1.5**level) for level in range(level_count)]
        )

    @property
    def level_count(self) -> int:
        """Number of levels."""
        return len(self.resolutions)

    @property
    def width(self) -> int:
        """Features per point, levels times feature_count."""
        return self.level_count * self.feature_count

    @property
    def total_entries(self) -> int:
        """Rows of the table, all levels together."""
        return sum(self.entries)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First row of each level in the table."""
        return tuple(sum(self.entries[:level]) for level in range(self.level_count))

    def dense(self, level: int) -> bool:
        """Whether the level has an entry of its own for every vertex."""
        return bool(self.resolutions[level] ** self.dims <= self.entries[level])

    @cached_property
    def compiled(self) -> Any:
        """The same geometry as the compiled module holds it."""
        return registry.cpu.hash_geometry(
            self.dims, self.feature_count, list(self.resolutions), list(self.scales), list(self.entries)
        )


def hash_arrays(coords: Array, table: Array, geometry: HashGeometry) -> tuple[Array, Array]:
    """Check coordinates [N, D] and table [entries, F]; a flat table is taken too. Raises ShapeError."""
    coords = float_array("coords", coords, (None, geometry.dims))
    flat = float_array("table", np.ravel(table), (geometry.total_entries * geometry.feature_count,))
    return coords, flat.reshape(geometry.total_entries, geometry.feature_count)


def hash_encode(
    coords: Array,  # [N, D] float32 in [0, 1]; NaN counts as 0
    table: Array,  # [entries, F] float32
    geometry: HashGeometry,
    *,
    threads: int = 0,
    backend: str | None = None,
) -> Array:
    """Features [N, levels * F] float32 of N points, level after level. Raises ShapeError, BackendError."""
    coords, table = hash_arrays(coords, table, geometry)
    engine = registry.select(backend)
    if engine.name == "reference":
        return reference_field.hash_encode(coords, table, geometry).astype(np.float32)
    if engine.name == "triton":
        features: Array = registry.triton().hash_encode(coords, table, geometry)
        return features
    out = np.empty((len(coords), geometry.width), np.float32)
    registry.cpu.hash_encode(engine.isa, geometry.compiled, coords, table, out, threads)
    return out


def hash_encode_backward(
    coords: Array,
    table: Array,
    geometry: HashGeometry,
    grad: Array,  # [N, levels * F] float32
    *,
    threads: int = 0,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """Gradient of `hash_encode`: (dtable [entries, F], dcoords [N, D]) float32, the same for any number of threads.

    dcoords is that of the cell the point lies in (the encoding has kinks at cell borders). Raises ShapeError,
    BackendError.
    """
    coords, table = hash_arrays(coords, table, geometry)
    grad = float_array("grad", grad, (len(coords), geometry.width))
    engine = registry.select(backend)
    if engine.name == "reference":
        dtable, dcoords = reference_field.hash_encode_backward(coords, table, geometry, grad)
        return dtable.astype(np.float32), dcoords.astype(np.float32)
    if engine.name == "triton":
        found: tuple[Array, Array] = registry.triton().hash_encode_backward(coords, table, geometry, grad)
        return found
    out = np.empty_like(table), np.empty_like(coords)
    registry.cpu.hash_encode_backward(engine.isa, geometry.compiled, coords, table, grad, *out, threads)
    return out
