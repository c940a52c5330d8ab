# SPDX-License-Identifier: MIT
"""A file read front to back without its index: from a pipe, a socket, or while it is still being written.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

from . import validate, validate_data
from .chunks import (
    ANCILLARY,
    COPY,
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
    Chunk,
    GopEntry,
    check_preamble,
    checked_payload,
    index_entries,
    read_chunk_header,
)
from .errors import FormatError, LimitError, Place
from .faults import Fault, fault_of, told_of_copy
from .limits import Limits
from .media import MediaOrder
from .resync import ENDLESS, PutBackFile
from .schema import LE64, FieldStream
from .sequence import sequence_header
from .source import GopOrder, GopSource

MOST_FAULTS = 1000  # then the rest counts as lost
KEPT = 2  # payloads that can be asked for again


class SequentialReader(GopSource):
    """GoPs in order, each as soon as it is whole; `gop_table` grows. Everything that is read is checked.

    `file` needs only `read`. The chunk ENDF ends the stream; nothing is read beyond it. `lenient`: a damaged chunk
    becomes an entry of `faults` and is passed over up to the next whole one; at a cut the stream just ends. A copy
    stands in for a damaged sequence header where it comes before the first GoP: there is no going back to one.
    Raises FormatError, LimitError, OSError.
    """

    sequential = True
    _order: GopOrder  # from the sequence header on

    def __init__(self, file: BinaryIO, limits: Limits | None = None, *, lenient: bool = False) -> None:
        self.limits, self.lenient = limits or Limits(), lenient
        self.size = 0
        self.gop_table: list[GopEntry] = []
        self.faults: list[Fault] = []
        self.ended = False
        self._file, self._before = PutBackFile(file), ""
        self._index: Chunk | None = None
        self._payloads: OrderedDict[int, tuple[bytes, int]] = OrderedDict()
        self._media, self._media_bytes = MediaOrder(None), 0
        self._ancillary: dict[int | None, list[tuple[Chunk, bytes]]] = {}  # by the GoP that follows
        self._begun = False
        check_preamble(self._take(PREAMBLE))
        while not self._begun:
            self._next()
            if not self._begun and (self.ended or self._before == GOPD):
                self._refuse_to_begin()

    def _refuse_to_begin(self) -> NoReturn:
        first = next((fault for fault in self.faults if fault.offset == PREAMBLE), None)
        what, code = (first.message, first.code) if first else ("there is no SEQH chunk", "C-6.2-3")
        hint = "a stream has no way back to the GoPs before a copy of it: save it as a file to see what is left"
        raise FormatError(f"{what}; {hint}", offset=PREAMBLE, code=code, chunk=SEQH)

    def _take(self, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end."""
        data = self._file.take(length)
        self.size = self._file.offset
        return data

    def _chunk(self) -> tuple[Chunk, bytes]:
        """The next chunk and its payload. After an error what was taken of it is in `_body`."""
        self.ended, self._kind, offset = True, "", self.size
        self._body = self._take(FRAMING - 4)
        validate.file_ends_with_end(Place(offset), bool(self._body))
        validate.bytes_are_there(Place(offset), FRAMING - 4, len(self._body))
        chunk = read_chunk_header(self._body, offset, ENDLESS)
        self._kind = chunk.kind
        self._check_length(chunk)
        self._body += self._take(chunk.length - len(self._body))
        validate.bytes_are_there(Place(offset, chunk.kind), chunk.length, len(self._body))
        payload = checked_payload(chunk, self._body)
        self.ended, self._body = False, b""
        return chunk, payload

    def _check_length(self, chunk: Chunk) -> None:
        """Raise LimitError for a chunk that is too long; where damage is passed over, FormatError: it may be a lie."""
        try:
            self.limits.check("chunk_bytes", chunk.payload_length)
        except LimitError as error:
            if not self.lenient:
                raise
            raise FormatError(str(error), offset=chunk.offset, chunk=chunk.kind) from None

    def _pass_over(self) -> None:
        """After an error in a chunk's framing or CRC, go on to the next whole one: behind it if its length is right."""
        body, self._body = self._body, b""
        is_whole = len(body) >= FRAMING and len(body) == FRAMING + int.from_bytes(body[5:9], "little")
        self.ended = False
        if not (is_whole and self._file.is_beginning()):
            self._file.put_back(body[1:])
            self.ended = not self._file.find_chunk(self.limits.chunk_bytes)
        self.size = self._file.offset

    def advance(self) -> bool:
        """Read until one more GoP is whole; False if the stream has ended."""
        known = self.gop_count
        while not self.ended and self.gop_count == known:
            self._next()
        return self.gop_count > known

    def _next(self) -> None:
        """Take the next chunk; where `lenient`, one that is damaged becomes a fault."""
        offset = self.size
        try:
            self._step(*self._chunk())
        except FormatError as error:
            if not self.lenient:
                raise
            if self._body:
                self._pass_over()
            self.faults.append(fault_of(error, offset, self.size - offset, self._kind))
            self.ended |= len(self.faults) >= MOST_FAULTS

    def _step(self, chunk: Chunk, payload: bytes) -> None:
        if not self.lenient and (chunk.kind in KNOWN or not self._begun):
            validate.chunk_order(Place(chunk.offset), chunk.kind, self._before)
        self._media.see(chunk, payload)
        if chunk.kind in ANCILLARY:
            held = self._ancillary.setdefault(self.gop_count, [])
            held.append((chunk, payload))
            self.limits.check("memory", sum(one.length + ENTRY_BYTES for one, _ in held))
            self._media_bytes += chunk.length if chunk.kind in MEDIA else 0
        if not self._begun and chunk.kind in (SEQH, COPY):
            self._take_header(chunk, payload)
        if chunk.kind not in KNOWN:
            return
        self._before = chunk.kind
        if not self._begun:
            return  # nothing can be shown as yet
        if chunk.kind == GOPD:
            self._add_gop(chunk, payload)
        elif chunk.kind == INDX:
            self._index = chunk
            self._check_index(chunk, payload)
        elif chunk.kind == ENDF:
            self.ended = True
            self._check_end(chunk, payload)

    def _take_header(self, chunk: Chunk, payload: bytes) -> None:
        """The sequence header in a SEQH chunk or a copy."""
        fields = FieldStream(payload, offset=chunk.payload_offset, chunk=chunk.kind)
        self.header = self._media.header = sequence_header(fields, None, self.limits)
        fields.finish()
        self._order, self._begun = GopOrder(self.header, self.limits, lenient=self.lenient), True
        if chunk.kind == COPY:
            self.faults = told_of_copy(self.faults, chunk)

    def _add_gop(self, chunk: Chunk, payload: bytes) -> None:
        head = self._order.see(payload, chunk.payload_offset)
        index = self.gop_count
        self.gop_table.append(self.entry_after(chunk, head))
        self._payloads[index] = payload, chunk.payload_offset
        while len(self._payloads) > max(KEPT, len(self._undecoded(index))):
            self._ancillary.pop(self._payloads.popitem(last=False)[0] or None, None)
        self.limits.check("memory", sum(len(kept) for kept, _ in self._payloads.values()))
        if self.lenient:
            self._check_whole(index)

    def _undecoded(self, index: int) -> range:
        """The GoPs that it still takes to decode GoP `index`."""
        chain = self.gops_to_enter(index)
        known = [gop for gop in chain if self._decoded and self._decoded[0] == self.gop_table[gop]]
        return range(known[0], index + 1) if known else chain

    def _check_whole(self, index: int) -> None:
        """Take a GoP that cannot be decoded out of the table again."""
        try:
            self.check_gop(index)
        except FormatError:
            self.gop_table.pop()
            self._payloads.popitem()
            raise

    def _check_index(self, chunk: Chunk, payload: bytes) -> None:
        self.limits.check("memory", ENTRY_BYTES * (chunk.payload_length // ENTRY_LEAST))
        fields = FieldStream(payload, offset=chunk.payload_offset, chunk=INDX)
        entries = index_entries(fields, None, (PREAMBLE, chunk.offset), self.header)
        fields.finish()
        frames = sum(entry.frame_count for entry in entries)
        validate_data.index_frames(fields.place, frames, self.header.frame_count)
        if self.faults:
            return
        validate_data.index_matches(fields.place, "number of GOPD chunks", self.gop_count, len(entries))
        for found, entry in zip(self.gop_table, entries, strict=True):
            validate_data.index_matches(Place(found.offset), "GOPD chunk", str(found), str(entry))

    def _check_end(self, chunk: Chunk, payload: bytes) -> None:
        fields = FieldStream(payload, offset=chunk.payload_offset, chunk=ENDF)
        offset = fields.field({}, "index_offset", LE64)
        fields.finish()
        index = self._index
        validate_data.index_is_there(fields.place, INDX if index and offset == index.offset else "nothing")
        if index:
            end = index.offset + index.length
            validate_data.index_matches(Place(index.offset), "end of the INDX chunk", end, chunk.offset)
        if not self.lenient:
            validate.frames_are_covered(fields.place, self._order.covered, self.header.frame_count)

    def verify_rest(self) -> None:
        """See GopSource: read on to the end."""
        while self.advance():
            pass

    def indices(self) -> Iterator[int]:
        """See GopSource."""
        index = 0
        while index < self.gop_count or self.advance():
            yield index
            index += 1

    def gop_of_frame(self, frame: int) -> int:
        """See GopSource; reads on until the GoP is whole."""
        while self._order.covered <= frame and self.advance():
            pass
        return super().gop_of_frame(frame)

    def gop_payload(self, index: int) -> tuple[bytes, int]:
        """See GopSource; ValueError for a GoP that has gone by."""
        while index >= self.gop_count and self.advance():
            pass
        if index < self.gop_count and index not in self._payloads:
            raise ValueError(f"GoP {index} has gone by: a stream is read once, front to back")
        if index not in self._payloads:
            raise IndexError(f"GoP {index}: the stream has {self.gop_count}")
        return self._payloads[index]

    @property
    def media_bytes(self) -> int:
        """See GopSource."""
        return self._media_bytes

    def ancillary(self, index: int) -> list[tuple[Chunk, bytes]]:
        """See GopSource; those of a GoP that has gone by are gone too, but for the first one's."""
        while index >= self.gop_count and self.advance():
            pass
        return self._ancillary.get(index, [])

    def close(self) -> None:
        """See GopSource; the file belongs to the caller."""
