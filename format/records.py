# SPDX-License-Identifier: MIT
"""The structures of SPEC section 5 as frozen dataclasses of integers and float32 numbers, in the order of the SPEC.

Every float is rounded to float32 when a record is made, so what is written is what the record says.
Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

PROFILES = {0: "stgv", 1: "main"}
REFERENCE_INDEPENDENT, REFERENCE_PREVIOUS = 0, 1
BLEND_SUM, BLEND_NORMALISED = 0, 1
WINDOW_NONE, WINDOW_RAMP = 0, 1
FIELD_NONE, FIELD_HASH = 0, 1
CAMERA_NONE, CAMERA_AFFINE = 0, 1
DETAIL_NONE, DETAIL_MOVING, DETAIL_STILL = 0, 1, 2
SHAPE_CHOLESKY, SHAPE_LOG = 0, 1
COLOUR_RGB, COLOUR_YCC = 0, 1
NORM_WEIGHT, NORM_ENERGY = 0, 1
QUANTISER_UNIFORM, QUANTISER_RVQ = 0, 1
CAMERA_VALUES = 6  # of a frame: offsets x and y, slopes xx, xy, yx, yy
DETAIL_COMPONENTS = 3  # orthonormal YCC
FILTER_TAPS, FILTER_BITS = 12, 7  # pairs of pixels of a filter; bits of a weight behind the point

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(np.float32(v)) for v in values)


class Record:
    """Base of all records: equality compares arrays by value, and `_set` normalises fields of a frozen instance."""

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))  # type: ignore[arg-type]

    def __bool__(self) -> Literal[True]:
        return True  # so that `record and record.part` reads well and has the right type

    __hash__ = None  # type: ignore[assignment]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


def _int64(values: ArrayLike, columns: int | None = None) -> Int64:
    array = np.ascontiguousarray(values, dtype=np.int64)
    return array if columns is None else array.reshape(-1, columns)


@dataclass(frozen=True, eq=False)
class SequenceHeader(Record):
    """SEQH: what holds for the whole file. Colour fields are H.273 code points of the source (2 = unspecified)."""

    profile: int
    level: int
    width: int  # pixels
    height: int
    max_gop_frames: int
    frame_count: int
    sar_num: int = 1
    sar_den: int = 1
    bit_depth: int = 8
    colour_primaries: int = 2
    transfer_characteristics: int = 2
    matrix_coefficients: int = 2
    full_range: int = 2
    time_base_num: int = 1  # seconds per tick = num / den
    time_base_den: int = 25
    frame_duration: int = 1  # ticks; 0 = time stamps are in the GoPs
    start_pts: int = 0
    max_entry_distance: int = 0  # frames from where a chain of GoPs is entered to its end; at least max_gop_frames

    def __post_init__(self) -> None:
        self._set(max_entry_distance=max(self.max_entry_distance, self.max_gop_frames))


@dataclass(frozen=True, eq=False)
class UniformQuantiser(Record):
    """value = step * symbol + offset, per component."""

    steps: tuple[float, ...]
    offsets: tuple[float, ...]

    def __post_init__(self) -> None:
        self._set(steps=_floats(self.steps), offsets=_floats(self.offsets))


@dataclass(frozen=True, eq=False)
class RvqQuantiser(Record):
    """Residual vector quantiser: value = sum over stages of codebook_step[m] * codebook[m][index]."""

    codebook_steps: tuple[float, ...]
    codebooks: tuple[Int32, ...]  # per stage [2^codebook_log2, components]

    def __post_init__(self) -> None:
        books = tuple(np.ascontiguousarray(b, dtype=np.int32) for b in self.codebooks)
        self._set(codebook_steps=_floats(self.codebook_steps), codebooks=books)

    @property
    def codebook_log2(self) -> int:
        """log2 of the number of codewords, the same in every stage."""
        return len(self.codebooks[0]).bit_length() - 1


@dataclass(frozen=True, eq=False)
class Coded(Record):
    """A quantiser and its symbols: [N, components] for uniform, [N, stages] codeword indices for RVQ."""

    quantiser: UniformQuantiser | RvqQuantiser
    symbols: Int64

    def __post_init__(self) -> None:
        self._set(symbols=_int64(self.symbols, self.columns))

    @property
    def columns(self) -> int:
        """Planes of symbols: components or stages."""
        q = self.quantiser
        return len(q.steps) if isinstance(q, UniformQuantiser) else len(q.codebook_steps)


@dataclass(frozen=True, eq=False)
class MeanData(Record):
    """Means on an integer grid of 2^-fraction_bits pixels that starts `margin` pixels outside the frame."""

    fraction_bits: int
    margin: int
    grid: Int64  # [N, 2] (ix, iy); but for carried Gaussians in Morton order

    def __post_init__(self) -> None:
        self._set(grid=_int64(self.grid, 2))


@dataclass(frozen=True, eq=False)
class ShapeData(Record):
    """Cholesky factors: (l11, l21, l22) px, or (ln l11, l21 / l22, ln l22)."""

    shape_type: int
    coded: Coded


@dataclass(frozen=True, eq=False)
class ColourData(Record):
    """Colour weights or energy amplitudes, three components in RGB or orthonormal YCC."""

    colour_space: int
    colour_norm: int
    coded: Coded


@dataclass(frozen=True, eq=False)
class MotionData(Record):
    """Polynomial motion: one Coded of two components (x, y; px) per degree 1, 2, ..."""

    degrees: tuple[Coded, ...]


@dataclass(frozen=True, eq=False)
class DriftData(Record):
    """Linear change of colour over the GoP, in the space and norm of the colours."""

    coded: Coded


@dataclass(frozen=True, eq=False)
class WindowData(Record):
    """Temporal windows: birth and duration in frames / denominator, with ramps `edge` frames long."""

    edge: float
    denominator: int
    birth: Int64  # [N]
    duration: Int64  # [N], >= 0

    def __post_init__(self) -> None:
        self._set(edge=_floats([self.edge])[0], birth=_int64(self.birth), duration=_int64(self.duration))


@dataclass(frozen=True, eq=False)
class GridRecord(Record):
    """Geometry of one multiresolution hash grid."""

    dims: int  # 2 or 3
    feature_count: int  # 1, 2, 4 or 8
    log2_table_size: int
    resolutions: tuple[int, ...]  # per level, vertices per axis
    scales: tuple[float, ...]  # per level

    def __post_init__(self) -> None:
        self._set(resolutions=tuple(int(r) for r in self.resolutions), scales=_floats(self.scales))

    def entries(self) -> tuple[int, ...]:
        """Table entries per level: min(res^D rounded up to 8, 2^log2_table_size)."""
        return tuple(min(-(-(r**self.dims) // 8) * 8, 1 << self.log2_table_size) for r in self.resolutions)

    @property
    def width(self) -> int:
        """Features of one encoded point."""
        return len(self.resolutions) * self.feature_count


@dataclass(frozen=True, eq=False)
class FieldRecord(Record):
    """The hash field: two grids, a two-layer network with two heads; tensors in the order of tensor_shapes()."""

    input_scale: tuple[float, float, float]  # x, y, t
    grid2: GridRecord
    grid3: GridRecord
    frequency_count: int
    hidden_width: int
    mean_scale: float
    colour_scale: float
    steps: tuple[float, ...]  # one per tensor
    tensors: tuple[Int32, ...]  # flat symbols, one array per tensor

    def __post_init__(self) -> None:
        flat = tuple(np.ascontiguousarray(t, dtype=np.int32).reshape(-1) for t in self.tensors)
        scales = _floats([self.mean_scale, self.colour_scale])
        self._set(input_scale=_floats(self.input_scale), steps=_floats(self.steps), tensors=flat)
        self._set(mean_scale=scales[0], colour_scale=scales[1])

    def tensor_shapes(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """(name, shape) of every tensor, in file order."""
        return field_tensor_shapes(self.grid2, self.grid3, self.frequency_count, self.hidden_width)


def field_tensor_shapes(
    grid2: GridRecord, grid3: GridRecord, frequency_count: int, hidden_width: int
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """(name, shape) of every tensor of a hash field, in file order."""
    tables: list[tuple[str, tuple[int, ...]]] = [
        (f"grid{grid.dims}_table[{level}]", (entries, grid.feature_count))
        for grid in (grid2, grid3)
        for level, entries in enumerate(grid.entries())
    ]
    inputs = grid2.width + grid3.width + 2 * frequency_count
    network: list[tuple[str, tuple[int, ...]]] = [
        ("w1", (hidden_width, inputs)),
        ("b1", (hidden_width,)),
        ("w2", (hidden_width, hidden_width)),
        ("b2", (hidden_width,)),
        ("w_mean", (2, hidden_width)),
        ("b_mean", (2,)),
        ("w_colour", (3, hidden_width)),
        ("b_colour", (3,)),
    ]
    return tuple(tables + network)


@dataclass(frozen=True, eq=False)
class CameraData(Record):
    """How the whole picture moves: per frame the offsets x and y, in 2^-offset_bits px, and the slopes xx, xy, yx and
    yy, in 2^-slope_bits px per px from the picture's centre.
    """

    offset_bits: int
    slope_bits: int
    values: Int64  # [T, 6]

    def __post_init__(self) -> None:
        self._set(values=_int64(self.values, CAMERA_VALUES))


@dataclass(frozen=True, eq=False)
class DetailData(Record):
    """What a GoP's Gaussians leave out, as one picture: blocks of 8x8 cosine coefficients.

    `moving`: it moves with the Gaussians, or it stays where it is. `kept`: in a GoP that goes on from the detail of the
    one before, the blocks that do.
    """

    steps: tuple[float, ...]  # of luma, and of the two others
    symbols: Int32  # [3, rows, columns, 64], zigzag order
    kept: Int64 | None = None  # [rows, columns], 0 or 1
    moving: bool = True

    def __post_init__(self) -> None:
        self._set(steps=_floats(self.steps), symbols=np.ascontiguousarray(self.symbols, dtype=np.int32))
        if self.kept is not None:
            self._set(kept=_int64(self.kept))

    @property
    def detail_type(self) -> int:
        """As the header of its GoP has it."""
        return DETAIL_MOVING if self.moving else DETAIL_STILL


@dataclass(frozen=True, eq=False)
class ResidualData(Record):
    """What is still missing of each frame of a GoP: blocks of 8x8 pixels and `frames` frames of cosine coefficients.

    `index` of each component: where coefficients other than 0 lie in [groups, rows, columns, 64 * frames], flat; the
    last axis in the order of SPEC 6.22. `values`: what they are.
    """

    frames: int
    steps: tuple[float, ...]  # of luma, and of the two others
    index: tuple[Int64, ...]  # three times [n], rising
    values: tuple[Int32, ...]  # three times [n]

    def __post_init__(self) -> None:
        self._set(steps=_floats(self.steps), index=tuple(map(_int64, self.index)))
        self._set(values=tuple(np.ascontiguousarray(part, dtype=np.int32) for part in self.values))


@dataclass(frozen=True, eq=False)
class FilterData(Record):
    """A filter behind the picture. symbols: [3, FILTER_TAPS] weights of each pair of pixels, in 1/128."""

    symbols: Int64

    def __post_init__(self) -> None:
        self._set(symbols=_int64(self.symbols))


@dataclass(frozen=True, eq=False)
class GopRecord(Record):
    """One GoP: frames first_frame .. first_frame + frame_count - 1 of the sequence, as integers.

    Symbols are absolute whether or not the GoP is predicted from the one before it. If it is (`reference_mode` 1),
    `carried` says which Gaussians of that one go on here, [M] rising indices; they come first, in the order they have
    there, and the quantisers are those of the GoP before.
    """

    first_frame: int
    frame_count: int
    mean: MeanData
    shape: ShapeData
    colour: ColourData
    pts: tuple[int, ...] | None = None  # ticks, one per frame; only if frame_duration is 0
    repeats: tuple[int, ...] = ()  # frames, numbered in the GoP and rising, that show what the one before them shows
    reference_mode: int = REFERENCE_INDEPENDENT
    blend_mode: int = BLEND_SUM
    background: tuple[float, float, float] = (0.0, 0.0, 0.0)  # RGB; normalised blending only
    blend_epsilon: float = 1.0
    motion: MotionData | None = None
    drift: DriftData | None = None
    window: WindowData | None = None
    field: FieldRecord | None = None
    camera: CameraData | None = None
    detail: DetailData | None = None
    residual: ResidualData | None = None
    filter: FilterData | None = None
    carried: Int64 | None = None

    def __post_init__(self) -> None:
        if self.carried is not None:
            self._set(carried=_int64(self.carried))
        self._set(background=_floats(self.background), blend_epsilon=_floats([self.blend_epsilon])[0])
        if self.blend_mode == BLEND_SUM:
            self._set(background=(0.0, 0.0, 0.0), blend_epsilon=1.0)

    @property
    def gaussian_count(self) -> int:
        """N."""
        return len(self.mean.grid)

    @property
    def distinct_count(self) -> int:
        """T, the frames that are no repeats: those that are coded and drawn."""
        return self.frame_count - len(self.repeats)

    @property
    def motion_degree(self) -> int:
        """Degree of the paths, 0 for none."""
        return len(self.motion.degrees) if self.motion else 0

    @property
    def carried_count(self) -> int:
        """M, the Gaussians that the GoP before has too; they come first."""
        return 0 if self.carried is None else len(self.carried)
