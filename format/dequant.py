# SPDX-License-Identifier: MIT
"""Integers to float32, exactly as SPEC 7.6: one multiplication, one addition, each rounded. Imports numpy only."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import validate_data
from .errors import Place
from .records import (
    FILTER_BITS,
    CameraData,
    Coded,
    DetailData,
    FieldRecord,
    FilterData,
    GopRecord,
    GridRecord,
    Int64,
    Record,
    ResidualData,
    UniformQuantiser,
)

Float32 = NDArray[np.float32]
NOWHERE = Place()


@dataclass(frozen=True, eq=False)
class FieldParameters(Record):
    """The hash field in float32; tables are the levels' tables one after the other."""

    input_scale: tuple[float, float, float]
    grid2: GridRecord
    grid3: GridRecord
    frequency_count: int
    mean_scale: float
    colour_scale: float
    table2: Float32  # [entries, features]
    table3: Float32
    w1: Float32  # [hidden, inputs]
    b1: Float32
    w2: Float32  # [hidden, hidden]
    b2: Float32
    w_mean: Float32  # [2, hidden]
    b_mean: Float32
    w_colour: Float32  # [3, hidden]
    b_colour: Float32


@dataclass(frozen=True, eq=False)
class ResidualParameters(Record):
    """The residual in float32: `values` [n] of each component at `index`, as in `ResidualData`."""

    frames: int
    index: tuple[Int64, ...]
    values: tuple[Float32, ...]


@dataclass(frozen=True, eq=False)
class GopParameters(Record):
    """One GoP in float32, in the coded domain: log shapes, energy amplitudes and YCC are not undone here."""

    first_frame: int
    frame_count: int
    repeats: tuple[int, ...]  # frames that show what the one before them shows
    blend_mode: int
    background: tuple[float, float, float]  # RGB
    blend_epsilon: float
    mean: Float32  # [N, 2] px
    shape: Float32  # [N, 3]
    shape_type: int
    colour: Float32  # [N, 3]
    colour_space: int
    colour_norm: int
    motion: Float32 | None  # [N, K, 2] px
    drift: Float32 | None  # [N, 3]
    birth: Float32 | None  # [N] frames
    death: Float32 | None  # [N] frames
    edge: float | None  # frames
    field: FieldParameters | None
    camera: Float32 | None = None  # [T, 6] offsets x and y in px, slopes xx, xy, yx, yy
    detail: Float32 | None = None  # [3, rows, columns, 64] cosine coefficients in zigzag order, orthonormal YCC
    detail_moving: bool = True  # with the Gaussians; False: it stays where it is
    residual: ResidualParameters | None = None
    filter: Float32 | None = None  # [3, 12] weights, orthonormal YCC

    @property
    def gaussian_count(self) -> int:
        """N."""
        return len(self.mean)

    @property
    def distinct_count(self) -> int:
        """T, the frames that are no repeats."""
        return self.frame_count - len(self.repeats)

    def position(self, frame: float) -> float:
        """Where a position among the GoP's frames lies among those that are distinct (SPEC 7.7)."""
        first = min(max(math.floor(frame), 0), self.frame_count - 1)
        passed = bisect_right(self.repeats, first)
        stays = passed < len(self.repeats) and self.repeats[passed] == first + 1
        return first - passed + (0.0 if stays else frame - first)


def dequantise(record: GopRecord, *, at: Place | None = None) -> GopParameters:
    """The float32 parameters of a GoP. FormatError, blamed on `at`, if a value is not finite (rule C-6.8-6)."""
    at = at or Place(None, f"GoP at frame {record.first_frame}")
    window = record.window
    motion = record.motion and np.stack([coded_values(c, "motion", at) for c in record.motion.degrees], axis=1)
    return GopParameters(
        first_frame=record.first_frame,
        frame_count=record.frame_count,
        repeats=record.repeats,
        blend_mode=record.blend_mode,
        background=record.background,
        blend_epsilon=record.blend_epsilon,
        mean=mean_values(record.mean.grid, record.mean.fraction_bits, record.mean.margin),
        shape=coded_values(record.shape.coded, "shape", at),
        shape_type=record.shape.shape_type,
        colour=coded_values(record.colour.coded, "colour", at),
        colour_space=record.colour.colour_space,
        colour_norm=record.colour.colour_norm,
        motion=motion,
        drift=record.drift and coded_values(record.drift.coded, "drift", at),
        birth=window and _frames(window.birth, window.denominator),
        death=window and _frames(window.birth + window.duration, window.denominator),
        edge=window and window.edge,
        field=record.field and field_values(record.field, at),
        camera=record.camera and camera_values(record.camera),
        detail=record.detail and detail_values(record.detail, at),
        detail_moving=record.detail is None or record.detail.moving,
        residual=record.residual and residual_values(record.residual, at),
        filter=record.filter and filter_values(record.filter),
    )


