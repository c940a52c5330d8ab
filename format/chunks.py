# SPDX-License-Identifier: MIT
"""Signature, chunk framing and the index (SPEC 5.2, 5.3, 5.13).

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from . import validate, validate_data
from .schema import UVAR, UVAR64, FieldStream, Values

SIGNATURE = bytes((0x89, 0x47, 0x53, 0x56, 0x0D, 0x0A, 0x1A, 0x0A))
VERSION = (0, 1)
CRITICAL = 1
SEQH, GOPD, INDX, ENDF = "SEQH", "GOPD", "INDX", "ENDF"
KNOWN = (SEQH, GOPD, INDX, ENDF)
FRAMING = 13  # type, flags, length, CRC
PREAMBLE = len(SIGNATURE) + 2
END_LENGTH = FRAMING + 8


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


@dataclass(frozen=True)
class GopEntry:
    """One line of the index: the chunk of a GoP and the frames it holds."""

    offset: int
    length: int
    first_frame: int
    frame_count: int


def write_chunk(kind: str, payload: bytes, flags: int = CRITICAL) -> bytes:
    """Type, flags, length, payload, CRC."""
    body = kind.encode("latin-1") + bytes((flags,)) + len(payload).to_bytes(4, "little") + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


def index_entries(
    fields: FieldStream,
    entries: Sequence[GopEntry] | None,
    span: tuple[int, int] = (0, 1 << 64),
    most_frames: int = 1 << 32,
) -> list[GopEntry]:
    """Transfer gop_index() (SPEC 5.13). GoPs must lie in the bytes of `span` and hold at most `most_frames` frames."""
    v: Values = {} if entries is None else {"gop_count": len(entries)}
    count = fields.field(v, "gop_count", UVAR)
    if fields.reading:
        validate.bytes_are_there(fields.place, 3 * count, fields.remaining)
    out: list[GopEntry] = []
    end = frame = 0
    for i in range(count):
        names = f"offset_delta[{i}]", f"length[{i}]", f"frame_count[{i}]"
        w: Values = {}
        if entries is not None:
            entry = entries[i]
            w = dict(zip(names, (entry.offset - end, entry.length, entry.frame_count), strict=True))
        fields.field(w, names[0], UVAR64)
        fields.field(w, names[1], UVAR)
        start, end = end + w[names[0]], end + w[names[0]] + w[names[1]]
        validate_data.index_inside_file(fields.place, start, end, span)
        fields.field(w, names[2], UVAR)
        validate.gop_frame_count(fields.place, w[names[2]], most_frames)
        out.append(GopEntry(start, end - start, frame, w[names[2]]))
        frame += w[names[2]]
    return out
