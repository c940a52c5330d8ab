# SPDX-License-Identifier: MIT
"""Small made-up files with every tool of the format, for tests and benchmarks. Imports no torch and no encoder."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from gscodec.format.container import ContainerWriter
from gscodec.format.detail import block_grid
from gscodec.format.limits import level_for
from gscodec.format.morton import morton_encode
from gscodec.format.records import (
    BLEND_NORMALISED,
    CAMERA_VALUES,
    DETAIL_COMPONENTS,
    CameraData,
    Coded,
    ColourData,
    DetailData,
    DriftData,
    FieldRecord,
    FilterData,
    GopRecord,
    GridRecord,
    MeanData,
    MotionData,
    ResidualData,
    SequenceHeader,
    ShapeData,
    UniformQuantiser,
    WindowData,
    field_tensor_shapes,
)

FRACTION_BITS, MARGIN = 2, 16
DETAILS = {"detail", "still detail"}
PAPER_FIELD = (8, 10, 128, (2, 4))  # levels, log2 of the table, width, features of the 2D and 3D grids


def make_header(width: int = 48, height: int = 32, frames: int = 12, **fields: Any) -> SequenceHeader:
    """A header for small frames of GoPs of at most 10 frames."""
    fields = {"profile": 1, "level": level_for(width * height, 1000), "max_gop_frames": 10, **fields}
    return SequenceHeader(width=width, height=height, frame_count=frames, **fields)


def make_gop(
    header: SequenceHeader,
    first_frame: int,
    frame_count: int,
    gaussians: int,
    *,
    seed: int = 0,
    tools: tuple[str, ...] = (),
    log_extent: tuple[float, float] = (0.7, 0.5),
    gain: float = 0.25,
    field_layout: tuple[int, int, int, tuple[int, int]] = (3, 6, 16, (2, 2)),
) -> GopRecord:
    """Random Gaussians; `tools` names what is switched on: motion, drift, window, normalised, log, ycc, energy, field,
    alive (windows that are open all the time), camera, detail or still detail (which need normalised), residual,
    filter, repeats (every third frame).

    `log_extent`: mean and deviation of ln l11 and ln l22 (pixels). `gain`: typical colour weight. `field_layout`:
    see PAPER_FIELD.
    """
    rng = np.random.default_rng([seed, first_frame])
    repeats = tuple(range(2, frame_count, 3)) if "repeats" in tools else ()
    distinct = frame_count - len(repeats)
    values = _Values(rng, gaussians)
    pts = None
    if header.frame_duration == 0:
        pts = tuple(7 + 100 * f + 13 * (f % 3) for f in range(first_frame, first_frame + frame_count))
    return GopRecord(
        first_frame=first_frame,
        frame_count=frame_count,
        pts=pts,
        repeats=repeats,
        blend_mode=BLEND_NORMALISED if "normalised" in tools else 0,
        background=(0.2, 0.4, 0.6),
        blend_epsilon=0.2,
        mean=MeanData(FRACTION_BITS, MARGIN, values.means(header)),
        shape=_shape(values, log_extent, "log" in tools),
        colour=_colour(values, gain, tools),
        motion=MotionData((values.coded(2, 3.0, 0.25), values.coded(2, 1.0, 0.25))) if "motion" in tools else None,
        drift=DriftData(values.coded(3, gain / 4, 0.01)) if "drift" in tools else None,
        window=_window(values, distinct, "alive" in tools) if {"window", "alive"} & set(tools) else None,
        field=make_field(rng, *field_layout) if "field" in tools else None,
        camera=_camera(rng, distinct) if "camera" in tools else None,
        detail=make_detail(rng, header, "detail" in tools) if DETAILS & set(tools) else None,
        residual=make_residual(rng, header, distinct) if "residual" in tools else None,
        filter=FilterData(rng.integers(-9, 20, (3, 12))) if "filter" in tools else None,
    )


class _Values:
    """Draws random symbols for N Gaussians."""

    def __init__(self, rng: np.random.Generator, count: int) -> None:
        self.rng, self.count = rng, count

    def means(self, header: SequenceHeader) -> np.ndarray:
        """[N, 2] grid positions in Morton order."""
        size = (np.array([header.width, header.height]) + 2 * MARGIN) << FRACTION_BITS
        grid = np.stack([self.rng.integers(0, side, self.count) for side in size], axis=1)
        return grid[np.argsort(morton_encode(grid), kind="stable")]

    def coded(self, components: int, deviation: float, step: float, offset: float = 0.0) -> Coded:
        """Normally distributed values on a grid of `step` around `offset`."""
        symbols = np.round(self.rng.normal(0, deviation / step, (self.count, components))).astype(np.int64)
        return Coded(UniformQuantiser((step,) * components, (offset,) * components), symbols)


def _shape(values: _Values, log_extent: tuple[float, float], log: bool) -> ShapeData:
    mean, deviation = log_extent
    if log:
        coded = values.coded(3, deviation, 0.1)
        return ShapeData(1, Coded(UniformQuantiser((0.1,) * 3, (mean, 0.0, mean)), coded.symbols))
    extent = np.exp(values.rng.normal(mean, deviation, (values.count, 3)))
    extent[:, 1] = values.rng.normal(0, 0.5 * np.exp(mean), values.count)
    symbols = np.round(extent / 0.05).astype(np.int64)
    symbols[:, 0::2] = np.maximum(symbols[:, 0::2], 4)
    return ShapeData(0, Coded(UniformQuantiser((0.05,) * 3, (0.0,) * 3), symbols))


def _colour(values: _Values, gain: float, tools: tuple[str, ...]) -> ColourData:
    energy = "energy" in tools
    spread = gain * (8.0 if energy else 1.0)
    coded = values.coded(3, spread, spread / 20, 0.0 if "ycc" in tools else spread)
    return ColourData(int("ycc" in tools), int(energy), coded)


def _window(values: _Values, frame_count: int, alive: bool) -> WindowData:
    if alive:
        return WindowData(1.5, 2, np.full(values.count, -2), np.full(values.count, 2 * frame_count + 4))
    birth = values.rng.integers(-2, 2 * frame_count, values.count)
    return WindowData(1.5, 2, birth, values.rng.integers(0, 2 * frame_count, values.count))


def _camera(rng: np.random.Generator, frame_count: int) -> CameraData:
    """Some pixels to and fro, turned and zoomed by some percent."""
    spread = np.array([48, 48, 60, 60, 60, 60])
    return CameraData(4, 10, np.round(rng.normal(0, 1, (frame_count, CAMERA_VALUES)) * spread).astype(np.int64))


def make_detail(rng: np.random.Generator, header: SequenceHeader, moving: bool) -> DetailData:
    """A few coefficients in most blocks, smaller and fewer from frequency to frequency: some tenths of white."""
    shape = DETAIL_COMPONENTS, *block_grid(header), 64
    fading = np.exp(-np.arange(64) / 12)
    there = rng.random(shape) < 0.6 * fading
    symbols = np.round(rng.normal(0, 20 * fading, shape)).astype(np.int32) * there
    return DetailData((0.02, 0.025), symbols, moving=moving)


def make_residual(rng: np.random.Generator, header: SequenceHeader, frame_count: int, frames: int = 3) -> ResidualData:
    """A few coefficients in every other block; the last of several groups has none: some tenths of white."""
    shape = -(-frame_count // frames), *block_grid(header), 64 * frames
    fading = np.exp(-np.arange(shape[-1]) / 20)
    index, values = [], []
    for _ in range(DETAIL_COMPONENTS):
        there = (rng.random(shape) < 0.6 * fading) & (rng.random((*shape[:3], 1)) < 0.5)
        if shape[0] > 1:
            there[-1] = False
        symbols = np.round(rng.normal(0, 15 * fading, shape)).astype(np.int32) * there
        index.append(np.flatnonzero(symbols))
        values.append(symbols.reshape(-1)[index[-1]])
    return ResidualData(frames, (0.03, 0.04), tuple(index), tuple(values))


def make_field(
    rng: np.random.Generator, levels: int, log2_table: int, width: int, features: tuple[int, int]
) -> FieldRecord:
    """A hash field of random symbols."""
    sides = tuple(int(16 * 1.5**level) for level in range(levels))
    scales = tuple(float(side - 1) for side in sides)
    grid2 = GridRecord(2, features[0], log2_table, sides, scales)
    grid3 = GridRecord(3, features[1], log2_table, sides, scales)
    shapes = field_tensor_shapes(grid2, grid3, 6, width)
    steps = tuple(0.01 if name.startswith("grid") else 1 / (8 * max(shape[-1], 8)) for name, shape in shapes)
    tensors = tuple(np.round(rng.normal(0, 8, int(np.prod(shape)))).astype(np.int32) for _, shape in shapes)
    return FieldRecord((0.9375,) * 3, grid2, grid3, 6, width, 4.0, 0.1, steps, tensors)


def make_file(
    header: SequenceHeader | None = None,
    gaussians: int = 60,
    tools: tuple[str, ...] = (),
    seed: int = 0,
    **options: Any,
) -> bytes:
    """The bytes of a file whose GoPs are full up to the last."""
    header = header or make_header()
    file = io.BytesIO()
    writer = ContainerWriter(file, header)
    for first in range(0, header.frame_count, header.max_gop_frames):
        count = min(header.max_gop_frames, header.frame_count - first)
        writer.add_gop(make_gop(header, first, count, gaussians, seed=seed, tools=tools, **options))
    writer.close()
    return file.getvalue()
