# SPDX-License-Identifier: MIT
"""gop_header() of SPEC 5.5, in both directions. Imports numpy and the format's own modules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from . import validate, validate_detail
from .detail import BLOCK, block_grid
from .limits import Limits
from .records import BLEND_NORMALISED, DETAIL_NONE, REFERENCE_INDEPENDENT, GopRecord, Record, SequenceHeader
from .residual import BLOCK_BYTES, group_count
from .schema import F32, SVAR64, U8, UVAR, FieldStream, Values

DETAIL_BYTES = 60  # rough memory per pixel of a detail picture while it is decoded: symbols, those before, coefficients
GAUSSIAN_BYTES = 400  # rough memory per Gaussian while a GoP is decoded: symbols, parameters, one frame's working set


@dataclass(frozen=True, eq=False)
class GopHeader(Record):
    """gop_header() alone: what the GoP holds, before its planes."""

    first_frame: int
    frame_count: int
    pts: tuple[int, ...] | None
    repeats: tuple[int, ...]  # numbers in the GoP, rising
    reference_mode: int
    gaussian_count: int
    blend_mode: int
    background: tuple[float, float, float]
    blend_epsilon: float
    motion_degree: int
    colour_drift: int
    window_type: int
    field_type: int
    camera_type: int
    detail_type: int
    residual_frames: int
    filter_type: int

    @property
    def distinct_count(self) -> int:
        """T, the frames that are no repeats."""
        return self.frame_count - len(self.repeats)


_TOOLS = (
    "motion_degree",
    "colour_drift",
    "window_type",
    "field_type",
    "camera_type",
    "detail_type",
    "residual_frames",
    "filter_type",
)


def _header_values(r: GopRecord | None) -> Values:
    if r is None:
        return {}
    pts = r.pts or (0,)
    return {
        "first_frame": r.first_frame,
        "frame_count": r.frame_count,
        "first_pts": pts[0],
        "pts_delta": np.diff(pts).tolist(),
        "repeat_count": len(r.repeats),
        "repeat_delta": np.diff(r.repeats, prepend=0).tolist(),
        "reference_mode": r.reference_mode,
        "gaussian_count": r.gaussian_count,
        "blend_mode": r.blend_mode,
        "background": r.background,
        "blend_epsilon": r.blend_epsilon,
        "motion_degree": r.motion_degree,
        "colour_drift": int(r.drift is not None),
        "window_type": int(r.window is not None),
        "field_type": int(r.field is not None),
        "camera_type": int(r.camera is not None),
        "detail_type": r.detail.detail_type if r.detail else DETAIL_NONE,
        "residual_frames": r.residual.frames if r.residual else 0,
        "filter_type": int(r.filter is not None),
    }


def gop_header(io: FieldStream, header: SequenceHeader, limits: Limits, r: GopRecord | None) -> GopHeader:
    """Transfer the header of a GoP, checking its counts against the level and `limits`."""
    v = _header_values(r)
    with io.scope("gop_header"):
        pts = gop_span(io, header, v)
        repeats = _repeats(io, v)
        io.field(v, "reference_mode", U8)
        validate.reference_mode(io.place, v["reference_mode"])
        validate.reference_is_there(io.place, v["first_frame"] > 0 or v["reference_mode"] == REFERENCE_INDEPENDENT)
        io.field(v, "gaussian_count", UVAR)
        _check_gaussian_count(io, header, limits, v["gaussian_count"])
        if io.reading and v["reference_mode"] == REFERENCE_INDEPENDENT:
            validate.gaussians_have_bits(io.place, v["gaussian_count"], io.payload_length)
        io.field(v, "blend_mode", U8)
        validate.blend_mode(io.place, v["blend_mode"])
        if v["blend_mode"] == BLEND_NORMALISED:
            io.fields(v, "background", F32, 3)
            io.field(v, "blend_epsilon", F32)
            validate.blend_epsilon(io.place, v["blend_epsilon"])
        for name in _TOOLS:
            io.field(v, name, U8)
            getattr(validate, name)(io.place, v[name])
        rows, columns = block_grid(header)
        if v["detail_type"] != DETAIL_NONE:
            validate_detail.detail_blends(io.place, v["blend_mode"] == BLEND_NORMALISED)
            limits.check("memory", v["gaussian_count"] * GAUSSIAN_BYTES + DETAIL_BYTES * BLOCK**2 * rows * columns)
        if v["residual_frames"]:
            groups = group_count(v["frame_count"] - len(repeats), v["residual_frames"])
            limits.check("memory", BLOCK_BYTES * groups * rows * columns)
    return GopHeader(
        first_frame=v["first_frame"],
        frame_count=v["frame_count"],
        pts=pts,
        repeats=repeats,
        reference_mode=v["reference_mode"],
        gaussian_count=v["gaussian_count"],
        blend_mode=v["blend_mode"],
        background=tuple(v.get("background", (0.0, 0.0, 0.0))),  # type: ignore[arg-type]
        blend_epsilon=v.get("blend_epsilon", 1.0),
        motion_degree=v["motion_degree"],
        colour_drift=v["colour_drift"],
        window_type=v["window_type"],
        field_type=v["field_type"],
        camera_type=v["camera_type"],
        detail_type=v["detail_type"],
        residual_frames=v["residual_frames"],
        filter_type=v["filter_type"],
    )


def gop_span(io: FieldStream, header: SequenceHeader, v: Values) -> tuple[int, ...] | None:
    """Transfer the beginning of gop_header(): which frames the GoP holds and, if they are irregular, their times."""
    io.field(v, "first_frame", UVAR)
    io.field(v, "frame_count", UVAR)
    validate.gop_frame_count(io.place, v["frame_count"], header.max_gop_frames)
    validate.gop_in_sequence(io.place, v["first_frame"], v["frame_count"], header.frame_count)
    return _time_stamps(io, header, v) if header.frame_duration == 0 else None


def _time_stamps(io: FieldStream, header: SequenceHeader, v: Values) -> tuple[int, ...]:
    io.field(v, "first_pts", SVAR64)
    if v["first_frame"] == 0:
        validate.first_time_stamp(io.place, v["first_pts"], header.start_pts)
    io.fields(v, "pts_delta", UVAR, v["frame_count"] - 1)
    pts = [v["first_pts"]]
    for delta in v["pts_delta"]:
        validate.pts_delta(io.place, delta)
        pts.append(pts[-1] + delta)
    validate.time_stamp_fits(io.place, pts[-1])
    return tuple(pts)


def _repeats(io: FieldStream, v: Values) -> tuple[int, ...]:
    """Transfer which frames show again what the frame before them shows."""
    io.field(v, "repeat_count", UVAR)
    validate.repeat_count(io.place, v["repeat_count"], v["frame_count"])
    io.fields(v, "repeat_delta", UVAR, v["repeat_count"])
    validate.repeats_rise(io.place, v["repeat_delta"], v["frame_count"])
    return tuple(accumulate(v["repeat_delta"]))


def _check_gaussian_count(io: FieldStream, header: SequenceHeader, limits: Limits, count: int) -> None:
    validate.gaussians_in_level(io.place, count, header.level)
    limits.check("gaussians", count)
    limits.check("memory", count * GAUSSIAN_BYTES + 16 * header.width * header.height)
