# SPDX-License-Identifier: MIT
"""sequence_header() of SPEC 5.4, in both directions. Imports the format's own modules."""

from __future__ import annotations

from . import validate
from .limits import Limits
from .records import SequenceHeader
from .schema import SVAR64, U8, UVAR, FieldStream, Values

FIELDS = (
    ("profile", U8),
    ("level", U8),
    ("width", UVAR),
    ("height", UVAR),
    ("sar_num", UVAR),
    ("sar_den", UVAR),
    ("bit_depth", U8),
    ("colour_primaries", U8),
    ("transfer_characteristics", U8),
    ("matrix_coefficients", U8),
    ("full_range", U8),
    ("time_base_num", UVAR),
    ("time_base_den", UVAR),
    ("frame_duration", UVAR),
    ("start_pts", SVAR64),
    ("max_gop_frames", UVAR),
    ("max_entry_distance", UVAR),
    ("frame_count", UVAR),
)


def sequence_header(io: FieldStream, header: SequenceHeader | None, limits: Limits | None = None) -> SequenceHeader:
    """Transfer the SEQH payload. Raises FormatError, LimitError."""
    v: Values = {} if header is None else {name: getattr(header, name) for name, _ in FIELDS}
    for name, descriptor in FIELDS:
        io.field(v, name, descriptor)
        _check(io, name, v)
    last = v["start_pts"] + v["frame_duration"] * v["frame_count"]
    validate.time_stamp_fits(io.place, last)
    made = header or SequenceHeader(**v)
    if limits is not None:
        limits.check("pixels", made.width * made.height)
        limits.check("frames", made.frame_count)
    return made


def write_sequence_header(header: SequenceHeader) -> bytes:
    """The payload of a SEQH chunk, or of a copy. Raises FormatError."""
    io = FieldStream(chunk="SEQH to be written")
    sequence_header(io, header)
    return io.getvalue()


def check_copy(io: FieldStream, copy: SequenceHeader, header: SequenceHeader) -> None:
    """FormatError if `copy`, which `io` has just transferred, is not `header`."""
    for name, _ in FIELDS:
        validate.copy_agrees(io.place, name, getattr(copy, name), getattr(header, name))


def _check(io: FieldStream, name: str, v: Values) -> None:
    """The rule that field `name` alone must obey."""
    at, value = io.place, v[name]
    if name in ("width", "height"):
        validate.frame_side(at, name, value)
        if name == "height":
            validate.pixels_in_level(at, v["width"] * v["height"], v["level"])
    elif name in ("sar_num", "sar_den", "time_base_num", "time_base_den"):
        validate.positive_ratio(at, name, value)
    elif name == "frame_count":
        validate.sequence_is_not_empty(at, value)
    elif name in ("profile", "level", "bit_depth", "full_range", "max_gop_frames"):
        getattr(validate, name)(at, value)
    elif name == "max_entry_distance":
        validate.entry_distance_holds_a_gop(at, value, v["max_gop_frames"])
