# SPDX-License-Identifier: MIT
"""The conformance vectors of predicted GoPs. The names are the file names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from gscodec.format.errors import Place
from gscodec.format.prediction import Prediction, candidates, predict
from gscodec.format.records import (
    BLEND_NORMALISED,
    COLOUR_YCC,
    NORM_ENERGY,
    REFERENCE_PREVIOUS,
    Coded,
    ColourData,
    DriftData,
    GopRecord,
    MotionData,
    SequenceHeader,
    WindowData,
)
from tests.conformance.build import (
    Vector,
    camera,
    colours,
    field,
    gop,
    grid,
    header,
    log_shapes,
    means,
    motion,
    plain,
    uniform,
    vector,
    windows,
)
from tests.conformance.numbers import Numbers

Keep = Callable[[int], np.ndarray]


def every(step: int, first: int = 0) -> Keep:
    """Keep every `step`-th candidate from `first` on."""
    return lambda count: np.arange(first, count, step)


def follow(
    n: Numbers, sequence: SequenceHeader, reference: GopRecord, fresh: GopRecord, keep: Keep, far: bool = False
) -> GopRecord:
    """The GoP `fresh`, and before its Gaussians those of `reference` that are kept, near where they are expected.

    `far`: a quarter of them is 24 times as far from there, in everything.
    """
    possible = candidates(reference)
    carried = possible[keep(len(possible))]
    death = None
    if reference.window:
        death = n.between(0, 2 * fresh.distinct_count * reference.window.denominator, len(carried))
    p = predict(reference, carried, fresh.distinct_count, death, sequence, Place())
    changed = n.below(4, len(carried)) == 0 if far else np.zeros(len(carried), bool)
    motion = _motion(n, p, fresh, changed)
    near = p.means(motion, Place()) + _changes(n, 2, 2, changed)
    positions = np.concatenate([near.clip(0, np.array(p.spans) - 1), fresh.mean.grid])
    return replace(
        fresh,
        reference_mode=REFERENCE_PREVIOUS,
        carried=carried,
        mean=replace(fresh.mean, grid=positions),
        shape=replace(fresh.shape, coded=_joined(n, p.shape, fresh.shape.coded, changed)),
        colour=replace(fresh.colour, coded=_joined(n, p.colour, fresh.colour.coded, changed)),
        motion=motion,
        drift=DriftData(_joined(n, p.drift, fresh.drift.coded, changed)) if p.drift and fresh.drift else None,
        window=_window(p, fresh),
    )


def _changes(n: Numbers, spread: int, columns: int, changed: np.ndarray) -> np.ndarray:
    """[M, columns] differences to what is expected; larger where [M] `changed`."""
    near = n.peaked(spread, len(changed), columns)
    return np.where(changed[:, None], n.peaked(24 * spread, *near.shape), near) if changed.any() else near


def _joined(n: Numbers, expected: Coded, fresh: Coded, changed: np.ndarray) -> Coded:
    near = expected.symbols + _changes(n, 1, expected.columns, changed)
    return replace(expected, symbols=np.concatenate([near, fresh.symbols]))


def _motion(n: Numbers, p: Prediction, fresh: GopRecord, changed: np.ndarray) -> MotionData | None:
    if not fresh.motion:
        return None
    pairs = zip(p.motion, fresh.motion.degrees, strict=True)
    return MotionData(tuple(_joined(n, expected, part, changed) for expected, part in pairs))


def _window(p: Prediction, fresh: GopRecord) -> WindowData | None:
    if not p.window or not fresh.window:
        return None
    birth, duration = (
        np.concatenate([getattr(p.window, name), getattr(fresh.window, name)]) for name in ("birth", "duration")
    )
    return replace(p.window, birth=birth, duration=duration)


@vector
def carried() -> Vector:
    """Prediction without motion: all carried and none new, none carried, nothing at all, a reference without any."""
    n = Numbers(16)
    sequence = header(8, max_gop_frames=2, max_entry_distance=7)
    gops = [plain(n, 0, 2, 30)]
    none = every(99, 98)
    for first, frames, new, keep in ((2, 1, 0, every(1)), (3, 2, 20, none), (5, 1, 0, none), (6, 1, 9, every(1))):
        gops.append(follow(n, sequence, gops[-1], plain(n, first, frames, new), keep))
    return sequence, [*gops, plain(n, 7, 1, 5)]


@vector
def chain() -> Vector:
    """Windows, linear paths, log shapes, energy in YCC, normalised; lengths change; two chains; a field in one GoP."""
    n = Numbers(17)
    sequence = header(16, max_gop_frames=4, max_entry_distance=11)

    def alone(first: int, frames: int, count: int, **tools: Any) -> GopRecord:
        colour = colours(n, count, colour_space=COLOUR_YCC, colour_norm=NORM_ENERGY)
        tools |= {"blend_mode": BLEND_NORMALISED, "background": (0.25, first / 16, 0.5), "blend_epsilon": 0.125}
        tools |= {"motion": motion(n, count, 1), "window": windows(n, count, frames)}
        return gop(first, frames, means(n, count), log_shapes(n, count), colour, **tools)

    gops = [alone(0, 4, 60)]
    small = field(n, grid(2, 2, 2, 5), grid(3, 2, 2, 5), 1, 8, 0.015625)
    for fresh in (alone(4, 4, 20, field=small), alone(8, 1, 12), alone(9, 2, 0)):
        gops.append(follow(n, sequence, gops[-1], fresh, every(1) if fresh.frame_count > 1 else every(2)))
    gops.append(alone(11, 3, 40))
    gops.append(follow(n, sequence, gops[-1], alone(14, 2, 10), every(3, 1)))
    return sequence, gops


@vector
def bends() -> Vector:
    """Prediction with paths of degree 2 and drift, without windows; unequal steps, fast Gaussians leave the grid."""
    n = Numbers(18)
    sequence = header(9, max_gop_frames=4, max_entry_distance=9)

    def alone(first: int, frames: int, count: int) -> GopRecord:
        bent = motion(n, count, 2).degrees
        quantiser = replace(bent[0].quantiser, steps=(0.125, 12.5))
        paths = MotionData((replace(bent[0], quantiser=quantiser), bent[1]))
        return plain(n, first, frames, count, motion=paths, drift=DriftData(uniform(n.peaked(5, count, 3), 0.03125)))

    gops = [alone(0, 3, 40)]
    for first, frames in ((3, 2), (5, 4)):
        gops.append(follow(n, sequence, gops[-1], alone(first, frames, 8), every(2, 1)))
    return sequence, gops


@vector
def seamless() -> Vector:
    """Prediction with everything at once: windows in sixteenths, paths of degree 2, drift."""
    n = Numbers(19)
    sequence = header(8, max_gop_frames=3, max_entry_distance=8)

    def alone(first: int, frames: int, count: int) -> GopRecord:
        life = windows(n, count, frames, denominator=16, edge=2.5)
        drifting = DriftData(uniform(n.peaked(5, count, 3), 0.03125))
        return plain(n, first, frames, count, motion=motion(n, count, 2), drift=drifting, window=life)

    gops = [alone(0, 3, 50)]
    for first, frames in ((3, 2), (5, 3)):
        gops.append(follow(n, sequence, gops[-1], alone(first, frames, 15), every(1)))
    return sequence, gops


@vector
def shaken() -> Vector:
    """A camera: alone, in both GoPs of a pair, in one of them; the finest and the coarsest bits; out of the grid."""
    n = Numbers(29)
    sequence = header(16, max_gop_frames=4, max_entry_distance=14)

    def alone(first: int, frames: int, count: int, **tools: Any) -> GopRecord:
        return plain(n, first, frames, count, motion=motion(n, count, 1), window=windows(n, count, frames), **tools)

    gops = [plain(n, 0, 2, 30, camera=camera(n, 2)), alone(2, 4, 40, camera=camera(n, 4))]
    small = field(n, grid(2, 2, 2, 5), grid(3, 2, 2, 5), 1, 8, 0.015625)
    others = (
        alone(6, 3, 12, camera=camera(n, 3, 8, 24), field=small),
        alone(9, 1, 8),
        alone(10, 2, 8, camera=camera(n, 2, 0, 0), field=small),
        alone(12, 4, 20, camera=camera(n, 4, 1, 6)),
    )
    for fresh in others:
        gops.append(follow(n, sequence, gops[-1], fresh, every(1)))
    return sequence, gops


@vector
def contexts() -> Vector:
    """Planes by class: colours given sizes and each other, motion given births and the other axis; also predicted."""
    n = Numbers(22)
    sequence = header(4, max_gop_frames=2, max_entry_distance=4)

    def alone(first: int, count: int) -> GopRecord:
        shape = log_shapes(n, count)
        size = np.exp2(shape.coded.symbols[:, 0] / 3).astype(np.int64)
        luma = size * n.between(2, 9, count)
        paint = np.stack([luma, n.below(3, count) * luma // 4 - luma // 9, n.peaked(1, count) * size], axis=1)
        life = n.between(0, 12, count)
        gone = np.where(n.below(4, count) > 0, 16, life + n.below(9, count))
        across = n.peaked(9, count) * np.where(life > 5, 1, 9)
        speed = np.stack([across, np.where(np.abs(across) > 7, n.peaked(50, count), 3)], axis=1)
        tools: dict[str, Any] = {"window": WindowData(0.75, 8, life, np.maximum(gone - life, 0))}
        tools["motion"] = MotionData((uniform(speed, 0.125),))
        colour = ColourData(COLOUR_YCC, NORM_ENERGY, uniform(paint, 0.03125))
        return gop(first, 2, means(n, count), shape, colour, **tools)

    first = alone(0, 700)
    return sequence, [first, follow(n, sequence, first, alone(2, 300), every(3))]


@vector
def changes() -> Vector:
    """Differences by class: carried Gaussians that have changed have changed in everything."""
    n = Numbers(31)
    sequence = header(4, max_gop_frames=2, max_entry_distance=4)

    def alone(first: int, count: int) -> GopRecord:
        return plain(n, first, 2, count, motion=motion(n, count, 1))

    first = alone(0, 800)
    return sequence, [first, follow(n, sequence, first, alone(2, 20), every(1), far=True)]