def camera_values(camera: CameraData) -> Float32:
    """[T, 6] offsets in px and slopes, exact."""
    steps = np.array([2.0**-camera.offset_bits] * 2 + [2.0**-camera.slope_bits] * 4, np.float32)
    return camera.values.astype(np.float32) * steps


def detail_values(detail: DetailData, at: Place = NOWHERE) -> Float32:
    """[3, rows, columns, 64] cosine coefficients."""
    luma, chroma = detail.steps
    steps = np.array([luma, chroma, chroma], np.float32)[:, None, None, None]
    with np.errstate(over="ignore"):
        return _finite(detail.symbols.astype(np.float32) * steps, "detail", at)


def residual_values(residual: ResidualData, at: Place = NOWHERE) -> ResidualParameters:
    """The coefficients of a residual that are not 0."""
    luma, chroma = residual.steps
    parts = zip(residual.values, (luma, chroma, chroma), strict=True)
    with np.errstate(over="ignore"):
        values = [_finite(part.astype(np.float32) * np.float32(step), "residual", at) for part, step in parts]
    return ResidualParameters(residual.frames, residual.index, tuple(values))


def filter_values(data: FilterData) -> Float32:
    """[3, 12] weights, exact."""
    return data.symbols.astype(np.float32) * np.float32(2.0**-FILTER_BITS)


def mean_values(grid: Int64, fraction_bits: int, margin: int) -> Float32:
    """[N, 2] pixels: grid / 2^fraction_bits - margin, exact."""
    return grid.astype(np.float32) * np.float32(2.0**-fraction_bits) - np.float32(margin)


def _frames(symbols: Int64, denominator: int) -> Float32:
    return symbols.astype(np.float32) / np.float32(denominator)


def coded_values(coded: Coded, name: str = "coded", at: Place = NOWHERE) -> Float32:
    """[N, components] float32 of a uniform or residual vector quantiser."""
    q = coded.quantiser
    with np.errstate(over="ignore", invalid="ignore"):
        if isinstance(q, UniformQuantiser):
            scaled = coded.symbols.astype(np.float32) * np.array(q.steps, np.float32)
            values = scaled + np.array(q.offsets, np.float32)
        else:
            books = [np.float32(s) * b.astype(np.float32) for s, b in zip(q.codebook_steps, q.codebooks, strict=True)]
            values = books[0][coded.symbols[:, 0]]
            for stage, book in enumerate(books[1:], 1):
                values = values + book[coded.symbols[:, stage]]
    return _finite(values, name, at)


def _finite(values: Float32, name: str, at: Place) -> Float32:
    validate_data.values_are_finite(at, bool(np.isfinite(values).all()), name)
    return np.ascontiguousarray(values, dtype=np.float32)


def field_values(r: FieldRecord, at: Place = NOWHERE) -> FieldParameters:
    """The hash field's tensors in float32."""
    tensors = {}
    for (name, shape), step, symbols in zip(r.tensor_shapes(), r.steps, r.tensors, strict=True):
        with np.errstate(over="ignore"):
            tensors[name] = _finite(np.float32(step) * symbols.astype(np.float32), name, at).reshape(shape)
    return FieldParameters(
        input_scale=r.input_scale,
        grid2=r.grid2,
        grid3=r.grid3,
        frequency_count=r.frequency_count,
        mean_scale=r.mean_scale,
        colour_scale=r.colour_scale,
        table2=_tables(tensors, r.grid2),
        table3=_tables(tensors, r.grid3),
        **{name: tensors[name] for name in ("w1", "b1", "w2", "b2", "w_mean", "b_mean", "w_colour", "b_colour")},
    )


def _tables(tensors: dict[str, Float32], grid: GridRecord) -> Float32:
    levels = [tensors[f"grid{grid.dims}_table[{level}]"] for level in range(len(grid.resolutions))]
    return np.concatenate(levels) if levels else np.zeros((0, grid.feature_count), np.float32)
