# SPDX-License-Identifier: MIT
"""Damage is named chunk by chunk, and what is undamaged is found again, whatever else is gone."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from gscodec.format.chunks import ENDF, GOPD, INDX, SEQH, write_chunk
from gscodec.format.container import ContainerReader
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.limits import Limits
from gscodec.format.salvage import NothingLeftError, SalvagedReader
from tests.conformance.broken import base, broken_files
from tests.conformance.vectors import VECTORS

TABLE = ContainerReader(base("paths")).gop_table  # three GoPs of two frames each
CLIP = base("paths")


def damaged(*edits: tuple[int, int]) -> bytes:
    """`paths` with bytes XORed at some offsets."""
    data = bytearray(CLIP)
    for offset, mask in edits:
        data[offset] ^= mask
    return bytes(data)


def first_frames(reader: SalvagedReader) -> list[int]:
    return [entry.first_frame for entry in reader.gop_table]


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_whole_file_has_no_faults(name: str) -> None:
    whole, left = ContainerReader(base(name)), SalvagedReader(base(name))
    assert left.faults == []
    assert tuple(left.gop_table) == whole.gop_table
    assert [left.ancillary(i) for i in range(left.gop_count + 1)] == [
        whole.ancillary(i) for i in range(whole.gop_count + 1)
    ]


@pytest.mark.parametrize("code", sorted(set(broken_files()) - {"C-6.5-16"}))
def test_every_broken_rule_is_a_fault(code: str) -> None:
    if code == "C-6.2-2":  # another version is no damage
        with pytest.raises(FormatError, match="use the program that wrote it"):
            SalvagedReader(broken_files()[code])
        return
    try:
        faults = SalvagedReader(broken_files()[code]).faults
    except NothingLeftError as error:
        faults = error.faults
    assert faults


EVERYWHERE: dict[str, Callable[[int, int], int]] = {
    "type": lambda offset, length: offset,
    "flags": lambda offset, length: offset + 4,
    "length, small": lambda offset, length: offset + 5,
    "length, huge": lambda offset, length: offset + 8,
    "payload": lambda offset, length: offset + length // 2,
    "CRC": lambda offset, length: offset + length - 1,
}


@pytest.mark.parametrize("gop", range(3))
@pytest.mark.parametrize("place", EVERYWHERE)
def test_a_damaged_gop_is_named_and_the_others_are_found(place: str, gop: int) -> None:
    entry = TABLE[gop]
    left = SalvagedReader(damaged((EVERYWHERE[place](entry.offset, entry.length), 0x10)))
    (fault,) = left.faults
    assert (fault.kind, fault.offset, fault.length) == (GOPD, entry.offset, entry.length)
    assert fault.frames == (entry.first_frame, entry.end_frame)
    assert left.missing() == [fault.frames]
    others = [index for index in range(3) if index != gop]
    assert [left.read_gop(i) for i in range(2)] == [ContainerReader(CLIP).read_gop(i) for i in others]


@pytest.mark.parametrize("place", EVERYWHERE)
def test_neighbours_that_are_both_damaged_are_two_faults(place: str) -> None:
    at = EVERYWHERE[place]
    edits = [(at(e.offset, e.length), 0x10) for e in TABLE[:2]]
    left = SalvagedReader(damaged(*edits))
    assert first_frames(left) == [4]
    assert left.missing() == [(0, 4)]
    expected = [(e.offset, (e.first_frame, e.end_frame)) for e in TABLE[:2]]
    assert [(fault.offset, fault.frames) for fault in left.faults] == expected


@pytest.mark.parametrize("kind", [INDX, ENDF])
@pytest.mark.parametrize("place", EVERYWHERE)
def test_a_lost_index_costs_no_frame(kind: str, place: str) -> None:
    chunk = next(c for c in ContainerReader(CLIP).chunks() if c.kind == kind)
    left = SalvagedReader(damaged((EVERYWHERE[place](chunk.offset, chunk.length), 0x10)))
    assert left.faults[0].offset == chunk.offset
    assert (first_frames(left), left.missing()) == ([0, 2, 4], [])


def test_a_lost_beginning_costs_no_frame() -> None:
    left = SalvagedReader(damaged((0, 1), (5, 3)))
    assert left.faults[0].code == "C-6.2-1"
    assert left.missing() == []


def test_without_a_sequence_header_nothing_is_left() -> None:
    with pytest.raises(NothingLeftError, match="no sequence header is left") as caught:
        SalvagedReader(damaged((20, 1), (TABLE[1].offset + 50, 1)))
    assert [fault.kind for fault in caught.value.faults[:2]] == [SEQH, GOPD]


@pytest.mark.parametrize("gop", range(3))
def test_a_file_being_written_is_readable_up_to_its_last_whole_gop(gop: int) -> None:
    end = TABLE[gop].offset + TABLE[gop].length
    for extra in (0, 3, 12, 40) if gop < 2 else (0, 3, 12):
        left = SalvagedReader(CLIP[: end + extra])
        assert left.end_frame == TABLE[gop].end_frame
        assert left.faults[-1].code == "C-6.2-4"


def test_damage_that_frames_cannot_be_told_of_by_an_index() -> None:
    left = SalvagedReader(damaged((TABLE[1].offset + 60, 1), (TABLE[2].offset + TABLE[2].length + 12, 1)))
    assert left.faults[0].frames == (2, 4)  # from its neighbours


def test_bytes_put_in_between_are_named() -> None:
    data = CLIP[: TABLE[1].offset] + b"lost and found " * 9 + CLIP[TABLE[1].offset :]
    left = SalvagedReader(data)
    assert left.missing() == []
    assert (left.faults[0].offset, left.faults[0].length) == (TABLE[1].offset, 135)


def test_every_kind_of_noise_is_survived() -> None:
    rng = random.Random(11)
    outcomes = {"left": 0, "nothing": 0}
    for _ in range(300):
        data = bytearray(CLIP)
        for _ in range(rng.randint(1, 4)):
            start, length = rng.randrange(len(data)), rng.choice([1, 4, 30, 300])
            data[start : start + length] = rng.randbytes(rng.choice([0, length, 2 * length]))
        try:
            left = SalvagedReader(bytes(data))
            outcomes["left"] += left.gop_count > 0
            for index in range(left.gop_count):
                left.read_gop(index)
        except FormatError:
            outcomes["nothing"] += 1
    assert min(outcomes.values()) > 10, outcomes


def test_false_beginnings_take_no_time() -> None:
    fake = b"GOPD\x01" + (1 << 20).to_bytes(4, "little")
    data = CLIP[: TABLE[1].offset] + fake * 300_000
    start = time.perf_counter()
    left = SalvagedReader(data)
    assert left.end_frame == 2
    assert time.perf_counter() - start < 5


def test_many_small_chunks_take_no_memory() -> None:
    head = CLIP[: TABLE[0].offset]
    stream = write_chunk("strm", b"\x01\x01\x04subr\x01\x01" + bytes(11), flags=0)
    packs = write_chunk("pack", b"\0", flags=0) * 2000
    with pytest.raises(LimitError, match="--limit-memory"):
        SalvagedReader(head + stream + packs, Limits(memory=100_000))


def test_a_gop_that_cannot_be_decoded_is_missing() -> None:
    left = SalvagedReader(broken_files()["C-6.10-9"])  # its second GoP, whose CRC is right
    assert left.missing() == [(3, 6)] == [fault.frames for fault in left.faults]
