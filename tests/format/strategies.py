# SPDX-License-Identifier: MIT
"""Hypothesis strategies for every record of the format, valid but drawn to its limits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import strategies as st

from gscodec.format.morton import morton_order
from gscodec.format.prediction import candidates, grid_spans
from gscodec.format.records import (
    CAMERA_VALUES,
    REFERENCE_PREVIOUS,
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
    RvqQuantiser,
    SequenceHeader,
    ShapeData,
    UniformQuantiser,
    WindowData,
    field_tensor_shapes,
)

LOWEST, HIGHEST = -(1 << 31), (1 << 31) - 1
f32s = st.floats(-(2.0**99), 2.0**99, width=32)
positive_f32s = st.floats(2.0**-100, 2.0**100, width=32)
ints = st.one_of(st.integers(-3, 3), st.integers(-300, 300), st.integers(LOWEST, HIGHEST))


def arrays(shape: Any, elements: st.SearchStrategy[int] = ints) -> st.SearchStrategy[np.ndarray]:
    """int64 arrays; most elements alike, so that every entropy model is met."""
    return st.one_of(
        hnp.arrays(np.int64, shape, elements=elements, fill=elements),
        st.builds(lambda value: np.full(shape, value, np.int64), elements),
    )


@st.composite
def headers(draw: st.DrawFn) -> SequenceHeader:
    """Sequence headers of profile main whose every field may be anything allowed."""
    code = st.integers(0, 255)
    most = draw(st.sampled_from([(40, 40), (65535, 1024)]))  # a detail is drawn for the first only
    width, height = draw(st.integers(1, most[0])), draw(st.integers(1, most[1]))
    frames = draw(st.integers(1, 1 << 20))
    return SequenceHeader(
        profile=draw(st.integers(0, 1)),
        level=5,
        width=width,
        height=height,
        max_gop_frames=draw(st.integers(1, 4096)),
        max_entry_distance=draw(st.integers(4096, (1 << 32) - 1)),
        frame_count=frames,
        sar_num=draw(st.integers(1, (1 << 32) - 1)),
        sar_den=draw(st.integers(1, 1000)),
        colour_primaries=draw(code),
        transfer_characteristics=draw(code),
        matrix_coefficients=draw(code),
        full_range=draw(st.integers(0, 2)),
        time_base_num=draw(st.integers(1, (1 << 32) - 1)),
        time_base_den=draw(st.integers(1, (1 << 32) - 1)),
        frame_duration=draw(st.integers(0, (1 << 32) - 1)),
        start_pts=draw(st.integers(-(1 << 62), 1 << 62)),
    )


@st.composite
def coded(draw: st.DrawFn, count: int, components: int, uniform: bool = False) -> Coded:
    """Either quantiser, or a uniform one."""
    if uniform or draw(st.booleans()):
        steps = tuple(draw(st.lists(positive_f32s, min_size=components, max_size=components)))
        offsets = tuple(draw(st.lists(f32s, min_size=components, max_size=components)))
        return Coded(UniformQuantiser(steps, offsets), draw(arrays((count, components))))
    stages, log2 = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    books = tuple(draw(arrays((1 << log2, components))) for _ in range(stages))
    steps = tuple(draw(st.lists(positive_f32s, min_size=stages, max_size=stages)))
    return Coded(RvqQuantiser(steps, books), draw(arrays((count, stages), st.integers(0, (1 << log2) - 1))))


@st.composite
def means(draw: st.DrawFn, count: int, size: tuple[int, int]) -> MeanData:
    """Means anywhere on the grid."""
    margin = draw(st.integers(0, 4000))
    fits = max(side + 2 * margin for side in size)
    fraction_bits = draw(st.integers(0, min(8, 24 - math.ceil(math.log2(fits)))))
    spans = [(side + 2 * margin) << fraction_bits for side in size]
    columns = [draw(arrays((count,), st.integers(0, span - 1))) for span in spans]
    grid = np.stack(columns, axis=1)
    return MeanData(fraction_bits, margin, grid[morton_order(grid)])


@st.composite
def grids(draw: st.DrawFn, dims: int) -> GridRecord:
    """Small tables of any geometry."""
    levels = draw(st.integers(0, 3))
    sides = tuple(draw(st.lists(st.integers(2, 65535), min_size=levels, max_size=levels)))
    scales = tuple(draw(st.floats(2.0**-10, side, width=32)) for side in sides)
    return GridRecord(dims, draw(st.sampled_from([1, 2, 4, 8])), draw(st.integers(0, 5)), sides, scales)


@st.composite
def fields(draw: st.DrawFn) -> FieldRecord:
    """Small fields."""
    grid2, grid3 = draw(grids(2)), draw(grids(3))
    lowest = 0 if grid2.width + grid3.width else 1
    frequencies, hidden = draw(st.integers(lowest, 16)), draw(st.integers(1, 5))
    shapes = field_tensor_shapes(grid2, grid3, frequencies, hidden)
    unit = st.floats(2.0**-20, 1, width=32)
    return FieldRecord(
        (draw(unit), draw(unit), draw(unit)),
        grid2,
        grid3,
        frequencies,
        hidden,
        draw(f32s),
        draw(f32s),
        tuple(draw(positive_f32s) for _ in shapes),
        tuple(draw(arrays((math.prod(shape),))) for _, shape in shapes),
    )


@st.composite
def windows(draw: st.DrawFn, count: int) -> WindowData:
    """Windows up to the ends of the allowed range."""
    birth = draw(arrays((count,), st.integers(-(1 << 20), 1 << 20)))
    duration = draw(arrays((count,), st.integers(0, 1 << 20)))
    return WindowData(draw(positive_f32s), draw(st.integers(1, 16)), birth, duration)


@st.composite
def cameras(draw: st.DrawFn, frames: int) -> CameraData:
    """Any camera."""
    values = draw(arrays((frames, CAMERA_VALUES), st.one_of(st.integers(-99, 99), st.integers(-(1 << 24), 1 << 24))))
    return CameraData(draw(st.integers(0, 8)), draw(st.integers(0, 24)), values)


def has_room(header: SequenceHeader) -> bool:
    """Whether detail and residual are small enough to be drawn by hypothesis."""
    return header.width * header.height <= 1600


@st.composite
def details(draw: st.DrawFn, header: SequenceHeader, before: DetailData | None = None) -> DetailData:
    """Any detail of either type; one that goes on from `before`."""
    rows, columns = -(-header.height // 8), -(-header.width // 8)
    limit = st.one_of(st.integers(-2, 2), st.integers(-(1 << 30), 1 << 30))
    symbols = draw(arrays((3, rows, columns, 64), limit))
    symbols[..., draw(st.integers(0, 64)) :] = 0
    if before is None:
        return DetailData((draw(positive_f32s), draw(positive_f32s)), symbols, moving=draw(st.booleans()))
    kept = draw(arrays((rows, columns), st.integers(0, 1)))
    near = (before.symbols * kept[..., None] + symbols).clip(LOWEST, HIGHEST)
    return DetailData(before.steps, near, kept, draw(st.booleans()))


@st.composite
def residuals(draw: st.DrawFn, header: SequenceHeader, frame_count: int) -> ResidualData:
    """Any residual."""
    frames = draw(st.sampled_from([1, 2, 3, 64]))
    size = -(-frame_count // frames) * -(-header.height // 8) * -(-header.width // 8) * 64 * frames
    values = st.one_of(st.integers(1, 3), st.integers(-2, -1), st.integers(1, HIGHEST), st.integers(LOWEST, -1))
    parts = [draw(st.dictionaries(st.integers(0, size - 1), values, max_size=30)) for _ in range(3)]
    index = tuple(np.array(sorted(part), np.int64) for part in parts)
    found = tuple(np.array([part[i] for i in sorted(part)], np.int64) for part in parts)
    return ResidualData(frames, (draw(positive_f32s), draw(positive_f32s)), index, found)


filters = arrays((3, 12), st.integers(-128, 127)).map(FilterData)


@st.composite
def repeats(draw: st.DrawFn, frames: int) -> tuple[int, ...]:
    """Any repeats of a GoP of so many frames."""
    return tuple(sorted(draw(st.sets(st.integers(1, frames - 1))))) if frames > 1 else ()


@st.composite
def gops(draw: st.DrawFn, header: SequenceHeader) -> GopRecord:
    """GoPs of `header` with any tools of profile main."""
    count = draw(st.sampled_from([0, 1, 2, 5, 40]))
    frames = draw(st.integers(1, min(header.max_gop_frames, header.frame_count, 8)))
    first = draw(st.integers(0, header.frame_count - frames))
    repeated = draw(repeats(frames))
    distinct = frames - len(repeated)
    optional: dict[str, Any] = {"repeats": repeated}
    if draw(st.booleans()):
        degree = draw(st.integers(1, 3))
        optional["motion"] = MotionData(tuple(draw(coded(count, 2)) for _ in range(degree)))
    if draw(st.booleans()):
        optional["drift"] = DriftData(draw(coded(count, 3)))
    if draw(st.booleans()):
        optional["window"] = draw(windows(count))
    if draw(st.booleans()):
        optional["field"] = draw(fields())
    optional["camera"] = draw(st.one_of(st.none(), cameras(distinct)))
    optional["filter"] = draw(st.one_of(st.none(), filters))
    if draw(st.booleans()):
        optional |= {"blend_mode": 1, "background": draw(st.tuples(f32s, f32s, f32s))}
        optional["blend_epsilon"] = draw(positive_f32s)
        if has_room(header):
            optional["detail"] = draw(st.one_of(st.none(), details(header)))
    if has_room(header):
        optional["residual"] = draw(st.one_of(st.none(), residuals(header, distinct)))
    if header.frame_duration == 0:
        start = header.start_pts if first == 0 else draw(st.integers(-(1 << 62), 1 << 62))
        deltas = draw(st.lists(st.integers(1, (1 << 32) - 1), min_size=frames - 1, max_size=frames - 1))
        optional["pts"] = tuple(start + sum(deltas[:i]) for i in range(frames))
    return GopRecord(
        first,
        frames,
        draw(means(count, (header.width, header.height))),
        ShapeData(draw(st.integers(0, 1)), draw(coded(count, 3))),
        ColourData(draw(st.integers(0, 1)), draw(st.integers(0, 1)), draw(coded(count, 3))),
        **optional,
    )


@st.composite
def references(draw: st.DrawFn, header: SequenceHeader) -> GopRecord:
    """Independent GoPs that another may be predicted from."""
    r = draw(gops(header).filter(lambda r: r.first_frame + r.frame_count < header.frame_count))
    count = r.gaussian_count
    changes: dict[str, Any] = {
        "shape": replace(r.shape, coded=draw(coded(count, 3, uniform=True))),
        "colour": replace(r.colour, coded=draw(coded(count, 3, uniform=True))),
    }
    if r.drift:
        changes["drift"] = DriftData(draw(coded(count, 3, uniform=True)))
    if r.motion:
        ratios = draw(st.tuples(st.integers(1, 1 << 16), st.integers(1, 1 << 16)))
        steps = tuple(ratio * 2.0**-r.mean.fraction_bits for ratio in ratios)
        speed = draw(arrays((count, 2), st.one_of(st.integers(-9, 9), st.integers(-(1 << 24), 1 << 24))))
        first = Coded(UniformQuantiser(steps, (draw(f32s), draw(f32s))), speed)
        others = (draw(coded(count, 2, uniform=True)) for _ in r.motion.degrees[1:])
        changes["motion"] = MotionData((first, *others))
    return replace(r, **changes)


@st.composite
def predicted(draw: st.DrawFn, header: SequenceHeader, reference: GopRecord) -> GopRecord:
    """GoPs predicted from `reference`, whose carried Gaussians may have become anything."""
    first = reference.first_frame + reference.frame_count
    frames = draw(st.integers(1, min(header.max_gop_frames, header.frame_count - first, 8)))
    possible = candidates(reference)
    window, old = reference.window, None
    if window:
        old = window.birth - reference.distinct_count * window.denominator
        possible = possible[old[possible] >= -(1 << 20)]
    chosen = possible[draw(hnp.arrays(np.bool_, len(possible)))]
    new = draw(st.sampled_from([0, 1, 5, 40]))
    count = len(chosen) + new

    def like(part: Coded, most: int = HIGHEST) -> Coded:
        change = draw(arrays((len(chosen), part.columns), st.integers(-(1 << 30), 1 << 30)))
        symbols = np.concatenate([part.symbols[chosen] + change, draw(arrays((new, part.columns)))])
        return replace(part, symbols=symbols.clip(-most - (most == HIGHEST), most))

    spans = grid_spans(header, reference.mean.fraction_bits, reference.mean.margin)
    grid = np.stack([draw(arrays((count,), st.integers(0, span - 1))) for span in spans], axis=1)
    grid[len(chosen) :] = grid[len(chosen) :][morton_order(grid[len(chosen) :])]
    repeated = draw(repeats(frames))
    distinct = frames - len(repeated)
    tools: dict[str, Any] = {"repeats": repeated}
    if window:
        fresh = draw(windows(new))
        duration = np.concatenate([draw(arrays((len(chosen),), st.integers(0, 1 << 20))), fresh.duration])
        tools["window"] = replace(window, birth=np.concatenate([old[chosen], fresh.birth]), duration=duration)
    if reference.motion:
        speed, *others = reference.motion.degrees
        tools["motion"] = MotionData((like(speed, 1 << 24), *map(like, others)))
    if reference.blend_mode:
        tools |= {"blend_mode": 1, "background": draw(st.tuples(f32s, f32s, f32s))}
        tools["blend_epsilon"] = draw(positive_f32s)
        if has_room(header):
            known = [details(header, reference.detail)] if reference.detail else []
            tools["detail"] = draw(st.one_of(st.none(), details(header), *known))
    if has_room(header):
        tools["residual"] = draw(st.one_of(st.none(), residuals(header, distinct)))
    if header.frame_duration == 0:
        tools["pts"] = tuple(range(frames))
    return GopRecord(
        first,
        frames,
        replace(reference.mean, grid=grid),
        replace(reference.shape, coded=like(reference.shape.coded)),
        replace(reference.colour, coded=like(reference.colour.coded)),
        reference_mode=REFERENCE_PREVIOUS,
        drift=DriftData(like(reference.drift.coded)) if reference.drift else None,
        field=draw(st.one_of(st.none(), fields())),
        camera=draw(st.one_of(st.none(), cameras(distinct))),
        carried=chosen,
        **tools,
    )
