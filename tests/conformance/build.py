# SPDX-License-Identifier: MIT
"""The conformance vectors as records: every tool and quantiser, alone and together, on very small pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from gscodec.format.container import ContainerWriter
from gscodec.format.morton import morton_order
from gscodec.format.records import (
    CAMERA_VALUES,
    DETAIL_COMPONENTS,
    FILTER_TAPS,
    SHAPE_LOG,
    CameraData,
    Coded,
    ColourData,
    DetailData,
    FieldRecord,
    FilterData,
    GopRecord,
    GridRecord,
    MeanData,
    MotionData,
    ResidualData,
    RvqQuantiser,
    SequenceHeader,
    ShapeData,
    UniformQuantiser,
    WindowData,
    field_tensor_shapes,
)
from tests.conformance.numbers import Numbers

Vector = tuple[SequenceHeader, list[GopRecord]]
VECTORS: dict[str, Callable[[], Vector]] = {}
SIZE = (32, 24)


def vector(function: Callable[[], Vector]) -> Callable[[], Vector]:
    """Register a vector under its function's name."""
    VECTORS[function.__name__] = function
    return function


def file_of(vector: Vector, ancillary: tuple[tuple[str, bytes], ...] = (), *, with_copy: bool = False) -> bytes:
    """The bytes of a vector, `with_copy` of the sequence header at the end."""
    header, gops = vector
    file = io.BytesIO()
    writer = ContainerWriter(file, header)
    for kind, payload in ancillary:
        writer.add_ancillary(kind, payload)
    for gop in gops:
        writer.add_gop(gop)
    writer.close(with_copy=with_copy)
    return file.getvalue()


def header(frame_count: int, size: tuple[int, int] = SIZE, **values: Any) -> SequenceHeader:
    """A sequence header of profile main, level 1."""
    fields = {"profile": 1, "level": 1, "max_gop_frames": frame_count, **values}
    return SequenceHeader(width=size[0], height=size[1], frame_count=frame_count, **fields)


def uniform(symbols: np.ndarray, step: float, offset: float = 0.0) -> Coded:
    """Uniformly quantised numbers with one step and offset for all components."""
    columns = symbols.shape[1]
    return Coded(UniformQuantiser((step,) * columns, (offset,) * columns), symbols)


def rvq(n: Numbers, count: int, components: int, stages: int, log2: int, scale: float, centre: int = 0) -> Coded:
    """Residual vector quantiser whose stages get finer by half; the first one's codewords are around `centre`."""
    books = [n.peaked(20, 1 << log2, components) + (centre if stage == 0 else 0) for stage in range(stages)]
    steps = tuple(scale * 2.0**-stage for stage in range(stages))
    return Coded(RvqQuantiser(steps, tuple(books)), n.below(1 << log2, count, stages))


def means(n: Numbers, count: int, size: tuple[int, int] = SIZE, fraction_bits: int = 3, margin: int = 4) -> MeanData:
    """Means all over the frame and its margin."""
    spans = [(side + 2 * margin) << fraction_bits for side in size]
    grid = np.stack([n.below(span, count) for span in spans], axis=1)
    return MeanData(fraction_bits, margin, grid[morton_order(grid)])


def shapes(n: Numbers, count: int) -> ShapeData:
    """Cholesky factors of 1 to 5 pixels, 8 bits."""
    symbols = np.stack([n.below(200, count), n.between(20, 235, count), n.below(200, count)], axis=1)
    quantiser = UniformQuantiser((0.02, 0.02, 0.02), (1.0, -2.56, 1.0))
    return ShapeData(0, Coded(quantiser, symbols))


def log_shapes(n: Numbers, count: int) -> ShapeData:
    """The same as logarithms."""
    symbols = np.stack([n.between(0, 12, count), n.peaked(3, count), n.between(0, 12, count)], axis=1)
    return ShapeData(SHAPE_LOG, uniform(symbols, 0.125))


def colours(n: Numbers, count: int, **kind: int) -> ColourData:
    """Colour weights or energies, mostly positive."""
    step = 0.125 if kind.get("colour_norm") else 0.02
    return ColourData(
        kind.get("colour_space", 0), kind.get("colour_norm", 0), uniform(n.between(-8, 20, count, 3), step)
    )


def motion(n: Numbers, count: int, degree: int) -> MotionData:
    """Paths of a few pixels."""
    return MotionData(tuple(uniform(n.peaked(6, count, 2), 0.25 / k) for k in range(1, degree + 1)))


