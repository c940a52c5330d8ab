# SPDX-License-Identifier: MIT
"""What is left of a damaged or unfinished file: every chunk that is whole, and what is wrong with the rest.

Where the length of a damaged chunk cannot be trusted the next one is searched for byte by byte.
Imports the standard library and the format's own modules.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace

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
    PACK,
    PREAMBLE,
    SEQH,
    VERSION,
    Chunk,
    GopEntry,
    check_preamble,
    index_entries,
)
from .container import ContainerReader
from .errors import FormatError, Place
from .faults import Fault, fault_of, told_of_copy
from .media import MediaOrder
from .sequence import sequence_header
from .source import GopOrder

MOST_FAULTS = 1000  # then the rest of the file counts as lost
PIECE = 1 << 20  # bytes read at once
_BEGINNING = re.compile(rb"(?:SEQH|GOPD|INDX|ENDF)\x01|[A-Za-z]{4}\x00")


class NothingLeftError(FormatError):
    """Neither the sequence header nor a copy of it survives; `faults` says what else is wrong."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        what = f" ({faults[0].message})" if faults else ""
        message = f"no sequence header is left, and no copy of it, so nothing can be shown{what}"
        super().__init__(message, offset=PREAMBLE, code="C-6.2-3", chunk=SEQH)


