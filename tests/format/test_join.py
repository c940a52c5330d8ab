# SPDX-License-Identifier: MIT
"""Files cut and put together without decoding: records stay, frame numbers, times, sound and notes move along."""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from gscodec.format.container import ContainerReader, ContainerWriter
from gscodec.format.errors import FormatError
from gscodec.format.join import JoinError, join, part, whole
from gscodec.format.media import read_media, read_packets
from gscodec.format.picture import PictureMetadata, write_picture
from gscodec.format.records import GopRecord
from gscodec.format.streams import PacketRecord, StreamInfo, write_packets, write_streams
from tests.conformance.broken import base
from tests.conformance.vectors import VECTORS
from tests.decoder.synthetic import make_gop, make_header

RATE = 44_100


def joined(*pieces: Any) -> ContainerReader:
    file = io.BytesIO()
    join(pieces, file)
    reader = ContainerReader(file.getvalue())
    reader.verify()
    return reader


def reader_of(name: str) -> ContainerReader:
    return ContainerReader(base(name))


def unplaced(reader: ContainerReader) -> list[GopRecord]:
    """The GoPs without what a joint changes."""
    return [replace(reader.read_gop(i), first_frame=0, pts=None) for i in range(reader.gop_count)]


def clip(
    frames: int = 24,
    sound: bool = False,
    note: bytes = b"",
    more: tuple[PacketRecord, ...] = (),
    picture: PictureMetadata | None = None,
    title: str = "",
    extra_data: bytes = b"",
    **fields: Any,
) -> ContainerReader:
    """GoPs of at most ten frames, 25 a second; with `sound` two packets for each, and `more` at both ends."""
    header = make_header(16, 16, frames, **{"start_pts": 7, **fields})
    file = io.BytesIO()
    writer = ContainerWriter(file, header)
    if picture:
        writer.add_ancillary("pict", write_picture(picture))
    if sound:
        stream = StreamInfo(0, "opus", 1, RATE, 0, "", title, 0, extra_data, RATE, 1)
        writer.add_ancillary("strm", write_streams([stream]))
    for first in range(0, frames, 10):
        if sound:
            packets = [PacketRecord(0, (7 + first + k) * RATE // 25, 1000, 1, bytes((first, k))) for k in (0, 5)]
            packets = [*more[: first == 0], *packets, *(more[1:] if first + 10 >= frames else ())]
            writer.add_ancillary("pack", write_packets(packets, 1))
        if note:
            writer.add_ancillary("note", note + str(first).encode())
        writer.add_gop(make_gop(header, first, min(10, frames - first), 5))
    writer.close()
    return ContainerReader(file.getvalue())


def notes(reader: ContainerReader) -> list[bytes]:
    return [reader.payload(chunk) for chunk in reader.chunks() if chunk.kind == "note"]


# Irregular times are left out: cut off, the last frame of a GoP no longer knows when the next one begins.
@pytest.mark.parametrize("name", sorted(set(VECTORS) - {"variable_time"}))
def test_cut_and_joined_again_is_the_same_file(name: str) -> None:
    source = reader_of(name)
    ends = [e.first_frame for e in source.gop_table[1:] if e.entry_delta == 0] + [source.header.frame_count]
    pieces = [joined(part(source, start, end)) for start, end in pairwise([0, *ends])]
    again = joined(*(part(piece, 0, piece.header.frame_count) for piece in pieces))
    assert [again.read_gop(i) for i in range(again.gop_count)] == [source.read_gop(i) for i in range(source.gop_count)]
    assert again.header == source.header


def test_a_part_keeps_whole_gops_and_begins_where_the_file_began() -> None:
    source = clip()
    middle = joined(part(source, 12, 14))
    assert middle.header == replace(source.header, frame_count=10)
    assert unplaced(middle) == unplaced(source)[1:2]
    both = joined(part(source, 9, 11))
    assert both.header.frame_count == 20


def test_irregular_times_move_along() -> None:
    source = reader_of("variable_time")
    pts = [t for i in range(source.gop_count) for t in source.read_gop(i).pts or ()]
    tail = joined(part(source, 2, 7))
    moved = [t for i in range(tail.gop_count) for t in tail.read_gop(i).pts or ()]
    assert moved == [t - pts[2] + pts[0] for t in pts[2:]]
    twice = joined(whole(source), whole(source))
    times = [t for i in range(twice.gop_count) for t in twice.read_gop(i).pts or ()]
    assert times[7] == pts[6] + (pts[6] - pts[5])  # the last frame is shown as long as the one before it
    assert [t - times[7] for t in times[7:]] == [t - pts[0] for t in pts]


def test_other_frame_durations_become_time_stamps() -> None:
    slow, fast = clip(12, frame_duration=2), clip(11, frame_duration=1)
    both = joined(whole(slow), whole(fast))
    assert both.header.frame_duration == 0
    times = [t for i in range(both.gop_count) for t in both.read_gop(i).pts or ()]
    assert times == [7 + 2 * k for k in range(12)] + [31 + k for k in range(11)]
    assert joined(whole(fast), whole(fast)).header.frame_duration == 1


def test_level_and_longest_gop_are_the_larger_ones() -> None:
    both = joined(whole(clip(5, level=1, max_gop_frames=5)), whole(clip(8, level=3)))
    assert (both.header.level, both.header.max_gop_frames, both.header.frame_count) == (3, 10, 13)


@pytest.mark.parametrize(
    "fields", [{"width": 18}, {"time_base_den": 30}, {"profile": 0}, {"sar_num": 2}, {"matrix_coefficients": 1}]
)
def test_files_that_differ_are_refused(fields: dict[str, int]) -> None:
    header = {"width": 16, "height": 16, **fields}
    other = io.BytesIO()
    writer = ContainerWriter(other, made := make_header(frames=1, **header))
    writer.add_gop(make_gop(made, 0, 1, 5))
    writer.close()
    with pytest.raises(JoinError, match=f"b: {next(iter(fields))} is .*, a has"):
        joined(whole(clip(), "a"), whole(ContainerReader(other.getvalue()), "b"))


def test_sound_goes_with_its_gops() -> None:
    source = clip(sound=True)
    tail = joined(part(source, 10, 24))
    found = [packet for i in range(tail.gop_count + 1) for packet in read_packets(tail, i, 1)]
    assert [packet.data for packet in found] == [bytes((10, 0)), bytes((10, 5)), bytes((20, 0)), bytes((20, 5))]
    assert found[0].pts == pytest.approx(7 * RATE / 25, abs=1)
    assert found[1].pts - found[0].pts == 5 * RATE // 25
    twice = joined(whole(source), whole(source))
    later = read_packets(twice, 3, 1)
    assert later[0].pts == pytest.approx((7 + 24) * RATE / 25, abs=1)


def test_sound_that_sticks_out_at_a_joint_is_left_out() -> None:
    """A packet behind the last frame, and one before the first, would otherwise be heard over the other file."""
    early, late = PacketRecord(0, 0, 1000, 1, b"early"), PacketRecord(0, (7 + 26) * RATE // 25, 1000, 1, b"late")
    source = clip(sound=True, more=(early, late))
    twice = joined(whole(source), whole(source))
    found = [packet for i in range(twice.gop_count + 1) for packet in read_packets(twice, i, 1)]
    assert [packet.data for packet in found if len(packet.data) > 2] == [b"early", b"late"]
    assert (found[0].data, found[-1].data) == (b"early", b"late")
    assert all(a.pts < b.pts for a, b in pairwise(found))


def test_streams_may_differ_in_name_and_rate_only() -> None:
    both = joined(whole(clip(sound=True)), whole(clip(sound=True, title="two")))
    assert read_media(both).streams[0].title == ""
    with pytest.raises(JoinError, match="other streams"):
        joined(whole(clip(sound=True)), whole(clip(sound=True, extra_data=b"x")))


def test_the_last_frame_of_a_part_keeps_its_duration() -> None:
    header, gops = VECTORS["variable_time"]()
    file = io.BytesIO()
    writer = ContainerWriter(file, header)
    writer.add_ancillary("pict", write_picture(PictureMetadata(last_frame_duration=77)))
    for gop in gops:
        writer.add_gop(gop)
    writer.close()
    source = ContainerReader(file.getvalue())
    head, tail = joined(part(source, 0, 2)), joined(part(source, 2, 7))
    assert [read_media(reader).picture.last_frame_duration for reader in (head, tail)] == [
        gops[1].pts[0] - gops[0].pts[-1],
        77,
    ]
    assert joined(whole(head), whole(tail)).read_at(0, 10**6) == file.getvalue()


def test_pictures_shown_otherwise_are_refused() -> None:
    turned = clip(picture=PictureMetadata(display_matrix=(0, 1, 0, -1, 0, 0, 0, 0, 1)))
    with pytest.raises(JoinError, match="b: other picture metadata"):
        joined(whole(clip(), "a"), whole(turned, "b"))
    joined(whole(clip()), whole(clip(picture=PictureMetadata(source_codec="vp9", source_bit_depth=10))))


def test_other_streams_are_refused() -> None:
    with pytest.raises(JoinError, match="b: other streams of sound and subtitles"):
        joined(whole(clip(sound=True), "a"), whole(clip(), "b"))


def test_chunks_of_unknown_types_stay_between_their_gops() -> None:
    source = clip(note=b"n")
    assert notes(joined(part(source, 0, 20))) == [b"n0", b"n10"]
    assert notes(joined(part(source, 10, 24))) == [b"n0", b"n20"]  # the first is about the file
    assert notes(joined(whole(source), whole(source))) == [b"n0", b"n10", b"n20", b"n10", b"n20"]


def test_damage_is_not_copied() -> None:
    source = clip()
    entry = source.gop_table[1]
    data = bytearray(source.read_at(0, source.size))
    data[entry.offset + 20] ^= 1
    with pytest.raises(FormatError, match="CRC"):
        joined(part(ContainerReader(bytes(data)), 10, 24))
    assert joined(part(ContainerReader(bytes(data)), 0, 10)).header.frame_count == 10
