# SPDX-License-Identifier: MIT
"""Parts of files put together without decoding them: GoPs get new numbers and times, nothing else changes.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import BinaryIO

from .chunks import ANCILLARY, INDX, KNOWN, PACK, PICT, PREAMBLE, STRM, TAGS, Chunk
from .container import ContainerReader, ContainerWriter
from .errors import GsvError
from .gop import read_gop_header
from .gop_header import gop_span
from .media import Media, read_media, read_packets
from .picture import PictureMetadata, write_picture
from .records import SequenceHeader
from .schema import FieldStream, Values
from .streams import PacketRecord, StreamInfo, write_packets, write_streams
from .tags import Chapter, Tags, moved, write_tags
from .validate_media import MAX_TAGS

SAME = (
    "profile",
    "width",
    "height",
    "sar_num",
    "sar_den",
    "bit_depth",
    "colour_primaries",
    "transfer_characteristics",
    "matrix_coefficients",
    "full_range",
    "time_base_num",
    "time_base_den",
)


class JoinError(GsvError):
    """Files that cannot be put together as they are."""


@dataclass(frozen=True)
class Piece:
    """GoPs of one file, by number. `gops` must be able to be entered at its first (GopSource.gops_to_enter)."""

    reader: ContainerReader
    gops: range
    name: str = ""

    @property
    def frame_count(self) -> int:
        """Frames of these GoPs."""
        return sum(self.reader.gop_table[gop].frame_count for gop in self.gops)

    def pts(self, frame: int) -> int:
        """Ticks at which `frame` of the file appears."""
        header, index = self.reader.header, self.reader.gop_of_frame(frame)
        if header.frame_duration:
            return header.start_pts + frame * header.frame_duration
        return (self.reader.gop_header(index).pts or ())[frame - self.reader.gop_table[index].first_frame]

    @property
    def span(self) -> tuple[int, int]:
        """Ticks at which the first frame appears and at which the last one ends (SPEC 6.4, `start_pts`)."""
        first, end = self.reader.gop_table[self.gops[0]].first_frame, self.reader.gop_table[self.gops[-1]].end_frame
        last, step = self.pts(end - 1), self.reader.header.frame_duration or self.last_frame_duration
        return self.pts(first), last + (step or (last - self.pts(end - 2) if end - 2 >= first else 1))

    @property
    def reaches_end(self) -> bool:
        """Whether the last GoP is the last one of the file."""
        return self.gops[-1] + 1 == self.reader.gop_count

    @property
    def last_frame_duration(self) -> int:
        """Ticks for which the last frame is shown where the file says so, else 0 (SPEC 6.15)."""
        if not self.reaches_end:
            end = self.reader.gop_table[self.gops[-1]].end_frame
            return 0 if self.reader.header.frame_duration else self.pts(end) - self.pts(end - 1)
        picture = read_media(self.reader).picture
        return picture.last_frame_duration if picture else 0


def whole(reader: ContainerReader, name: str = "") -> Piece:
    """All of a file."""
    return Piece(reader, range(reader.gop_count), name)


def part(reader: ContainerReader, start: int, stop: int, name: str = "") -> Piece:
    """The GoPs that frames start..stop-1 lie in, and those it takes to enter there."""
    first = reader.gops_to_enter(reader.gop_of_frame(start))[0]
    return Piece(reader, range(first, reader.gop_of_frame(stop - 1) + 1), name)


def join(pieces: Sequence[Piece], file: BinaryIO) -> SequenceHeader:
    """Write `pieces` one after the other as one file; returns its header.

    The first frame keeps the time stamp at which the first file begins; each piece begins when the one before it
    ends. Sound and subtitles go with their GoPs; at a joint what sticks out on either side is left out. Chunks of
    unknown types stay between the GoPs they stand between; those before the first GoP come from the first file.
    Raises JoinError, FormatError, LimitError, OSError.
    """
    header, media = _joint_header(pieces), _joint_media(pieces)
    writer = ContainerWriter(file, header)
    _write_media(media, pieces[0].reader, writer)
    begin = header.start_pts
    for piece in pieces:
        first, end = piece.span
        after = begin + end - first
        from_, to = None if piece is pieces[0] else begin, None if piece is pieces[-1] else after
        _copy(piece, writer, _Place(media.streams, begin - first, from_, to))
        begin = after
    writer.close()
    return header


def _joint_header(pieces: Sequence[Piece]) -> SequenceHeader:
    headers = [piece.reader.header for piece in pieces]
    for piece, header in zip(pieces, headers, strict=True):
        for name in SAME:
            ours, theirs = getattr(headers[0], name), getattr(header, name)
            if ours != theirs:
                where = f"{piece.name}: {name} is {theirs}, {pieces[0].name} has {ours}"
                raise JoinError(f"{where}; files are joined only if these agree: encode one of them anew")
    durations = {header.frame_duration for header in headers}
    return replace(
        headers[0],
        level=max(header.level for header in headers),
        frame_duration=durations.pop() if len(durations) == 1 else 0,
        max_gop_frames=max(header.max_gop_frames for header in headers),
        max_entry_distance=max(header.max_entry_distance for header in headers),
        frame_count=sum(piece.frame_count for piece in pieces),
    )


def _joint_media(pieces: Sequence[Piece]) -> Media:
    """What the new file says before its first GoP. JoinError where files differ in what is shown or heard."""
    found = [read_media(piece.reader) for piece in pieces]
    for piece, media in zip(pieces, found, strict=True):
        for what, kind, ours, theirs in (
            ("picture metadata", PICT, _shown(found[0]), _shown(media)),
            ("streams of sound and subtitles", STRM, _coding(found[0]), _coding(media)),
        ):
            if ours != theirs:
                where = f"{piece.name}: other {what} (chunk {kind}) than {pieces[0].name}"
                raise JoinError(f"{where}; files are joined only if these agree")
    picture = found[0].picture and replace(found[0].picture, last_frame_duration=pieces[-1].last_frame_duration)
    return Media(picture, found[0].streams, _joint_tags(pieces, found))


def _joint_tags(pieces: Sequence[Piece], found: Sequence[Media]) -> Tags:
    """The tags of the first file, and the chapters of all, where they are in the new file."""
    header = pieces[0].reader.header
    chapters: list[Chapter] = []
    base, at = Fraction(header.time_base_num, header.time_base_den), header.start_pts
    for piece, media in zip(pieces, found, strict=True):
        first, end = piece.span
        low = None if piece is pieces[0] and not piece.gops[0] else first * base
        high = None if piece is pieces[-1] and piece.reaches_end else end * base
        chapters += moved(media.tags.chapters if media.tags else (), low, high, (at - first) * base)
        at += end - first
    return Tags(found[0].tags.values if found[0].tags else (), tuple(chapters[:MAX_TAGS]))


def _shown(media: Media) -> PictureMetadata:
    """The part of the metadata that says how the pictures are to be shown."""
    shown = media.picture or PictureMetadata()
    return replace(shown, source_codec="", source_chroma_format=0, source_bit_depth=0, last_frame_duration=0)


def _coding(media: Media) -> list[StreamInfo]:
    """What a decoder of the streams must know; names and bit rates may differ."""
    return [replace(info, disposition=0, language="", title="", bit_rate=0) for info in media.streams]


def _write_media(media: Media, reader: ContainerReader, writer: ContainerWriter) -> None:
    """What comes before the first GoP, and of the first file the chunks of unknown types."""
    if media.picture:
        writer.add_ancillary(PICT, write_picture(media.picture))
    if media.tags:
        writer.add_ancillary(TAGS, write_tags(media.tags))
    if media.streams:
        writer.add_ancillary(STRM, write_streams(media.streams))
    _copy_unknown(reader, writer, 0)


@dataclass(frozen=True)
class _Place:
    """Where a piece goes: `shift` ticks later than it was, from tick `begin` to before `end` (None: all there is)."""

    streams: Sequence[StreamInfo]
    shift: int
    begin: int | None
    end: int | None

    def packets(self, found: Sequence[PacketRecord], header: SequenceHeader) -> list[PacketRecord]:
        """Those of `found` that belong here, with their new times."""
        base = Fraction(header.time_base_num, header.time_base_den)
        kept = []
        for packet in found:
            ticks = base * Fraction(
                self.streams[packet.stream].time_base_den, self.streams[packet.stream].time_base_num
            )
            pts = packet.pts + round(self.shift * ticks)
            if (self.begin is None or pts >= self.begin * ticks) and (self.end is None or pts < self.end * ticks):
                kept.append(replace(packet, pts=pts))
        return kept


def _copy(piece: Piece, writer: ContainerWriter, place: _Place) -> None:
    """Append the GoPs of a piece and what stands between them."""
    reader = piece.reader
    for index in piece.gops:
        if index > piece.gops[0]:
            _copy_unknown(reader, writer, index)
        _copy_packets(reader, writer, index, place)
        entry, moved = reader.gop_table[index], _moved(piece, index, writer, place.shift)
        writer.add_payload(moved, entry.frame_count, predicted=entry.entry_delta > 0)
    if piece.reaches_end:
        _copy_unknown(reader, writer, reader.gop_count)
        _copy_packets(reader, writer, reader.gop_count, place)


def _copy_unknown(reader: ContainerReader, writer: ContainerWriter, index: int) -> None:
    for chunk in _between(reader, index):
        if chunk.kind not in ANCILLARY:
            writer.add_ancillary(chunk.kind, reader.payload(chunk))


def _copy_packets(reader: ContainerReader, writer: ContainerWriter, index: int, place: _Place) -> None:
    """Append the packets of GoP `index`."""
    found = read_packets(reader, index, len(place.streams)) if place.streams else []
    if kept := place.packets(found, reader.header):
        writer.add_ancillary(PACK, write_packets(kept, len(place.streams)))


def _between(reader: ContainerReader, index: int) -> Iterator[Chunk]:
    """The ancillary chunks before GoP `index` and after the one before it; at the end those after the last."""
    before = reader.gop_table[index - 1] if index else None
    offset = before.offset + before.length if before else PREAMBLE
    end = reader.gop_table[index].offset if index < reader.gop_count else reader.size
    while offset < end and (chunk := reader.chunk_at(offset)).kind != INDX:
        if chunk.kind not in KNOWN:
            yield chunk
        offset += chunk.length


def _moved(piece: Piece, index: int, writer: ContainerWriter, shift: int) -> bytes:
    """The payload of GoP `index` with the frame numbers and times it has in the new file."""
    payload, offset = piece.reader.gop_payload(index)
    old: Values = {}
    stream = FieldStream(payload, offset=offset, chunk=f"GoP {index}")
    pts = gop_span(stream, piece.reader.header, old)
    first, count = writer.frame_count, old["frame_count"]
    new: Values = {"first_frame": first, "frame_count": count}
    if writer.header.frame_duration == 0:
        times = pts or [piece.pts(old["first_frame"] + k) for k in range(count)]
        new |= {"first_pts": times[0] + shift, "pts_delta": [b - a for a, b in pairwise(times)]}
    out = FieldStream(chunk="GoP to be written")
    gop_span(out, writer.header, new)
    moved = out.getvalue() + bytes(stream.rest())
    read_gop_header(moved, writer.header, piece.reader.limits, chunk=f"{piece.name or 'file'}, GoP {index}")
    return moved
