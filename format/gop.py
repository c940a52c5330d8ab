# SPDX-License-Identifier: MIT
"""The GOPD payload (SPEC 5.5 to 5.9): every function runs in both directions, in the order of its SPEC table.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from . import entropy, validate, validate_data
from .accounting import GopBits as GopBits  # callers meet it here
from .camera import camera_data
from .carry import carry_data, check_windows, difference
from .coded import coded_planes
from .contexts import GopColumns
from .detail import detail_data
from .field import field_hash
from .filter import filter_data
from .gop_header import GAUSSIAN_BYTES as GAUSSIAN_BYTES
from .gop_header import GopHeader, gop_header
from .limits import Limits
from .morton import morton_decode, morton_encode
from .prediction import Prediction, grid_spans
from .records import (
    BLEND_NORMALISED,
    CAMERA_AFFINE,
    DETAIL_MOVING,
    DETAIL_NONE,
    REFERENCE_INDEPENDENT,
    REFERENCE_PREVIOUS,
    SHAPE_CHOLESKY,
    WINDOW_RAMP,
    ColourData,
    DriftData,
    GopRecord,
    MeanData,
    MotionData,
    SequenceHeader,
    ShapeData,
    WindowData,
)
from .residual import residual_data
from .schema import F32, U8, UVAR, Entry, FieldStream, Values


def write_gop(record: GopRecord, header: SequenceHeader, reference: GopRecord | None = None) -> tuple[bytes, GopBits]:
    """The GOPD payload of `record` and its bits by component.

    `reference` is the GoP before it, needed if `reference_mode` is 1. FormatError if the record breaks a rule,
    ValueError if it does not go on from `reference`.
    """
    io = FieldStream(chunk="GoP to be written")
    _gop(io, header, Limits(), record, reference)
    payload = io.getvalue()
    validate.gaussians_have_bits(io.place, record.gaussian_count - record.carried_count, len(payload))
    if record.field:
        validate_data.parameters_have_bytes(io.place, sum(map(len, record.field.tensors)), len(payload))
    return payload, io.bits


def read_gop(
    payload: bytes,
    header: SequenceHeader,
    limits: Limits | None = None,
    reference: GopRecord | None = None,
    *,
    offset: int = 0,
    chunk: str = "GoP",
    trace: list[Entry] | None = None,
) -> tuple[GopRecord, GopBits]:
    """The record in a GOPD payload that starts at byte `offset` of the file, and its bits by component.

    `reference` is the GoP before it, needed if `reference_mode` is 1. The bits sum to 8 * len(payload); `trace`
    receives every field. Raises FormatError, LimitError.
    """
    io = FieldStream(payload, offset=offset, chunk=chunk, trace=trace)
    record = _gop(io, header, limits or Limits(), None, reference)
    io.finish()
    return record, io.bits


def read_gop_header(
    payload: bytes, header: SequenceHeader, limits: Limits | None = None, *, offset: int = 0, chunk: str = "GoP"
) -> GopHeader:
    """Only the gop_header() of a payload; cheap."""
    io = FieldStream(payload, offset=offset, chunk=chunk)
    return gop_header(io, header, limits or Limits(), None)


def _gop(
    io: FieldStream, header: SequenceHeader, limits: Limits, r: GopRecord | None, reference: GopRecord | None
) -> GopRecord:
    h = gop_header(io, header, limits, r)
    count, p, columns, camera = h.gaussian_count, None, GopColumns(), None
    if h.camera_type == CAMERA_AFFINE:
        with io.component("camera"), io.scope("camera_data"):
            camera = camera_data(io, r and r.camera, h.distinct_count)
    if h.reference_mode == REFERENCE_PREVIOUS:
        with io.component("carry"), io.scope("carry_data"):
            p = carry_data(io, header, h, r, reference)
    with io.component("windows"), io.scope("window_data"):
        window = _window_data(io, r and r.window, count, p, columns) if h.window_type == WINDOW_RAMP else None
    with io.component("motion"):
        motion = _motion_data(io, r and r.motion, h.motion_degree, count, p, columns) if h.motion_degree else None
    with io.component("means"), io.scope("mean_data"):
        if p is None:
            mean = _mean_data(io, header, r and r.mean, count)
        else:
            mean = _predicted_mean_data(io, r and r.mean, count, p, motion, columns)
    with io.component("shapes"), io.scope("shape_data"):
        shape = _shape_data(io, r and r.shape, count, p, columns)
    with io.component("colours"), io.scope("colour_data"):
        colour = _colour_data(io, r and r.colour, count, p, columns)
    with io.component("motion"):
        drift = _drift_data(io, r and r.drift, count, p, columns) if h.colour_drift else None
    field = None
    if h.field_type:
        with io.component("field_tables"), io.scope("field_hash"):
            field = field_hash(io, limits, r and r.field)
    detail = None
    if h.detail_type != DETAIL_NONE:
        with io.component("detail"), io.scope("detail_data"):
            before = reference.detail if p is not None and reference is not None else None
            moving = h.detail_type == DETAIL_MOVING
            detail = detail_data(io, header, moving, r and r.detail, before, p is not None)
    residual = None
    if h.residual_frames:
        with io.component("residual"), io.scope("residual_data"):
            residual = residual_data(io, header, h.distinct_count, h.residual_frames, r and r.residual, limits)
    smoothing = None
    if h.filter_type:
        with io.component("filter"), io.scope("filter_data"):
            smoothing = filter_data(io, r and r.filter)
    _check_profile(io, header, h, shape, colour)
    return r or GopRecord(
        first_frame=h.first_frame,
        frame_count=h.frame_count,
        pts=h.pts,
        repeats=h.repeats,
        reference_mode=h.reference_mode,
        blend_mode=h.blend_mode,
        background=h.background,
        blend_epsilon=h.blend_epsilon,
        mean=mean,
        shape=shape,
        colour=colour,
        motion=motion,
        drift=drift,
        window=window,
        field=field,
        camera=camera,
        detail=detail,
        residual=residual,
        filter=smoothing,
        carried=p and p.carried,
    )


def _mean_data(io: FieldStream, header: SequenceHeader, mean: MeanData | None, count: int) -> MeanData:
    v: Values = {} if mean is None else {"fraction_bits": mean.fraction_bits, "margin": mean.margin}
    io.field(v, "fraction_bits", U8)
    validate_data.fraction_bits(io.place, v["fraction_bits"])
    io.field(v, "margin", UVAR)
    spans = grid_spans(header, v["fraction_bits"], v["margin"])
    validate_data.grid_span(io.place, max(spans))
    return MeanData(v["fraction_bits"], v["margin"], _gaps(io, mean and mean.grid, count, spans))


def _gaps(io: FieldStream, grid: np.ndarray | None, count: int, spans: tuple[int, int]) -> np.ndarray:
    """Transfer [count, 2] grid positions in Morton order."""
    if grid is not None:
        _check_grid(io, grid, spans)
        gaps = np.diff(morton_encode(grid), prepend=0)
        if np.any(gaps < 0):
            raise ValueError("the means are not in Morton order; sort the Gaussians with morton_order()")
        entropy.gap_plane(io, "gap", gaps, count)
        return grid
    gaps = entropy.gap_plane(io, "gap", None, count)
    validate_data.gaps_do_not_overflow(io.place, float(gaps.sum(dtype=np.float64)))
    found = morton_decode(np.cumsum(gaps))
    _check_grid(io, found, spans)
    return found


def _predicted_mean_data(
    io: FieldStream,
    mean: MeanData | None,
    count: int,
    p: Prediction,
    motion: MotionData | None,
    columns: GopColumns,
) -> MeanData:
    """Means of Gaussians that have this `motion` in the new GoP."""
    grid, axes = None if mean is None else mean.grid, []
    for axis, expected in enumerate(p.means(motion, io.place).T):
        source = None if grid is None else grid[: p.count, axis]
        axes.append(difference(io, f"mean_delta[{axis}]", expected, source, columns.carried))
    carried = np.stack(axes, axis=1)
    _check_grid(io, carried, p.spans)
    new = _gaps(io, None if grid is None else grid[p.count :], count - p.count, p.spans)
    return replace(p.reference.mean, grid=np.concatenate([carried, new]))


def _check_grid(io: FieldStream, grid: np.ndarray, spans: tuple[int, ...]) -> None:
    if len(grid):
        outside = np.any((grid < 0) | (grid >= spans), axis=1)
        x, y = grid[int(outside.argmax())]
        validate_data.means_in_grid(io.place, int(x), int(y), (spans[0], spans[1]))


def _shape_data(
    io: FieldStream, shape: ShapeData | None, count: int, p: Prediction | None, columns: GopColumns
) -> ShapeData:
    if p is not None:
        coded = coded_planes(io, "shape", shape and shape.coded, 3, count, columns, p.shape)
        return ShapeData(p.reference.shape.shape_type, coded)
    v: Values = {} if shape is None else {"shape_type": shape.shape_type}
    io.field(v, "shape_type", U8)
    validate_data.shape_type(io.place, v["shape_type"])
    return ShapeData(v["shape_type"], coded_planes(io, "shape", shape and shape.coded, 3, count, columns))


def _colour_data(
    io: FieldStream, colour: ColourData | None, count: int, p: Prediction | None, columns: GopColumns
) -> ColourData:
    if p is not None:
        coded = coded_planes(io, "colour", colour and colour.coded, 3, count, columns, p.colour)
        return ColourData(p.reference.colour.colour_space, p.reference.colour.colour_norm, coded)
    v: Values = {}
    if colour is not None:
        v = {"colour_space": colour.colour_space, "colour_norm": colour.colour_norm}
    io.field(v, "colour_space", U8)
    validate_data.colour_space(io.place, v["colour_space"])
    io.field(v, "colour_norm", U8)
    validate_data.colour_norm(io.place, v["colour_norm"])
    coded = coded_planes(io, "colour", colour and colour.coded, 3, count, columns)
    return ColourData(v["colour_space"], v["colour_norm"], coded)


def _motion_data(
    io: FieldStream, motion: MotionData | None, degree: int, count: int, p: Prediction | None, columns: GopColumns
) -> MotionData:
    parts = motion.degrees if motion else (None,) * degree
    expected = p.motion if p else (None,) * degree
    pairs = enumerate(zip(parts, expected, strict=True), 1)
    return MotionData(
        tuple(coded_planes(io, f"motion[{k}]", part, 2, count, columns, base) for k, (part, base) in pairs)
    )


def _drift_data(
    io: FieldStream, drift: DriftData | None, count: int, p: Prediction | None, columns: GopColumns
) -> DriftData:
    return DriftData(coded_planes(io, "drift_data", drift and drift.coded, 3, count, columns, p and p.drift))


def _window_data(
    io: FieldStream, window: WindowData | None, count: int, p: Prediction | None, columns: GopColumns
) -> WindowData:
    if p is not None and p.window is not None:
        old = p.window
        check_windows(io, old.birth, old.duration)
        birth, duration = _lives(io, window, count, p.count, columns)
        lives = np.concatenate([old.birth, birth]), np.concatenate([old.duration, duration])
        return WindowData(old.edge, old.denominator, *lives)
    v: Values = {} if window is None else {"edge": window.edge, "denominator": window.denominator}
    io.field(v, "edge", F32)
    validate_data.window_edge(io.place, v["edge"])
    io.field(v, "denominator", U8)
    validate_data.window_denominator(io.place, v["denominator"])
    return WindowData(v["edge"], v["denominator"], *_lives(io, window, count, 0, columns))


def _lives(
    io: FieldStream, window: WindowData | None, count: int, carried: int, columns: GopColumns
) -> tuple[np.ndarray, np.ndarray]:
    """Transfer birth and death of the Gaussians that are not carried; returns birth and duration."""
    birth = entropy.plane(io, "birth", window and window.birth[carried:], count - carried, columns.new)
    ends = window and (window.birth + window.duration)[carried:]
    death = entropy.plane(io, "death", ends, count - carried, columns.new)
    check_windows(io, birth, death - birth)
    return birth, death - birth


def _check_profile(io: FieldStream, header: SequenceHeader, h: GopHeader, shape: ShapeData, colour: ColourData) -> None:
    tools = {
        "repeats": len(h.repeats) > 0,
        "prediction": h.reference_mode != REFERENCE_INDEPENDENT,
        "normalised blending": h.blend_mode == BLEND_NORMALISED,
        "polynomial motion": h.motion_degree > 0,
        "colour drift": h.colour_drift == 1,
        "temporal windows": h.window_type != 0,
        "camera": h.camera_type != 0,
        "detail": h.detail_type != DETAIL_NONE,
        "residual": h.residual_frames != 0,
        "filter": h.filter_type != 0,
        "log shapes": shape.shape_type != SHAPE_CHOLESKY,
        "YCC colours": colour.colour_space != 0,
        "energy colours": colour.colour_norm != 0,
    }
    validate.tools_in_profile(io.place, header.profile, tuple(name for name, used in tools.items() if used))
