# SPDX-License-Identifier: MIT
"""GoPs predicted from the one before: the arithmetic, entering a file anywhere, damage, what the writer refuses."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import starmap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gscodec.format import entropy, source
from gscodec.format.container import ContainerReader, ContainerWriter
from gscodec.format.errors import FormatError, Place
from gscodec.format.gop import read_gop, write_gop
from gscodec.format.join import join, part
from gscodec.format.prediction import candidates, grid_spans, predict
from gscodec.format.records import (
    CameraData,
    Coded,
    GopRecord,
    MeanData,
    MotionData,
    UniformQuantiser,
    WindowData,
)
from gscodec.format.salvage import SalvagedReader
from gscodec.format.schema import Entry
from gscodec.format.sequential import SequentialReader
from tests.conformance.broken import base
from tests.conformance.build import header, motion, plain
from tests.conformance.numbers import Numbers
from tests.conformance.vectors import VECTORS

SEQUENCE, CHAIN = VECTORS["chain"]()  # GoPs 0 to 3 are a chain, 4 and 5 another


def moving() -> GopRecord:
    """Three Gaussians that move 3 and -2 steps of 1/4 pixel per half of 4 frames; lives of 0-8, 1-2 and 2-3 frames."""
    n = Numbers(1)
    speed = Coded(UniformQuantiser((0.25, 0.25), (0.0, 0.0)), np.array([[3, -2]] * 3))
    life = WindowData(0.5, 2, np.array([0, 2, 4]), np.array([16, 2, 2]))
    mean = MeanData(3, 4, np.array([[100, 100]] * 3))
    return replace(plain(n, 0, 4, 3), mean=mean, motion=MotionData((speed,)), window=life)


def test_the_numbers_of_one_prediction() -> None:
    reference = moving()
    assert candidates(reference).tolist() == [0, 2]  # the second is dead in the last frame
    p = predict(reference, np.array([0]), 2, np.array([1]), header(6), Place())
    assert p.window
    assert (p.window.birth.tolist(), p.window.duration.tolist()) == ([-8], [9])
    # The centre before is (0 + 3) / 2, so 4 - 1.5 frames to the new GoP's start, of 3 and -2 grid positions each.
    assert p.begin.tolist() == [[108, 95]]  # 7.5 and -5 further, halves upwards
    assert p.motion[0].symbols.tolist() == [[2, -1]]  # 1.5 and -1, halves upwards
    # The centre after is (0 + 0.5) / 2; a step of velocity is 2 grid positions in half the GoP, 1 frame.
    assert p.means(MotionData(p.motion), Place()).tolist() == [[109, 95]]  # 1 and -0.5 further
    turned = replace(p.motion[0], symbols=np.array([[6, -8], [99, 99]]))  # the second one is new
    assert p.means(MotionData((turned,)), Place()).tolist() == [[111, 91]]  # 3 and -4 further
    assert p.means(None, Place()).tolist() == [[108, 95]]
    assert p.shape.symbols.tolist() == reference.shape.coded.symbols[:1].tolist()


def test_positions_stay_on_the_grid() -> None:
    reference = moving()
    assert reference.motion
    fast = replace(reference.motion.degrees[0], symbols=np.array([[1 << 24, -(1 << 24)]] * 3))
    p = predict(replace(reference, motion=MotionData((fast,))), np.array([0]), 2, np.array([1]), header(6), Place())
    assert p.begin.tolist() == p.means(None, Place()).tolist() == [[40 * 8 - 1, 0]]
    assert p.means(MotionData((replace(fast, symbols=-fast.symbols),)), Place()).tolist() == [[0, 32 * 8 - 1]]


def test_a_gaussian_that_turns_is_told_so_once() -> None:
    """New velocities cost the same whether or not the means follow: no difference of means is coded for them."""
    n, sequence = Numbers(4), header(8, max_gop_frames=4, max_entry_distance=8)
    life = WindowData(0.5, 2, np.zeros(500, np.int64), np.full(500, 14))
    first = plain(n, 0, 4, 500, motion=motion(n, 500, 1), window=life)
    p = predict(first, np.arange(500), 4, np.full(500, 6), sequence, Place())
    turned = MotionData((replace(p.motion[0], symbols=p.motion[0].symbols + n.peaked(40, 500, 2)),))
    assert p.window
    record = replace(first, first_frame=4, reference_mode=1, carried=p.carried, motion=turned, window=p.window)
    record = replace(record, mean=replace(first.mean, grid=p.means(turned, Place())))
    payload, bits = write_gop(record, sequence, first)
    assert bits.means < 8 * 10
    assert bits.motion > 500 * 8
    assert read_gop(payload, sequence, reference=first) == (record, bits)


def in_integers(reference: GopRecord, index: int, frames: int, death: int, velocity: list[int]) -> list[int]:
    """SPEC 7.5 for the mean of one Gaussian, in integers of any size."""
    camera, window, motion = reference.camera, reference.window, reference.motion
    assert camera
    assert window
    assert motion
    length, d, bits = reference.frame_count, window.denominator, reference.mean.fraction_bits
    spans = grid_spans(WIDE, bits, reference.mean.margin)

    def rdiv(a: int, b: int) -> int:
        return (2 * a + b) // (2 * b)

    def clamp(value: int, high: int) -> int:
        return min(max(value, 0), high)

    def life(birth: int, death: int, end: int) -> int:
        return clamp(birth, end) + clamp(death, end)

    birth, speed = int(window.birth[index]), motion.degrees[0].symbols[index].tolist()
    before = life(birth, birth + int(window.duration[index]), (length - 1) * d)
    after = life(birth - length * d, death, (frames - 1) * d)
    ratio = [int(step * 2**bits) for step in motion.degrees[0].quantiser.steps]  # type: ignore[union-attr]
    grid = reference.mean.grid[index].tolist()
    ways = [rdiv(speed[a] * ratio[a] * (2 * d * length - before), d * length) for a in (0, 1)]
    q = [clamp(grid[a] + ways[a], spans[a] - 1) for a in (0, 1)]
    x_offset, y_offset, *slopes = camera.values[-1].tolist()
    found = []
    for a, offset in enumerate((x_offset, y_offset)):
        far = sum(slopes[2 * a + b] * (2 * q[b] - spans[b]) for b in (0, 1))
        n = offset * 2 ** (bits + camera.slope_bits + 1) + far * 2**camera.offset_bits
        place = q[a] + rdiv(n, 2 ** (camera.offset_bits + camera.slope_bits + 1))
        found.append(clamp(place + rdiv(velocity[a] * ratio[a] * after, d * frames), spans[a] - 1))
    return found


WIDE = header(8192, (65535, 65535), level=5, max_gop_frames=4096, max_entry_distance=8192)
ENDS = st.sampled_from([-(1 << 24), 1 << 24, 0, 1, -77])


@given(st.data())
def test_the_largest_numbers_do_not_overflow(data: st.DataObject) -> None:
    """The finest grid, steps of 2^16 positions, GoPs of 4096 frames in sixteenths, the widest camera."""

    def ends(*shape: int) -> np.ndarray:
        return data.draw(hnp.arrays(np.int64, shape, elements=ENDS))

    lengths = st.sampled_from([1, 3, 4096])
    frames, length = data.draw(lengths), data.draw(lengths)
    view = CameraData(data.draw(st.sampled_from([0, 8])), data.draw(st.sampled_from([0, 24])), ends(length, 6))
    speed = Coded(UniformQuantiser((256.0, 1 / 256), (0.0, 0.0)), ends(4, 2))
    life = WindowData(0.5, 16, np.array([0, 0, -(1 << 20), 65535]), np.array([1 << 20, 65536, 1 << 20, 1]))
    mean = MeanData(8, 0, np.array([[0, 0], [16776959, 16776959], [0, 16776959], [8388480, 99]]))
    tools = {"mean": mean, "motion": MotionData((speed,)), "window": life, "camera": view}
    reference, new = replace(plain(Numbers(1), 0, length, 4), **tools), replace(speed, symbols=ends(4, 2))
    death = np.array([1 << 20, 0, 65536, 12345])
    found = predict(reference, np.arange(4), frames, death, WIDE, Place()).means(MotionData((new,)), Place())
    rows = zip(range(4), death.tolist(), new.symbols.tolist(), strict=True)
    assert found.tolist() == [in_integers(reference, k, frames, gone, velocity) for k, gone, velocity in rows]


def test_any_gop_can_be_read_alone() -> None:
    for index in (5, 2, 3, 0, 3, 1):
        assert ContainerReader(base("chain")).read_gop(index) == CHAIN[index]
    reader = ContainerReader(base("chain"))
    assert [reader.read_gop(i) for i in (5, 2, 3, 0, 3, 1)] == [CHAIN[i] for i in (5, 2, 3, 0, 3, 1)]
    assert [list(reader.gops_to_enter(i)) for i in (0, 3, 4, 5)] == [[0], [0, 1, 2, 3], [4], [4, 5]]


@pytest.mark.parametrize("opened", [ContainerReader, lambda data: SequentialReader(io.BytesIO(data))])
def test_in_order_every_gop_is_decoded_once(opened: type, monkeypatch: pytest.MonkeyPatch) -> None:
    read, calls = source.read_gop, []
    monkeypatch.setattr(source, "read_gop", lambda *a, **k: calls.append(k["chunk"]) or read(*a, **k))
    reader = opened(base("chain"))
    assert [reader.read_gop(index) for index in reader.indices()] == CHAIN
    assert calls == [f"GoP {index}" for index in range(6)]


def test_a_stream_keeps_what_a_chain_needs() -> None:
    reader = SequentialReader(io.BytesIO(base("chain")))
    assert reader.read_gop(3) == CHAIN[3]
    late = SequentialReader(io.BytesIO(base("chain")))
    while late.gop_count < 4:
        late.advance()
    assert late.read_gop(3) == CHAIN[3]
    assert late.read_gop(5) == CHAIN[5]


def test_damage_takes_the_rest_of_its_chain_only() -> None:
    data = bytearray(base("chain"))
    data[ContainerReader(base("chain")).gop_table[1].offset + 40] ^= 1
    for reader in (SalvagedReader(bytes(data)), SequentialReader(io.BytesIO(data), lenient=True)):
        assert [reader.read_gop(index) for index in reader.indices()] == [CHAIN[0], *CHAIN[4:]]
        assert reader.missing() == [(4, 11)]
        assert [fault.kind for fault in reader.faults] == ["GOPD"] * 3
        assert "predicted from the one before" in reader.faults[1].message


def test_a_part_begins_where_the_file_can_be_entered() -> None:
    file = io.BytesIO()
    join([part(ContainerReader(base("chain")), 8, 14)], file)
    cut = ContainerReader(file)
    cut.verify()
    assert [(entry.frame_count, entry.entry_delta) for entry in cut.gop_table] == [
        (4, 0),
        (4, 1),
        (1, 2),
        (2, 3),
        (3, 0),
    ]
    assert cut.header.max_entry_distance == SEQUENCE.max_entry_distance
    later = io.BytesIO()
    join([part(ContainerReader(base("chain")), 14, 16)], later)
    assert [gop.carried_count for gop in map(ContainerReader(later).read_gop, (0, 1))] == [0, CHAIN[5].carried_count]


def test_what_stays_costs_next_to_nothing() -> None:
    n, sequence = Numbers(3), header(4, max_gop_frames=2, max_entry_distance=4)
    still = plain(n, 0, 2, 4000)
    again = replace(still, first_frame=2, reference_mode=1, carried=np.arange(4000))
    payload, bits = write_gop(again, sequence, still)
    assert len(payload) < 60
    assert bits.carry > 0
    assert len(write_gop(still, sequence)[0]) > 20_000


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 99), st.integers(0, 30), st.integers(0, 200))
def test_changes_given_those_before_come_back(seed: int, far: int, new: int) -> None:
    """A third of the Gaussians changes by up to 2^far in everything, so large changes foretell large ones."""
    n, sequence = Numbers(seed), header(4, max_gop_frames=2, max_entry_distance=4)
    first = plain(n, 0, 2, 600, motion=motion(n, 600, 2))
    fresh = plain(n, 2, 2, new, motion=motion(n, new, 2))
    size = np.where(n.below(3, 600) == 0, 1 << far, 1)[:, None]

    def joined(old: Coded, other: Coded, most: int) -> Coded:
        changed = old.symbols + (n.between(-(1 << 30), 1 << 30, 600, old.columns) * size >> 30)
        return replace(old, symbols=np.concatenate([changed.clip(-most, most), other.symbols]))

    paths = zip(first.motion.degrees, fresh.motion.degrees, (1 << 24, (1 << 31) - 1), strict=True)
    record = replace(
        fresh,
        reference_mode=1,
        carried=np.arange(600),
        mean=replace(fresh.mean, grid=np.concatenate([first.mean.grid, fresh.mean.grid])),
        shape=replace(fresh.shape, coded=joined(first.shape.coded, fresh.shape.coded, (1 << 31) - 1)),
        colour=replace(fresh.colour, coded=joined(first.colour.coded, fresh.colour.coded, (1 << 31) - 1)),
        motion=MotionData(tuple(starmap(joined, paths))),
    )
    payload, bits = write_gop(record, sequence, first)
    trace: list[Entry] = []
    assert read_gop(payload, sequence, reference=first, trace=trace) == (record, bits)
    models = {e.value for e in trace if "delta" in e.name and e.name.endswith("entropy_model")}
    assert far < 10 or entropy.CONTEXTS in models


def refused(record: GopRecord, reference: GopRecord | None = CHAIN[0]) -> str:
    with pytest.raises(ValueError, match="GoP") as caught:
        write_gop(record, SEQUENCE, reference)
    return str(caught.value)


def test_writer_wants_what_a_reader_will_expect() -> None:
    gop = CHAIN[1]
    assert gop.carried is not None
    assert gop.window
    assert "ends before 4" in refused(replace(gop, first_frame=5))
    assert "no carried" in refused(replace(gop, carried=None))
    assert "rising indices" in refused(replace(gop, carried=gop.carried[::-1]))
    assert "margin is 5" in refused(replace(gop, mean=replace(gop.mean, margin=5)))
    assert "births" in refused(replace(gop, window=replace(gop.window, birth=gop.window.birth + 1)))
    coarse = replace(gop.shape.coded, quantiser=UniformQuantiser((0.5,) * 3, (0.0,) * 3))
    assert "keeps the quantisers" in refused(replace(gop, shape=replace(gop.shape, coded=coarse)))


def test_writer_keeps_the_entry_distance() -> None:
    writer = ContainerWriter(io.BytesIO(), replace(SEQUENCE, max_entry_distance=9))
    for gop in CHAIN[:3]:
        writer.add_gop(gop)
    with pytest.raises(FormatError) as caught:
        writer.add_gop(CHAIN[3])
    assert caught.value.code == "C-6.5-18"
    with pytest.raises(FormatError) as caught:
        ContainerWriter(io.BytesIO(), SEQUENCE).add_gop(CHAIN[1])
    assert caught.value.code == "C-6.5-17"
