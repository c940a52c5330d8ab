# SPDX-License-Identifier: MIT
"""The file as a whole: written front to back, opened by its ends, any GoP read alone (SPEC 4, 5.2, 5.14).

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

from . import validate, validate_data
from .accounting import GopBits
from .chunks import (
    CRITICAL,
    END_LENGTH,
    ENDF,
    FRAMING,
    GOPD,
    INDX,
    KNOWN,
    PREAMBLE,
    SEQH,
    SIGNATURE,
    VERSION,
    Chunk,
    GopEntry,
    index_entries,
    write_chunk,
)
from .dequant import dequantise
from .errors import Place
from .gop import read_gop, read_gop_header, write_gop
from .limits import Limits
from .records import GopRecord, SequenceHeader
from .schema import LE64, Entry, FieldStream, Values
from .sequence import sequence_header


class ContainerWriter:
    """Writes a file front to back. The caller opens, closes and renames; `close` here ends the stream."""

    def __init__(self, file: BinaryIO, header: SequenceHeader) -> None:
        self.header = header
        self.entries: list[GopEntry] = []
        self.bits = GopBits()  # of the GoPs' payloads
        self._file, self._offset = file, 0
        fields = FieldStream(chunk="SEQH to be written")
        sequence_header(fields, header)
        self._write(SIGNATURE + bytes(VERSION))
        self._write(write_chunk(SEQH, fields.getvalue()))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._offset += len(data)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._offset

    def add_gop(self, record: GopRecord) -> GopEntry:
        """Code and append one GoP; GoPs come in display order."""
        payload, bits = write_gop(record, self.header)
        self.bits += bits
        return self.add_payload(payload, record.frame_count)

    def add_payload(self, payload: bytes, frame_count: int) -> GopEntry:
        """Append a GOPD payload made by write_gop."""
        first = self.entries[-1].first_frame + self.entries[-1].frame_count if self.entries else 0
        entry = GopEntry(self._offset, len(payload) + FRAMING, first, frame_count)
        self._write(write_chunk(GOPD, payload))
        self.entries.append(entry)
        return entry

    def add_ancillary(self, kind: str, payload: bytes) -> None:
        """Append a chunk that decoders skip."""
        self._write(write_chunk(kind, payload, flags=0))

    def close(self) -> int:
        """Write index and end; returns the size of the file. FormatError if frames are missing."""
        covered = sum(entry.frame_count for entry in self.entries)
        validate.frames_are_covered(Place(self._offset), covered, self.header.frame_count)
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


class ContainerReader:
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
        self._check_signature()
        first = self.chunk_at(PREAMBLE)
        validate.chunk_order(Place(PREAMBLE), first.kind, "")
        fields = self._payload_stream(first)
        self.header = sequence_header(fields, None, self.limits)
        fields.finish()
        self._open_index(first.offset + first.length)

    def _check_signature(self) -> None:
        found = self.read_at(0, PREAMBLE)
        validate.signature(Place(0), found[: len(SIGNATURE)], SIGNATURE)
        validate.bytes_are_there(Place(0), PREAMBLE, len(found))
        validate.version(Place(8), found[8], found[9], VERSION)

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
        fields = self._payload_stream(index)
        self.gop_table = tuple(index_entries(fields, None, (low, index.offset), self.header.max_gop_frames))
        fields.finish()
        frames = sum(entry.frame_count for entry in self.gop_table)
        validate_data.index_frames(fields.place, frames, self.header.frame_count)

    @property
    def gop_count(self) -> int:
        """Number of GoPs."""
        return len(self.gop_table)

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes of the file from `offset`."""
        self._file.seek(offset)
        return self._file.read(length)

    def chunk_at(self, offset: int) -> Chunk:
        """The chunk header at `offset`; flags, type and length are checked, the CRC is not."""
        at = Place(offset)
        validate.bytes_are_there(at, FRAMING, self.size - offset)
        head = self.read_at(offset, 9)
        kind, flags = head[:4].decode("latin-1"), head[4]
        chunk = Chunk(kind, flags, offset, int.from_bytes(head[5:], "little"))
        at = Place(offset, f"chunk {kind!r}" if kind not in KNOWN else kind)
        validate.chunk_flags(at, flags)
        validate.chunk_type_is_known(at, kind, bool(flags & CRITICAL), kind in KNOWN)
        validate.known_chunk_is_critical(at, kind, bool(flags & CRITICAL), kind in KNOWN)
        validate.bytes_are_there(at, chunk.length, self.size - offset)
        return chunk

    def payload(self, chunk: Chunk, name: str = "") -> bytes:
        """The payload of a chunk whose CRC is right. Raises FormatError, LimitError."""
        self.limits.check("chunk_bytes", chunk.payload_length)
        body = self.read_at(chunk.offset, chunk.length)
        at = Place(chunk.offset, name or chunk.kind)
        validate.bytes_are_there(at, chunk.length, len(body))
        validate.chunk_crc(at, int.from_bytes(body[-4:], "little"), zlib.crc32(body[:-4]))
        return body[9:-4]

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

    def read_gop(self, index: int) -> GopRecord:
        """GoP `index` (0-based) as integers. Raises FormatError, LimitError, IndexError."""
        return self.read_gop_bits(index)[0]

    def read_gop_bits(self, index: int, trace: list[Entry] | None = None) -> tuple[GopRecord, GopBits]:
        """GoP `index` and the bits of its payload by component; `trace` receives every field."""
        entry, chunk = self.gop_table[index], self.gop_chunk(index)
        name = f"GoP {index}"
        payload = self.payload(chunk, name)
        offset = chunk.payload_offset
        record, bits = read_gop(payload, self.header, self.limits, offset=offset, chunk=name, trace=trace)
        at = Place(offset, name)
        validate_data.index_matches(at, "first_frame", record.first_frame, entry.first_frame)
        validate_data.index_matches(at, "frame_count", record.frame_count, entry.frame_count)
        return record, bits

    def gop_of_frame(self, frame: int) -> int:
        """The index of the GoP that holds frame `frame`."""
        low, high = 0, self.gop_count
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.gop_table[middle].first_frame <= frame else (low, middle)
        return low

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
        covered, last = 0, None
        for chunk in self.chunks():
            if chunk.kind == GOPD:
                covered, last = self._check_header(chunk, covered, last)

    def verify(self) -> None:
        """Check every byte: `verify_headers`, and everything in every GoP. Raises FormatError at the first fault."""
        self.verify_headers()
        for index, entry in enumerate(self.gop_table):
            dequantise(self.read_gop(index), at=Place(entry.offset, f"GoP {index}"))

    def _check_header(self, chunk: Chunk, covered: int, last: int | None) -> tuple[int, int | None]:
        """Check that a GoP goes on where `covered` frames and time stamp `last` end; what it ends with itself."""
        name = f"GoP at frame {covered}"
        payload, offset = self.payload(chunk, name), chunk.payload_offset
        header = read_gop_header(payload, self.header, self.limits, offset=offset, chunk=name)
        place = Place(offset, name)
        validate.frames_are_covered(place, header.first_frame, covered)
        if header.pts is not None:
            if last is not None:
                validate.time_stamps_rise(place, last, header.pts[0])
            last = header.pts[-1]
        return covered + header.frame_count, last

    def close(self) -> None:
        """Close the file if this reader opened it."""
        if self._own:
            self._file.close()

    def __enter__(self) -> ContainerReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
