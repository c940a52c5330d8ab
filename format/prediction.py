# SPDX-License-Identifier: MIT
"""What a GoP inherits from the one before it (SPEC 7.5): which Gaussians may go on, and where they are expected.

Integers only. Imports numpy and the format's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import validate_prediction
from .errors import Place
from .records import (
    CameraData,
    Coded,
    GopRecord,
    Int64,
    MotionData,
    Record,
    RvqQuantiser,
    SequenceHeader,
    UniformQuantiser,
    WindowData,
)


@dataclass(frozen=True, eq=False)
class Prediction(Record):
    """The M carried Gaussians as they are expected in the new GoP.

    Quantisers stay as they are; to the symbols differences are added. `window` is exact: nothing is added to it.
    Where the means are expected follows from the new velocities: see `means`.
    """

    carried: Int64  # [M] indices into the reference
    reference: GopRecord
    distinct_count: int
    spans: tuple[int, int]  # of the grid
    begin: Int64  # [M, 2] grid positions at the start of the new GoP; may lie outside the grid
    centre: Int64  # [M] twice the middle of the life in the new GoP, frames / denominator
    shape: Coded
    colour: Coded
    motion: tuple[Coded, ...] = ()
    drift: Coded | None = None
    window: WindowData | None = None

    @property
    def count(self) -> int:
        """M."""
        return len(self.carried)

    def means(self, motion: MotionData | None, at: Place) -> Int64:
        """[M, 2] grid positions where the Gaussians are expected if they have the new GoP's `motion`, its first M.

        Raises FormatError, blamed on `at` (C-6.18-8).
        """
        grid = self.begin
        if motion and self.count:
            velocity = motion.degrees[0].symbols[: self.count]
            validate_prediction.new_velocity(at, int(velocity.min()), int(velocity.max()))
            grid = grid + _travel(self.reference, velocity, self.centre, self.distinct_count)
        return np.clip(grid, 0, np.array(self.spans) - 1)


def grid_spans(header: SequenceHeader, fraction_bits: int, margin: int) -> tuple[int, int]:
    """Grid positions per axis (SPEC 6.6)."""
    width, height = ((side + 2 * margin) << fraction_bits for side in (header.width, header.height))
    return width, height


def check_reference(reference: GopRecord, at: Place) -> None:
    """FormatError, blamed on `at`, if a GoP cannot be predicted from `reference` (C-6.18-2, C-6.18-3)."""
    parts = [reference.shape.coded, reference.colour.coded, *(reference.motion.degrees if reference.motion else ())]
    parts += [reference.drift.coded] if reference.drift else []
    validate_prediction.reference_is_uniform(at, not any(isinstance(p.quantiser, RvqQuantiser) for p in parts))
    for ratio in _velocity_ratios(reference):
        validate_prediction.velocity_step(at, ratio)


def _velocity_ratios(reference: GopRecord) -> list[float]:
    """Grid positions per step of velocity, x and y; none without motion. Exact."""
    if not reference.motion:
        return []
    quantiser = reference.motion.degrees[0].quantiser
    assert isinstance(quantiser, UniformQuantiser)
    return [step * 2.0**reference.mean.fraction_bits for step in quantiser.steps]


def candidates(reference: GopRecord) -> Int64:
    """Rising indices of the Gaussians of `reference` that may be carried: those alive in its last frame or later."""
    window = reference.window
    if window is None:
        return np.arange(reference.gaussian_count)
    end = (reference.distinct_count - 1) * window.denominator
    return np.flatnonzero(window.birth + window.duration >= end)


def predict(
    reference: GopRecord, carried: Int64, distinct_count: int, death: Int64 | None, header: SequenceHeader, at: Place
) -> Prediction:
    """The Gaussians `carried` [M] of `reference` in the GoP of `distinct_count` distinct frames that follows it.

    `death`: [M] symbols in the new GoP's time, None without windows. `reference` must have passed check_reference.
    Raises FormatError, blamed on `at` (C-6.18-6).
    """
    before, after, window = _windows(reference, carried, distinct_count, death)
    motion = _take(reference.motion.degrees if reference.motion else (), carried)
    grid, frames = reference.mean.grid[carried], reference.distinct_count
    if motion:
        velocity = motion[0].symbols
        if len(carried):
            validate_prediction.carried_velocity(at, int(velocity.min()), int(velocity.max()))
        grid = grid + _travel(reference, velocity, 2 * frames * _denominator(reference) - before, frames)
        motion = (Coded(motion[0].quantiser, _rounded(velocity * distinct_count, frames)), *motion[1:])
    spans = grid_spans(header, reference.mean.fraction_bits, reference.mean.margin)
    grid = np.clip(grid, 0, np.array(spans) - 1)
    if reference.camera:
        grid = _moved(reference.camera, -1, grid, spans, reference.mean.fraction_bits)
    return Prediction(
        carried=carried,
        reference=reference,
        distinct_count=distinct_count,
        spans=spans,
        begin=grid,
        centre=after,
        shape=_take((reference.shape.coded,), carried)[0],
        colour=_take((reference.colour.coded,), carried)[0],
        motion=motion,
        drift=_take((reference.drift.coded,), carried)[0] if reference.drift else None,
        window=window,
    )


def _take(parts: tuple[Coded, ...], carried: Int64) -> tuple[Coded, ...]:
    return tuple(Coded(part.quantiser, part.symbols[carried]) for part in parts)


def _rounded(a: Int64, b: int) -> Int64:
    """a / b to the nearest integer, halves upwards."""
    return (2 * a + b) // (2 * b)


def _windows(
    reference: GopRecord, carried: Int64, distinct_count: int, death: Int64 | None
) -> tuple[Int64, Int64, WindowData | None]:
    """Twice the centres of the lives in the old and in the new GoP ([M], frames / denominator), and the new windows."""
    window = reference.window
    if window is None or death is None:
        none = np.zeros(len(carried), np.int64)
        return none, none, None
    old, d = window.birth[carried], window.denominator
    birth = old - reference.distinct_count * d
    before = _centres(old, old + window.duration[carried], (reference.distinct_count - 1) * d)
    after = _centres(birth, death, (distinct_count - 1) * d)
    return before, after, WindowData(window.edge, d, birth, death - birth)


def _centres(birth: Int64, death: Int64, end: int) -> Int64:
    return np.clip(birth, 0, end) + np.clip(death, 0, end)


def _denominator(reference: GopRecord) -> int:
    return reference.window.denominator if reference.window else 1


def _travel(reference: GopRecord, velocity: Int64, time: Int64, distinct_count: int) -> Int64:
    """[M, 2] grid positions that Gaussians of [M, 2] symbols of velocity move in [M] times, twice frames / denominator.

    A velocity is per half of a GoP of `distinct_count` frames. It is at most 2^24: all products are below 2^61.
    """
    ratios = np.array(_velocity_ratios(reference), np.int64)
    return _rounded(velocity * ratios * time[:, None], distinct_count * _denominator(reference))


def _moved(camera: CameraData, frame: int, grid: Int64, spans: tuple[int, int], fraction_bits: int) -> Int64:
    """Grid positions [M, 2] inside the grid, where they are in `frame` of the GoP; may lie outside the grid."""
    x_offset, y_offset, xx, xy, yx, yy = (int(value) for value in camera.values[frame])
    from_centre = 2 * grid - np.array(spans, np.int64)
    slopes = np.array([[xx, xy], [yx, yy]], np.int64)
    offsets = np.array([x_offset, y_offset], np.int64) << (fraction_bits + camera.slope_bits + 1)
    total = offsets + ((from_centre @ slopes.T) << camera.offset_bits)
    whole = 1 << (camera.offset_bits + camera.slope_bits + 1)
    return grid + _rounded(total, whole)
