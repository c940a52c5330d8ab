# SPDX-License-Identifier: MIT
"""A copy of the sequence header stands in for one that is damaged or lost, and disagrees with it in no whole file."""

from __future__ import annotations

import io

import pytest

from gscodec.format.chunks import COPY, FRAMING, INDX, PREAMBLE, SEQH, Chunk
from gscodec.format.container import ContainerReader
from gscodec.format.describe import file_bits
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.join import join, part, whole
from gscodec.format.limits import Limits
from gscodec.format.salvage import NothingLeftError, SalvagedReader
from gscodec.format.sequential import SequentialReader
from tests.conformance.broken import base, edited, u8
from tests.conformance.build import file_of
from tests.conformance.edit import EditedFile
from tests.conformance.vectors import VECTORS

CLIP = file_of(VECTORS["paths"](), with_copy=True)  # three GoPs of two frames each
READER = ContainerReader(CLIP)
CHUNKS: dict[str, Chunk] = {chunk.kind: chunk for chunk in READER.chunks()}
HEADER = CHUNKS[SEQH]
SAID = f"the copy of the sequence header at byte {CHUNKS[COPY].offset:#x} is good and stands in for it"


def spoilt(chunk: Chunk, data: bytes = CLIP) -> bytes:
    """`data` with all of a chunk overwritten."""
    return data[: chunk.offset] + b"\xa5" * chunk.length + data[chunk.offset + chunk.length :]


def flipped(offset: int, mask: int, data: bytes = CLIP) -> bytes:
    return data[:offset] + bytes((data[offset] ^ mask,)) + data[offset + 1 :]


def all_is_there(left: SalvagedReader) -> bool:
    """Whether every GoP is found, at its place and with its symbols."""
    same = [left.read_gop(i) for i in range(left.gop_count)] == [READER.read_gop(i) for i in range(READER.gop_count)]
    return same and tuple(left.gop_table) == READER.gop_table and left.header == READER.header and not left.missing()


def test_the_writer_puts_it_before_the_index() -> None:
    assert list(CHUNKS)[-3:] == [COPY, INDX, "ENDF"]
    assert READER.payload(CHUNKS[COPY]) == READER.payload(HEADER)
    assert SalvagedReader(CLIP).faults == []
    without = ContainerReader(base("paths"))
    assert READER.size - without.size == HEADER.length
    more = file_bits(READER)["headers"] - file_bits(without)["headers"]
    assert more == 8 * HEADER.length


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
@pytest.mark.parametrize("byte", range(HEADER.length))
def test_every_damaged_byte_of_the_header_costs_no_frame(byte: int, mask: int) -> None:
    data = flipped(HEADER.offset + byte, mask)
    left = SalvagedReader(data)
    assert all_is_there(left)
    (fault,) = left.faults
    assert (fault.offset, fault.length, fault.frames) == (HEADER.offset, HEADER.length, None)
    assert fault.message.endswith(f"; {SAID}")
    with pytest.raises(FormatError):
        ContainerReader(data)


@pytest.mark.parametrize("lost", [PREAMBLE, PREAMBLE + 9, PREAMBLE + HEADER.length - 1])
def test_a_lost_beginning_with_the_header_costs_no_frame(lost: int) -> None:
    left = SalvagedReader(bytes(lost) + CLIP[lost:])
    assert left.faults[0].code == "C-6.2-1"
    assert all_is_there(left)


def test_a_beginning_lost_into_the_first_gop_costs_that_gop() -> None:
    lost = READER.gop_table[0].offset + 30
    left = SalvagedReader(bytes(lost) + CLIP[lost:])
    assert left.missing() == [(0, 2)]
    assert any(fault.message.endswith(SAID) and fault.frames == (0, 2) for fault in left.faults)


def test_without_any_seqh_chunk_the_copy_is_used() -> None:
    data = CLIP[:PREAMBLE] + CLIP[PREAMBLE + HEADER.length :]
    left = SalvagedReader(data)
    assert (left.gop_count, left.missing()) == (3, [])
    assert left.faults[0].message.startswith("there is no SEQH chunk; the copy of the sequence header at byte ")


def test_header_and_index_may_both_be_lost() -> None:
    for kinds in ((INDX,), (INDX, "ENDF"), ("ENDF",)):
        data = spoilt(HEADER)
        for kind in kinds:
            data = spoilt(CHUNKS[kind], data)
        left = SalvagedReader(data)
        assert all_is_there(left)
        assert left.faults[0].message.endswith(SAID)
        assert len(left.faults) > 1
        assert all(fault.offset >= CHUNKS[INDX].offset for fault in left.faults[1:])


def test_a_header_with_a_right_crc_and_a_wrong_value_is_damaged_too() -> None:
    file = EditedFile(CLIP)
    file.set("SEQH.profile", u8(9))
    left = SalvagedReader(file.build())
    assert all_is_there(left)
    (fault,) = left.faults
    assert (fault.code, fault.kind) == ("C-6.4-1", SEQH)
    assert fault.message.endswith(SAID)


def test_a_gop_may_be_damaged_besides() -> None:
    data = flipped(READER.gop_table[1].offset + 40, 4, spoilt(HEADER))
    left = SalvagedReader(data)
    assert [entry.first_frame for entry in left.gop_table] == [0, 4]
    assert left.missing() == [(2, 4)]
    assert [fault.frames for fault in left.faults] == [None, (2, 4)]


