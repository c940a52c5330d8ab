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

from .chunks import ANCILLARY, INDX, KNOWN, PACK, PICT, PREAMBLE, STRM, Chunk
from .container import ContainerReader, ContainerWriter
from .errors import GsvError
from .gop import gop_span, read_gop_header
from .media import Media, read_media, read_packets
from .records import SequenceHeader
from .schema import FieldStream, Values
from .streams import StreamInfo, write_packets

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
        """Ticks at which `frame` of the file appears, which lies in these GoPs."""
        header, index = self.reader.header, self.reader.gop_of_frame(frame)
        if header.frame_duration:
            return header.start_pts + frame * header.frame_duration
        return (self.reader.gop_header(index).pts or ())[frame - self.reader.gop_table[index].first_frame]

    @property
    def span(self) -> tuple[int, int]:
        """Ticks at which the first frame appears and at which the last one ends (SPEC 6.4, `start_pts`)."""
        first, end = self.reader.gop_table[self.gops[0]].first_frame, self.reader.gop_table[self.gops[-1]].end_frame
        last = self.pts(end - 1)
        step = self.reader.header.frame_duration or (last - self.pts(end - 2) if end - 2 >= first else 1)
        return self.pts(first), last + step


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
    ends. Sound and subtitles go with their GoPs. Chunks of unknown types stay between the GoPs they stand between;
    those before the first GoP come from the first file. Raises JoinError, FormatError, LimitError, OSError.
    """
    header, media = _joint_header(pieces), _joint_media(pieces)
    writer = ContainerWriter(file, header)
    for chunk in _between(pieces[0].reader, 0):
        if chunk.kind != PACK:
            writer.add_ancillary(chunk.kind, pieces[0].reader.payload(chunk))
    begin = header.start_pts
    for piece in pieces:
        first, end = piece.span
        _copy(piece, writer, media.streams, begin - first)
        begin += end - first
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
    """What all files say before their first GoP. JoinError where they differ."""
    found = [read_media(piece.reader) for piece in pieces]
    for piece, media in zip(pieces, found, strict=True):
        for what, kind, ours, theirs in (
            ("picture metadata", PICT, found[0].picture, media.picture),
            ("streams of sound and subtitles", STRM, found[0].streams, media.streams),
        ):
            if ours != theirs:
                where = f"{piece.name}: other {what} (chunk {kind}) than {pieces[0].name}"
                raise JoinError(f"{where}; files are joined only if these agree")
    return found[0]


def _copy(piece: Piece, writer: ContainerWriter, streams: Sequence[StreamInfo], shift: int) -> None:
    """Append the GoPs of a piece and what stands between them, `shift` ticks later."""
    reader = piece.reader
    for index in piece.gops:
        if index > piece.gops[0]:
            _copy_unknown(reader, writer, index)
        _copy_packets(piece, writer, index, streams, shift)
        entry, moved = reader.gop_table[index], _moved(piece, index, writer, shift)
        writer.add_payload(moved, entry.frame_count, predicted=entry.entry_delta > 0)
    if piece.gops[-1] + 1 == reader.gop_count:
        _copy_unknown(reader, writer, reader.gop_count)
        _copy_packets(piece, writer, reader.gop_count, streams, shift)


def _copy_unknown(reader: ContainerReader, writer: ContainerWriter, index: int) -> None:
    for chunk in _between(reader, index):
        if chunk.kind not in ANCILLARY:
            writer.add_ancillary(chunk.kind, reader.payload(chunk))


def _copy_packets(piece: Piece, writer: ContainerWriter, index: int, streams: Sequence[StreamInfo], shift: int) -> None:
    """Append the packets of GoP `index`, `shift` ticks of the picture's time base later."""
    found = read_packets(piece.reader, index, len(streams)) if streams else []
    if not found:
        return
    header = piece.reader.header
    seconds = Fraction(shift * header.time_base_num, header.time_base_den)
    shifts = [round(seconds * Fraction(info.time_base_den, info.time_base_num)) for info in streams]
    moved = [replace(packet, pts=packet.pts + shifts[packet.stream]) for packet in found]
    writer.add_ancillary(PACK, write_packets(moved, len(streams)))


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