class SalvagedReader(ContainerReader):
    """The undamaged GoPs of a file, whatever became of the rest; `faults` names every damaged chunk.

    Every GoP is decoded once on opening, to know that it can be. Raises NothingLeftError, FormatError if the file is of
    another version, LimitError, OSError.
    """

    faults: list[Fault]
    _order: GopOrder | None
    _copy: Chunk | None

    def _open(self) -> None:
        self._read_through(None)
        if self._order is None and self._copy is not None:  # GoPs have gone by that could not be read yet
            self._read_through(self._copy)
        if self._order is None:
            raise NothingLeftError(self.faults)
        self._check_end()
        self.faults = self._told_frames()

    def _read_through(self, copy: Chunk | None) -> None:
        """Take what is whole, front to back; `copy` stands in for the sequence header where that is lost."""
        self.faults = []
        self.gop_table: list[GopEntry] = []  # type: ignore[assignment]
        self._indexed: list[GopEntry] = []
        self._order = None
        self._media, self._ancillary_count = MediaOrder(None), 0
        self._ancillary: dict[int, list[Chunk]] = {}  # by the GoP that follows
        self._before, self._index_offset, self._copy = "", -1, copy
        self._to_spare = 16 * self.size + (1 << 26)  # bytes of CRC for beginnings that may be none
        self._check_beginning()
        if copy is not None:
            self._take_header(copy)
        for chunk in self._whole_chunks():
            try:
                (self._take if chunk.kind in KNOWN else self._take_ancillary)(chunk)
            except FormatError as error:
                self.faults.append(fault_of(error, chunk.offset, chunk.length, chunk.kind))
        if copy is not None:
            self.faults = told_of_copy(self.faults, copy)

    def verify_headers(self) -> None:
        """Nothing more to check: all of it was read on opening."""

    def _check_beginning(self) -> None:
        found = self.read_at(0, PREAMBLE)
        try:
            check_preamble(found)
        except FormatError as error:
            if error.code == "C-6.2-2" and tuple(found[8:]) != VERSION:
                raise  # the signature is whole: this is another version, not damage
            self.faults.append(fault_of(error, 0, len(found), ""))

    def _whole_chunks(self) -> Iterator[Chunk]:
        """Every chunk whose framing and CRC are right, front to back; the others become faults."""
        offset = PREAMBLE
        while offset < self.size and len(self.faults) < MOST_FAULTS:
            try:
                chunk = self.chunk_at(offset)
                self._check_crc(chunk)
            except FormatError as error:
                end = self._next_beginning(offset)
                self.faults.append(fault_of(error, offset, end - offset, self._kind_at(offset)))
                offset = end
            else:
                yield chunk
                offset += chunk.length

    def _check_crc(self, chunk: Chunk) -> None:
        """Check the CRC piece by piece: chunks that nobody asks for may be larger than memory."""
        computed, offset, end = 0, chunk.offset, chunk.offset + chunk.length - 4
        while offset < end:
            piece = self.read_at(offset, min(PIECE, end - offset))
            validate.bytes_are_there(Place(offset, chunk.kind), 1, len(piece))
            computed = zlib.crc32(piece, computed)
            offset += len(piece)
        found = int.from_bytes(self.read_at(end, 4), "little")
        validate.chunk_crc(Place(chunk.offset, chunk.kind), found, computed)

    def _kind_at(self, offset: int) -> str:
        kind = self.read_at(offset, 4).decode("latin-1")
        return kind if kind in KNOWN or kind in ANCILLARY else ""

    def _next_beginning(self, offset: int) -> int:
        """Where the chunk after the damaged one at `offset` begins; the file's size if none does."""
        end = self._end_of(offset)
        if end and (end == self.size or _BEGINNING.match(self.read_at(end, 5))):
            return end
        return next((place for place in self._beginnings(offset + 1) if self._is_chunk(place)), self.size)

    def _end_of(self, offset: int) -> int:
        """The end of what looks like a chunk at `offset` and lies inside the file; 0 if nothing does."""
        head = self.read_at(offset, FRAMING - 4) if offset else b""
        if len(head) < FRAMING - 4 or not _BEGINNING.match(head):
            return 0
        end = offset + FRAMING + int.from_bytes(head[5:], "little")
        return end if end <= self.size else 0

    def _is_chunk(self, offset: int) -> bool:
        end = self._end_of(offset)
        if not end or end == self.size or self._end_of(end):
            return bool(end)
        self._to_spare -= end - offset
        if self._to_spare < 0:
            return False
        try:
            self._check_crc(self.chunk_at(offset))
        except FormatError:
            return False
        return True

    def _beginnings(self, offset: int) -> Iterator[int]:
        """Every place from `offset` on where bytes stand that a chunk could begin with."""
        while offset < self.size:
            piece = self.read_at(offset, PIECE + 4)
            for found in _BEGINNING.finditer(piece):
                if found.start() < PIECE:
                    yield offset + found.start()
            offset += PIECE

    def _take(self, chunk: Chunk) -> None:
        """Note what a whole chunk holds. FormatError if it breaks a rule."""
        if not self.faults and self._copy is None:
            validate.chunk_order(Place(chunk.offset), chunk.kind, self._before)
        self._before = chunk.kind
        self._media.see(chunk, b"")
        if chunk.kind == GOPD:
            self._take_gop(chunk)
        elif chunk.kind == ENDF:
            at = Place(chunk.offset, ENDF)
            validate.file_ends_with_end(at, chunk.offset + chunk.length == self.size)
        elif chunk.kind == SEQH:
            self._take_header(chunk)
        elif chunk.kind == INDX and self._order is not None:
            self._take_index(chunk)

    def _take_header(self, chunk: Chunk) -> None:
        """The sequence header in a SEQH chunk or a copy; the first one counts."""
        fields = self._payload_stream(chunk)
        header = sequence_header(fields, None, self.limits if self._order is None else None)
        fields.finish()
        if self._order is None:
            self.header = self._media.header = header
            self._order = GopOrder(header, self.limits, lenient=True)

    def _take_index(self, chunk: Chunk) -> None:
        self.limits.check("memory", ENTRY_BYTES * (chunk.payload_length // ENTRY_LEAST))
        fields = self._payload_stream(chunk)
        self._indexed = index_entries(fields, None, (PREAMBLE, chunk.offset), self.header)
        self._index_offset = chunk.offset
        fields.finish()

    def _take_ancillary(self, chunk: Chunk) -> None:
        is_lost = chunk.kind == PACK and bool(self.faults) and not self._media.media.streams
        if chunk.kind not in ANCILLARY or is_lost:  # packets mean nothing without the chunk that names their streams
            return
        self._media.see(chunk, self.payload(chunk))
        if chunk.kind == COPY and self._copy is None and self._order is None:
            self._copy = chunk
        self._ancillary.setdefault(self.gop_count, []).append(chunk)
        self._ancillary_count += 1
        self.limits.check("memory", ENTRY_BYTES * self._ancillary_count)

    def _ancillary_chunks(self, index: int) -> Iterator[Chunk]:
        return iter(self._ancillary.get(index, ()))

    def _take_gop(self, chunk: Chunk) -> None:
        if self._order is None:
            return  # a fault says so already
        head = self._order.see(self.payload(chunk), chunk.payload_offset)
        index = self.gop_count
        self.gop_table.append(self.entry_after(chunk, head))
        try:
            self.check_gop(index)
        except FormatError:
            self.gop_table.pop()
            raise

    def _check_end(self) -> None:
        """Faults of what should be there but is not, where no other fault says so already."""
        if self._before != ENDF and not any(fault.kind == ENDF for fault in self.faults):
            message = "the file does not end with an ENDF chunk (cut off, or still being written)"
            self.faults.append(Fault(self.size, 0, ENDF, message, "C-6.2-4"))
        known = {entry.offset: entry for entry in self._indexed}
        for entry in self.gop_table if known else ():
            if known.get(entry.offset) != entry:
                message = f"the index does not name the GOPD chunk at byte {entry.offset:#x} as it is"
                self.faults.append(Fault(self._index_offset, 0, INDX, message, "C-6.13-3"))
                break
        if not self.faults:
            self._check_strictly()

    def _check_strictly(self) -> None:
        """The rules that only bind a whole file: index and end agree with what was found."""
        try:
            whole = ContainerReader(self._file, self.limits)
            whole.verify_headers()
            validate_data.index_matches(Place(0), "number of GOPD chunks", whole.gop_count, self.gop_count)
        except FormatError as error:
            self.faults.append(fault_of(error, error.offset or 0, 0, ""))

    def _told_frames(self) -> list[Fault]:
        """The faults with the frames they may have cost: one per lost GoP of the index, else what neighbours leave."""
        found = {entry.first_frame for entry in self.gop_table}
        offsets = [entry.offset for entry in self.gop_table]
        indexed = [entry.offset for entry in self._indexed]
        told: list[Fault] = []
        for fault in self.faults:
            if fault.kind not in (GOPD, "") or not fault.length or fault.offset < PREAMBLE:
                told.append(fault)
                continue
            end = fault.offset + fault.length
            hit = self._indexed[max(bisect_right(indexed, fault.offset) - 1, 0) : bisect_left(indexed, end)]
            lost = [
                replace(fault, offset=e.offset, length=e.length, kind=GOPD, frames=(e.first_frame, e.end_frame))
                for e in hit
                if e.first_frame not in found and fault.offset < e.offset + e.length
            ]
            place = bisect_left(offsets, fault.offset)
            told += lost or [self._between(fault, place)]
        return told

    def _between(self, fault: Fault, place: int) -> Fault:
        """The fault with the frames that the GoPs around it leave open; `place`: how many GoPs come before it."""
        before = self.gop_table[place - 1].end_frame if place else 0
        after = self.gop_table[place].first_frame if place < self.gop_count else self.header.frame_count
        return replace(fault, frames=(before, after)) if before < after else fault