def test_a_file_cut_before_the_copy_needs_its_header() -> None:
    for length in range(CHUNKS[COPY].offset, CHUNKS[INDX].offset):
        assert SalvagedReader(CLIP[:length]).missing() == []
        with pytest.raises(NothingLeftError, match="and no copy of it"):
            SalvagedReader(spoilt(HEADER)[:length])
    for length in range(CHUNKS[INDX].offset, len(CLIP)):
        assert all_is_there(SalvagedReader(spoilt(HEADER)[:length]))


@pytest.mark.parametrize("byte", range(HEADER.length))
def test_a_copy_that_is_damaged_too_stands_in_for_nothing(byte: int) -> None:
    data = flipped(CHUNKS[COPY].offset + byte, 0x11, spoilt(HEADER))
    with pytest.raises(NothingLeftError, match="no sequence header is left, and no copy of it") as caught:
        SalvagedReader(data)
    assert [fault.offset for fault in caught.value.faults] == [HEADER.offset, CHUNKS[COPY].offset]


@pytest.mark.parametrize("byte", range(HEADER.length))
def test_a_damaged_copy_beside_a_good_header_is_a_fault_and_costs_nothing(byte: int) -> None:
    data = flipped(CHUNKS[COPY].offset + byte, 0x11)
    left = SalvagedReader(data)
    assert all_is_there(left)
    (fault,) = left.faults
    assert (fault.offset, fault.length) == (CHUNKS[COPY].offset, CHUNKS[COPY].length)
    with pytest.raises(FormatError):
        ContainerReader(data).verify()
    reader = ContainerReader(data)  # a decoder that goes by the index need not look at it
    assert [reader.read_gop(i) for i in range(3)] == [READER.read_gop(i) for i in range(3)]


def disagreeing(name: str = "SEQH.start_pts") -> bytes:
    file = EditedFile(CLIP)
    file.set(name, u8(8))
    return file.build()


@pytest.mark.parametrize("name", ["SEQH.start_pts", "seqh.start_pts"])
def test_a_copy_that_disagrees_is_refused_and_the_original_counts(name: str) -> None:
    data = disagreeing(name)
    with pytest.raises(FormatError, match=r"start_pts is .* in the copy of the sequence header") as caught:
        ContainerReader(data).verify()
    assert caught.value.code == "C-6.4-12"
    with pytest.raises(FormatError, match="in the copy of the sequence header"):
        SequentialReader(io.BytesIO(data)).verify()
    left = SalvagedReader(data)
    assert [(fault.kind, fault.code) for fault in left.faults] == [(COPY, "C-6.4-12")]
    assert left.header.start_pts == (4 if name == "SEQH.start_pts" else 0)
    assert left.missing() == []


def test_where_copies_disagree_the_first_one_stands_in() -> None:
    data = edited("copied", {"seqh.start_pts": u8(8)})
    left = SalvagedReader(spoilt(next(ContainerReader(data).chunks()), data))
    assert (left.header.start_pts, left.missing()) == (4, [])
    assert [fault.code for fault in left.faults if fault.kind == COPY] == ["C-6.4-12"]


def test_limits_hold_for_the_copy() -> None:
    with pytest.raises(LimitError, match="6 frames"):
        SalvagedReader(spoilt(HEADER), Limits(frames=5))


def streamed(data: bytes, *, lenient: bool) -> SequentialReader:
    stream = SequentialReader(io.BytesIO(data), lenient=lenient)
    stream.verify_rest()
    return stream


@pytest.mark.parametrize("byte", range(HEADER.length))
def test_a_stream_says_that_the_copy_comes_too_late(byte: int) -> None:
    data = flipped(HEADER.offset + byte, 0x40)
    with pytest.raises(FormatError, match="save it as a file to see what is left") as caught:
        streamed(data, lenient=True)
    assert (caught.value.offset, caught.value.chunk) == (PREAMBLE, SEQH)
    with pytest.raises((FormatError, LimitError)) as strict:
        streamed(data, lenient=False)
    assert "save it" not in str(strict.value)


@pytest.mark.parametrize("byte", range(HEADER.length))
def test_a_stream_uses_a_copy_before_its_gops(byte: int) -> None:
    data = flipped(PREAMBLE + byte, 0x40, base("copied"))
    stream = streamed(data, lenient=True)
    assert (stream.gop_count, stream.missing()) == (2, [])
    assert stream.header == ContainerReader(base("copied")).header
    (fault,) = stream.faults
    assert fault.offset == PREAMBLE
    assert "is good and stands in for it" in fault.message
    with pytest.raises((FormatError, LimitError)):
        streamed(data, lenient=False)


def test_a_stream_of_a_header_alone_is_refused() -> None:
    for length in range(PREAMBLE, PREAMBLE + HEADER.length):
        with pytest.raises(FormatError):
            streamed(CLIP[:length], lenient=True)
    with pytest.raises(FormatError, match="there is no SEQH chunk"):
        streamed(CLIP[:PREAMBLE] + CLIP[PREAMBLE + HEADER.length :], lenient=True)


def test_parts_and_joined_files_have_a_copy_of_their_own_header() -> None:
    for pieces in ([part(READER, 2, 4)], [whole(READER), whole(READER)], [whole(ContainerReader(base("copied")))]):
        file = io.BytesIO()
        header = join(pieces, file)
        made = ContainerReader(file.getvalue())
        made.verify()
        copies = [chunk for chunk in made.chunks() if chunk.kind == COPY]
        assert [made.payload(chunk) for chunk in copies] == [made.payload(next(made.chunks()))]
        assert copies[0].length == len(made.payload(copies[0])) + FRAMING
        left = SalvagedReader(spoilt(next(made.chunks()), file.getvalue()))
        assert (left.header, left.missing()) == (header, [])
