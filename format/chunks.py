# SPDX-License-Identifier: MIT
"""Signature, chunk framing and the index (SPEC 5.2, 5.3, 5.13).

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from . import validate, validate_data
from .errors import Place
from .records import SequenceHeader
from .schema import UVAR, UVAR64, FieldStream, Values

SIGNATURE = bytes((0x89, 0x47, 0x53, 0x56, 0x0D, 0x0A, 0x1A, 0x0A))
VERSION = (0, 10)
CRITICAL = 1
SEQH, GOPD, INDX, ENDF = "SEQH", "GOPD", "INDX", "ENDF"
KNOWN = (SEQH, GOPD, INDX, ENDF)
PICT, STRM, PACK, TAGS, COPY = "pict", "strm", "pack", "tags", "seqh"  # COPY: of the sequence header
ANCILLARY = (PICT, STRM, PACK, TAGS, COPY)
MEDIA = (STRM, PACK)  # sound and subtitles: what bpp leaves out
FRAMING = 13  # type, flags, length, CRC
PREAMBLE = len(SIGNATURE) + 2
END_LENGTH = FRAMING + 8
ENTRY_LEAST = 4  # bytes of one line of the index
ENTRY_BYTES = 256  # memory that one line of the index takes once it is read


@dataclass(frozen=True)
class Chunk:
    """Where one chunk lies and what its header says."""

    kind: str
    flags: int
    offset: int  # of the chunk in the file
    payload_length: int

    @property
    def length(self) -> int:
        """Bytes of the whole chunk."""
        return self.payload_length + FRAMING

    @property
    def payload_offset(self) -> int:
        """Where the payload starts."""
        return self.offset + 9


@dataclass(frozen=True, slots=True)
class GopEntry:
    """One line of the index: the chunk of a GoP and the frames it holds."""

    offset: int
    length: int
    first_frame: int
    frame_count: int
    entry_delta: int = 0  # GoPs to go back to the independent one that this one's chain begins with

    @property
    def end_frame(self) -> int:
        """The frame after the last one."""
        return self.first_frame + self.frame_count


def check_preamble(found: bytes) -> None:
    """Check the first 10 bytes of a file: signature and version. Raises FormatError."""
    validate.signature(Place(0), found[: len(SIGNATURE)], SIGNATURE)
    validate.bytes_are_there(Place(0), PREAMBLE, len(found))
    validate.version(Place(8), found[8], found[9], VERSION)


def write_chunk(kind: str, payload: bytes, flags: int = CRITICAL) -> bytes:
    """Type, flags, length, payload, CRC."""
    body = kind.encode("latin-1") + bytes((flags,)) + len(payload).to_bytes(4, "little") + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def read_chunk_header(head: bytes, offset: int, left: int) -> Chunk:
    """The chunk whose first 9 bytes are `head`, at byte `offset` of a file that has `left` more bytes from there.

    Flags, type and length are checked, the CRC is not. Raises FormatError.
    """
    validate.bytes_are_there(Place(offset), FRAMING, left)
    chunk = Chunk(head[:4].decode("latin-1"), head[4], offset, int.from_bytes(head[5:9], "little"))
    kind, critical, known = chunk.kind, bool(chunk.flags & CRITICAL), chunk.kind in KNOWN
    at = Place(offset, kind if known else f"chunk {kind!r}")
    validate.chunk_flags(at, chunk.flags)
    validate.chunk_type_is_known(at, kind, critical, known or kind in ANCILLARY)
    if known or kind in ANCILLARY:
        validate.chunk_is_critical(at, kind, critical, known)
    validate.bytes_are_there(at, chunk.length, left)
    return chunk


def checked_payload(chunk: Chunk, body: bytes, name: str = "") -> bytes:
    """The payload in the bytes of a whole chunk. FormatError if bytes are missing or the CRC is wrong."""
    at = Place(chunk.offset, name or chunk.kind)
    validate.bytes_are_there(at, chunk.length, len(body))
    validate.chunk_crc(at, int.from_bytes(body[-4:], "little"), zlib.crc32(memoryview(body)[:-4]))
    return body[9:-4]


def index_entries(
    fields: FieldStream,
    entries: Sequence[GopEntry] | None,
    span: tuple[int, int] = (0, 1 << 64),
    header: SequenceHeader | None = None,
) -> list[GopEntry]:
    """Transfer gop_index() (SPEC 5.13). GoPs must lie in the bytes of `span` and be as short as `header` says."""
    v: Values = {} if entries is None else {"gop_count": len(entries)}
    count = fields.field(v, "gop_count", UVAR)
    if fields.reading:
        validate.bytes_are_there(fields.place, ENTRY_LEAST * count, fields.remaining)
    out: list[GopEntry] = []
    end = frame = 0
    for i in range(count):
        names = f"offset_delta[{i}]", f"length[{i}]", f"frame_count[{i}]", f"entry_delta[{i}]"
        w: Values = {}
        if entries is not None:
            entry = entries[i]
            w = dict(zip(names, (entry.offset - end, entry.length, entry.frame_count, entry.entry_delta), strict=True))
        fields.field(w, names[0], UVAR64)
        fields.field(w, names[1], UVAR)
        start, end = end + w[names[0]], end + w[names[0]] + w[names[1]]
        validate_data.index_inside_file(fields.place, start, end, span)
        fields.field(w, names[2], UVAR)
        if header is not None:
            validate.gop_frame_count(fields.place, w[names[2]], header.max_gop_frames)
        fields.field(w, names[3], UVAR)
        validate_data.entry_delta(fields.place, w[names[3]], out[-1].entry_delta if out else -1)
        out.append(GopEntry(start, end - start, frame, w[names[2]], w[names[3]]))
        check_entry(out, header, fields.place)
        frame += w[names[2]]
    return out


def check_entry(table: Sequence[GopEntry], header: SequenceHeader | None, at: Place) -> None:
    """FormatError if the last GoP of `table` is farther from where its chain is entered than `header` says."""
    if header is not None:
        distance = table[-1].end_frame - table[-1 - table[-1].entry_delta].first_frame
        validate.entry_is_near(at, distance, header.max_entry_distance)
