# SPDX-License-Identifier: MIT
"""carry_data() of SPEC 5.18, in both directions, and planes that hold differences to a prediction.

Imports numpy and the format's own modules.
"""

from __future__ import annotations

import numpy as np

from . import entropy, validate, validate_data, validate_prediction
from .contexts import Columns
from .gop_header import GopHeader
from .prediction import Prediction, candidates, check_reference, predict
from .records import GopRecord, Int64, SequenceHeader
from .schema import FieldStream


def carry_data(
    io: FieldStream, header: SequenceHeader, h: GopHeader, r: GopRecord | None, reference: GopRecord | None
) -> Prediction:
    """Transfer which Gaussians of `reference` go on, and what is expected of them in the GoP of header `h`."""
    validate.reference_is_there(io.place, reference is not None)
    assert reference is not None
    _check_tools(io, h, reference)
    check_reference(reference, io.place)
    allowed = candidates(reference)
    source = None
    if r is not None:
        source = np.isin(allowed, _checked(r, reference, allowed)).astype(np.int64)
    flags = entropy.plane(io, "carried", source, len(allowed))
    if len(allowed):
        validate_prediction.carried_flags(io.place, int(flags.min()), int(flags.max()))
    carried = allowed[flags == 1]
    validate_prediction.carried_count(io.place, len(carried), h.gaussian_count)
    if io.reading:
        validate.gaussians_have_bits(io.place, h.gaussian_count - len(carried), io.payload_length)
    death = None
    if reference.window:
        known = r.window.birth + r.window.duration if r and r.window else None
        death = entropy.plane(io, "carried_death", None if known is None else known[: len(carried)], len(carried))
    expected = predict(reference, carried, h.distinct_count, death, header, io.place)
    if r is not None:
        _check_inherited(r, expected)
    return expected


def _check_tools(io: FieldStream, h: GopHeader, reference: GopRecord) -> None:
    tools = {
        "blend_mode": (h.blend_mode, reference.blend_mode),
        "motion_degree": (h.motion_degree, reference.motion_degree),
        "colour_drift": (h.colour_drift, int(reference.drift is not None)),
        "window_type": (h.window_type, int(reference.window is not None)),
    }
    changed = tuple(name for name, (ours, theirs) in tools.items() if ours != theirs)
    validate_prediction.tools_are_kept(io.place, changed)


def _checked(r: GopRecord, reference: GopRecord, allowed: Int64) -> Int64:
    """The carried Gaussians of a record to be written. ValueError if it does not go on from `reference`."""
    end = reference.first_frame + reference.frame_count
    if r.first_frame != end:
        raise ValueError(f"the GoP begins at frame {r.first_frame}, the one it is predicted from ends before {end}")
    if r.carried is None:
        raise ValueError("the GoP is predicted from the one before it, but has no carried Gaussians; give an array")
    if np.any(np.diff(r.carried) <= 0) or not np.isin(r.carried, allowed).all():
        raise ValueError("carried must be rising indices out of candidates() of the GoP before")
    return r.carried


def _check_inherited(r: GopRecord, expected: Prediction) -> None:
    """ValueError where a record to be written differs in what it cannot change."""
    before = expected.reference
    pairs = {
        "fraction_bits": (r.mean.fraction_bits, before.mean.fraction_bits),
        "margin": (r.mean.margin, before.mean.margin),
        "shape_type": (r.shape.shape_type, before.shape.shape_type),
        "colour_space": (r.colour.colour_space, before.colour.colour_space),
        "colour_norm": (r.colour.colour_norm, before.colour.colour_norm),
    }
    if r.window and before.window and expected.window:
        pairs["edge"] = r.window.edge, before.window.edge  # type: ignore[assignment]
        pairs["denominator"] = r.window.denominator, before.window.denominator
        if not np.array_equal(r.window.birth[: expected.count], expected.window.birth):
            raise ValueError("births of carried Gaussians must be those of the GoP before, less its length")
    for name, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise ValueError(f"{name} is {ours}, the GoP before has {theirs}, and a predicted GoP keeps it")


def difference(io: FieldStream, name: str, expected: Int64, symbols: Int64 | None, columns: Columns) -> Int64:
    """Transfer the plane of differences between [M] symbols and what was expected; returns the symbols.

    `columns`: the planes of differences before this one, which it joins.
    """
    source = None if symbols is None else symbols - expected
    found = expected + entropy.plane(io, name, source, len(expected), columns)
    if len(found):
        validate_prediction.sums_are_symbols(io.place, int(found.min()), int(found.max()))
    return found


def check_windows(io: FieldStream, birth: Int64, duration: Int64) -> None:
    """Rules C-6.9-3 and C-6.9-4 on [n] symbols."""
    if len(birth):
        validate_data.window_birth(io.place, int(birth.min()), int(birth.max()))
        validate_data.window_duration(io.place, int(duration.min()), int(duration.max()))