def windows(n: Numbers, count: int, frames: int, denominator: int = 4, edge: float = 0.75) -> WindowData:
    """Births before and in the GoP, some lives shorter than a frame."""
    birth = n.between(-2, denominator * frames, count)
    return WindowData(edge, denominator, birth, n.below(denominator * frames, count))


def camera(n: Numbers, frames: int, offset_bits: int = 3, slope_bits: int = 10) -> CameraData:
    """A camera that shakes by a few pixels, turns and zooms a little."""
    values = np.stack([n.peaked(20 if i < 2 else 25, frames) for i in range(CAMERA_VALUES)], axis=1)
    return CameraData(offset_bits, slope_bits, values)


def blocks(n: Numbers, size: tuple[int, int], most: int = 20) -> np.ndarray:
    """[3, rows, columns, 64] coefficients that get smaller; a third of the blocks has none, the others up to `most`."""
    shape = DETAIL_COMPONENTS, -(-size[1] // 8), -(-size[0] // 8)
    length = n.below(most + 1, *shape) * (n.below(3, *shape) > 0)
    number = np.arange(64)
    values = n.peaked(12, *shape, 64) // (1 + number // 2)
    return np.where(number < length[..., None], values, 0)


def detail(n: Numbers, size: tuple[int, int] = SIZE, most: int = 20, moving: bool = True) -> DetailData:
    """A detail of its own, visible but mostly small."""
    return DetailData((0.0625, 0.03125), blocks(n, size, most), moving=moving)


def more_detail(n: Numbers, before: DetailData, size: tuple[int, int] = SIZE, moving: bool = True) -> DetailData:
    """What goes on from the detail before: three quarters of the blocks, a few of them changed."""
    kept = np.where(n.below(4, *before.symbols.shape[1:3]) > 0, 1, 0)
    change = np.where(kept[..., None] & (n.below(3, *kept.shape) > 0)[..., None], 0, blocks(n, size, 6))
    return DetailData(before.steps, before.symbols * kept[..., None] + change, kept, moving)


def residual(n: Numbers, frame_count: int, frames: int, size: tuple[int, int] = SIZE, rare: int = 3) -> ResidualData:
    """A residual in groups of `frames`: low frequencies of one block in `rare`, visible but mostly small.

    The last group of several has none in y.
    """
    shape = -(-frame_count // frames), -(-size[1] // 8), -(-size[0] // 8)
    parts = []
    for component in range(DETAIL_COMPONENTS):
        length = n.below(min(64 * frames, 40), *shape) * (n.below(rare, *shape) == 0)
        if component == 0 and shape[0] > 1:
            length[-1] = 0
        values = n.peaked(6, *shape, 64 * frames) * (n.below(3, *shape, 64 * frames) == 0)
        parts.append(np.where(np.arange(64 * frames) < length[..., None], values, 0).reshape(-1))
    index = tuple(np.flatnonzero(part) for part in parts)
    values = tuple(part[where] for part, where in zip(parts, index, strict=True))
    return ResidualData(frames, (0.125, 0.0625), index, values)


def smoothing(n: Numbers) -> FilterData:
    """A filter that blurs y, leaves u nearly as it is, and sharpens v."""
    weights = n.below(12, DETAIL_COMPONENTS, FILTER_TAPS) * np.array([[1], [0], [-1]])
    weights[1, 5] = 127
    weights[2, 0] = -128
    return FilterData(weights)


def field(n: Numbers, grid2: GridRecord, grid3: GridRecord, frequencies: int, hidden: int, step: float) -> FieldRecord:
    """A field with 8-bit numbers."""
    named = field_tensor_shapes(grid2, grid3, frequencies, hidden)
    tensors = tuple(n.peaked(30, math.prod(shape)) for _, shape in named)
    steps = tuple(step for _ in named)
    return FieldRecord((0.9375,) * 3, grid2, grid3, frequencies, hidden, 2.0, 0.125, steps, tensors)


def grid(dims: int, levels: int, features: int, log2: int, base: int = 4) -> GridRecord:
    """The default geometry at a small base."""
    sides = tuple(math.floor(base * 1.5**level) for level in range(levels))
    return GridRecord(dims, features, log2, sides, tuple(side - 1.0 for side in sides))


def gop(first: int, frames: int, mean: MeanData, shape: ShapeData, colour: ColourData, **tools: Any) -> GopRecord:
    """A GoP of these parts."""
    return GopRecord(first, frames, mean, shape, colour, **tools)


def plain(n: Numbers, first: int, frames: int, count: int, size: tuple[int, int] = SIZE, **tools: Any) -> GopRecord:
    """A GoP of Cholesky shapes and RGB weights."""
    return gop(first, frames, means(n, count, size), shapes(n, count), colours(n, count), **tools)
