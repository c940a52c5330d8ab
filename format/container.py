# SPDX-License-Identifier: MIT
"""The file as a whole: written front to back, opened by its ends, any GoP read alone (SPEC 4, 5.2, 5.14).

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from functools import cached_property
from typing import BinaryIO

from . import validate, validate_data
from .accounting import GopBits
from .chunks import (
    ANCILLARY,
    COPY,
    END_LENGTH,
    ENDF,
    ENTRY_BYTES,
    ENTRY_LEAST,
    FRAMING,
    GOPD,
    INDX,
    KNOWN,
    MEDIA,
    PREAMBLE,
    SEQH,
    SIGNATURE,
    VERSION,
    Chunk,
    GopEntry,
    check_entry,
    check_preamble,
    checked_payload,
    index_entries,
    read_chunk_header,
    write_chunk,
)
from .errors import Place
from .gop import write_gop
from .limits import Limits
from .media import MediaOrder
from .records import REFERENCE_PREVIOUS, GopRecord, SequenceHeader
from .schema import LE64, Entry, FieldStream, Values
from .sequence import sequence_header, write_sequence_header
from .source import GopOrder, GopSource


class ContainerWriter:
    """Writes a file front to back; a GoP may be predicted from the one added before it.

    The caller opens, closes and renames; `close` here ends the stream.
    """

    def __init__(self, file: BinaryIO, header: SequenceHeader) -> None:
        self.header = header
        self.entries: list[GopEntry] = []
        self.bits = GopBits()  # of the GoPs' payloads
        self.media_bytes = 0  # of sound and subtitles, which bpp leaves out
        self._file, self._offset = file, 0
        self._last: GopRecord | None = None
        payload = write_sequence_header(header)
        self._write(SIGNATURE + bytes(VERSION))
        self._write(write_chunk(SEQH, payload))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._offset += len(data)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._offset

    @property
    def frame_count(self) -> int:
        """Frames written so far."""
        return self.entries[-1].end_frame if self.entries else 0

    def add_gop(self, record: GopRecord) -> GopEntry:
        """Code and append one GoP; GoPs come in display order. Raises FormatError, ValueError as write_gop."""
        payload, bits = write_gop(record, self.header, self._last)
        entry = self.add_payload(payload, record.frame_count, predicted=record.reference_mode == REFERENCE_PREVIOUS)
        self.bits += bits
        self._last = record
        return entry

    def add_payload(self, payload: bytes, frame_count: int, *, predicted: bool = False) -> GopEntry:
        """Append a GOPD payload made by write_gop, `predicted` from the GoP before or not."""
        at = Place(self._offset, "GoP to be written")
        validate.reference_is_there(at, bool(self.entries) or not predicted)
        delta = self.entries[-1].entry_delta + 1 if predicted else 0
        entry = GopEntry(self._offset, len(payload) + FRAMING, self.frame_count, frame_count, delta)
        check_entry([*self.entries[-delta:], entry] if delta else [entry], self.header, at)
        self._last = None
        self._write(write_chunk(GOPD, payload))
        self.entries.append(entry)
        return entry

    def add_ancillary(self, kind: str, payload: bytes) -> None:
        """Append a chunk that a decoder may skip."""
        chunk = write_chunk(kind, payload, flags=0)
        self.media_bytes += len(chunk) if kind in MEDIA else 0
        self._write(chunk)

    def close(self, *, with_copy: bool = True) -> int:
        """Write a copy of the sequence header, index and end; returns the size of the file.

        The copy stands as far from the original as it can: what damages one is unlikely to reach the other.
        FormatError if frames are missing.
        """
        validate.frames_are_covered(Place(self._offset), self.frame_count, self.header.frame_count)
        if with_copy:
            self.add_ancillary(COPY, write_sequence_header(self.header))
        fields = FieldStream(chunk="INDX to be written")
        index_entries(fields, self.entries)
        index_offset = self._offset
        self._write(write_chunk(INDX, fields.getvalue()))
        self._write(write_chunk(ENDF, index_offset.to_bytes(8, "little")))
        return self._offset


def _open(source: str | os.PathLike[str] | BinaryIO | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    return open(source, "rb") if isinstance(source, (str, os.PathLike)) else source


class ContainerReader(GopSource):
    """Opens a file by its ends (header, index) and reads any GoP.

    `source` is a path, a seekable binary file (left open) or the bytes of a file.
    Raises FormatError, LimitError, OSError.
    """

    def __init__(self, source: str | os.PathLike[str] | BinaryIO | bytes, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._own = isinstance(source, (str, os.PathLike, bytes))
        self._file: BinaryIO = _open(source)
        try:
            self.size = self._file.seek(0, os.SEEK_END)
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        check_preamble(self.read_at(0, PREAMBLE))
        first = self.chunk_at(PREAMBLE)
        validate.chunk_order(Place(PREAMBLE), first.kind, "")
        fields = self._payload_stream(first)
        self.header = sequence_header(fields, None, self.limits)
        fields.finish()
        self._open_index(first.offset + first.length)

    def _open_index(self, low: int) -> None:
        at = Place(max(self.size - END_LENGTH, 0))
        end_kind = self.read_at(self.size - END_LENGTH, 4) if self.size >= low + END_LENGTH else b""
        validate.file_ends_with_end(at, end_kind == ENDF.encode())
        end = self.chunk_at(self.size - END_LENGTH)
        validate.file_ends_with_end(at, end.length == END_LENGTH)
        fields = self._payload_stream(end)
        v: Values = {}
        offset = fields.field(v, "index_offset", LE64)
        inside = low <= offset <= end.offset - FRAMING
        found = self.read_at(offset, 4).decode("latin-1") if inside else "nothing"
        validate_data.index_is_there(fields.place, found)
        index = self.chunk_at(offset)
        validate_data.index_matches(Place(offset), "end of the INDX chunk", index.offset + index.length, end.offset)
        self.limits.check("memory", ENTRY_BYTES * (index.payload_length // ENTRY_LEAST))
        fields = self._payload_stream(index)
        self.gop_table = tuple(index_entries(fields, None, (low, index.offset), self.header))
        fields.finish()
        frames = sum(entry.frame_count for entry in self.gop_table)
        validate_data.index_frames(fields.place, frames, self.header.frame_count)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes of the file from `offset`."""
        self._file.seek(offset)
        return self._file.read(length)

    def chunk_at(self, offset: int) -> Chunk:
        """The chunk header at `offset`; flags, type and length are checked, the CRC is not."""
        return read_chunk_header(self.read_at(offset, FRAMING - 4), offset, self.size - offset)

    def payload(self, chunk: Chunk, name: str = "") -> bytes:
        """The payload of a chunk whose CRC is right. Raises FormatError, LimitError."""
        self.limits.check("chunk_bytes", chunk.payload_length)
        return checked_payload(chunk, self.read_at(chunk.offset, chunk.length), name)

    def _payload_stream(self, chunk: Chunk, trace: list[Entry] | None = None) -> FieldStream:
        return FieldStream(self.payload(chunk), offset=chunk.payload_offset, chunk=chunk.kind, trace=trace)

    def gop_chunk(self, index: int) -> Chunk:
        """The chunk of GoP `index`, checked against the index."""
        entry = self.gop_table[index]
        chunk = self.chunk_at(entry.offset)
        at = Place(entry.offset, f"GoP {index}")
        validate_data.index_matches(at, "chunk type", chunk.kind, GOPD)
        validate_data.index_matches(at, "chunk length", chunk.length, entry.length)
        return chunk

    def gop_payload(self, index: int) -> tuple[bytes, int]:
        """See GopSource."""
        chunk = self.gop_chunk(index)
        return self.payload(chunk, f"GoP {index}"), chunk.payload_offset

    def _ancillary_chunks(self, index: int) -> Iterator[Chunk]:
        """Headers of the ancillary chunks of known types before GoP `index`, or after the last one."""
        offset = self.gop_table[index - 1].offset + self.gop_table[index - 1].length if index else PREAMBLE
        end = self.gop_table[index].offset if index < self.gop_count else self.size
        while offset < end:
            chunk = self.chunk_at(offset)
            if chunk.kind == INDX:
                return
            if chunk.kind in ANCILLARY:
                yield chunk
            offset += chunk.length

    def ancillary(self, index: int) -> list[tuple[Chunk, bytes]]:
        """See GopSource."""
        return [(chunk, self.payload(chunk)) for chunk in self._ancillary_chunks(index)]

    @cached_property
    def media_bytes(self) -> int:
        """See GopSource."""
        gaps = range(self.gop_count + 1)
        return sum(c.length for gap in gaps for c in self._ancillary_chunks(gap) if c.kind in MEDIA)

    def chunks(self) -> Iterator[Chunk]:
        """Walk the file front to back, checking order, coverage by the index, and every CRC."""
        offset, before, gop = PREAMBLE, "", 0
        while offset < self.size:
            chunk = self.chunk_at(offset)
            if chunk.kind in KNOWN:
                validate.chunk_order(Place(offset), chunk.kind, before)
                before = chunk.kind
            if chunk.kind == GOPD:
                known = gop < self.gop_count and self.gop_table[gop].offset == offset
                validate_data.index_matches(Place(offset), "GOPD chunk", offset, offset if known else "elsewhere")
                gop += 1
            self.payload(chunk)
            yield chunk
            offset += chunk.length
        validate_data.index_matches(Place(self.size), "number of GOPD chunks", gop, self.gop_count)

    def verify_headers(self) -> None:
        """Check all chunks, their CRCs and the headers of all GoPs, front to back.

        Raises FormatError at the first fault.
        """
        order, media = GopOrder(self.header, self.limits), MediaOrder(self.header)
        for chunk in self.chunks():
            if chunk.kind in KNOWN or chunk.kind in ANCILLARY:
                media.see(chunk, self.payload(chunk) if chunk.kind in ANCILLARY else b"")
            if chunk.kind == GOPD:
                order.see(self.payload(chunk), chunk.payload_offset)

    def close(self) -> None:
        """Close the file if this reader opened it."""
        if self._own:
            self._file.close()
