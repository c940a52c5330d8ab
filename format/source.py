# SPDX-License-Identifier: MIT
"""What every way of reading a file offers a decoder: the header, the GoPs it knows of, and what one GoP needs.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from . import validate, validate_data
from .accounting import GopBits
from .chunks import Chunk, GopEntry, check_entry
from .dequant import dequantise
from .errors import Place
from .gop import read_gop, read_gop_header
from .gop_header import GopHeader
from .limits import Limits
from .records import GopRecord, SequenceHeader
from .schema import Entry


class GopSource(ABC):
    """GoPs of one file by number, 0-based in display order.

    `gop_table` has the GoPs that are known: all of a file with an index, those that have gone by of a stream, the
    undamaged ones of a damaged file. Methods raise FormatError, LimitError, OSError.
    """

    header: SequenceHeader
    limits: Limits
    gop_table: Sequence[GopEntry]
    size: int  # bytes of the file; of a stream, those read so far
    sequential = False  # read front to back, once: GoPs come in order and earlier ones are gone
    _decoded: tuple[GopEntry, GopRecord, GopBits] | None = None  # the last GoP that was read

    @abstractmethod
    def gop_payload(self, index: int) -> tuple[bytes, int]:
        """The payload of GoP `index`, its CRC checked, and the byte of the file at which it starts."""

    @property
    def gop_count(self) -> int:
        """Number of GoPs that are known."""
        return len(self.gop_table)

    @property
    def end_frame(self) -> int:
        """The frame after the last one that a known GoP holds."""
        return self.gop_table[-1].end_frame if self.gop_table else 0

    def verify_headers(self) -> None:  # noqa: B027
        """Check what can be checked before any GoP is read: the whole file, where it can be read twice."""

    def verify_rest(self) -> None:  # noqa: B027
        """Check what comes behind the GoPs that have been read, where only reading on can tell."""

    def verify(self) -> None:
        """Check every byte: `verify_headers`, and everything in every GoP. Raises FormatError at the first fault."""
        self.verify_headers()
        for index in self.indices():
            self.check_gop(index)

    def check_gop(self, index: int) -> GopBits:
        """Decode GoP `index` down to its float32 parameters; returns its bits. Raises FormatError, LimitError."""
        record, bits = self.read_gop_bits(index)
        dequantise(record, at=Place(self.gop_table[index].offset, f"GoP {index}"))
        return bits

    def indices(self) -> Iterator[int]:
        """The numbers of all GoPs, in order; a stream is read to its end on the way."""
        return iter(range(self.gop_count))

    def gop_of_frame(self, frame: int) -> int:
        """The GoP that holds `frame`; where that one is missing the last known one before it, or else the first."""
        low, high = 0, self.gop_count
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.gop_table[middle].first_frame <= frame else (low, middle)
        return low

    def gops_to_enter(self, index: int) -> range:
        """The GoPs to decode, in order, to show GoP `index`, which is the last of them.

        Whoever enters a file, cuts it or judges what damage leaves of it asks here.
        """
        return range(index - self.gop_table[index].entry_delta, index + 1)

    def gop_header(self, index: int) -> GopHeader:
        """Only the gop_header() of GoP `index`."""
        payload, offset = self.gop_payload(index)
        return read_gop_header(payload, self.header, self.limits, offset=offset, chunk=f"GoP {index}")

    def read_gop(self, index: int) -> GopRecord:
        """GoP `index` as integers. Raises FormatError, LimitError, IndexError."""
        return self.read_gop_bits(index)[0]

    def read_gop_bits(self, index: int, trace: list[Entry] | None = None) -> tuple[GopRecord, GopBits]:
        """GoP `index` and the bits of its payload by component; `trace` receives every field.

        Read in order, every GoP is decoded once; else a predicted GoP takes those of its chain before it with it.
        """
        if trace is None and self._decoded and index < self.gop_count and self._decoded[0] == self.gop_table[index]:
            return self._decoded[1:]
        payload, offset = self.gop_payload(index)
        name, entry, before = f"GoP {index}", self.gop_table[index], self._reference(index)
        record, bits = read_gop(payload, self.header, self.limits, before, offset=offset, chunk=name, trace=trace)
        at = Place(offset, name)
        validate_data.index_matches(at, "first_frame", record.first_frame, entry.first_frame)
        validate_data.index_matches(at, "frame_count", record.frame_count, entry.frame_count)
        validate_data.index_matches(at, "reference_mode", record.reference_mode, int(entry.entry_delta > 0))
        self._decoded = entry, record, bits
        return record, bits

    def _reference(self, index: int) -> GopRecord | None:
        """The GoP that GoP `index` is predicted from; its chain is decoded from the last one read or its entry."""
        *chain, _ = self.gops_to_enter(index)
        kept = [gop for gop in chain if self._decoded and self._decoded[0] == self.gop_table[gop]]
        record = None
        for gop in range(kept[0], index) if kept else chain:
            record = self.read_gop(gop)  # never deeper than one: what it is predicted from has just been read
        return record

    def entry_after(self, chunk: Chunk, head: GopHeader) -> GopEntry:
        """The line of the table for the GoP of `chunk` behind those known. FormatError if it is predicted from another.

        Also if it is farther from where its chain is entered than the header allows.
        """
        at, predicted = Place(chunk.payload_offset, f"GoP at frame {head.first_frame}"), head.reference_mode != 0
        validate.reference_is_there(at, not predicted or (self.gop_count > 0 and self.end_frame == head.first_frame))
        delta = self.gop_table[-1].entry_delta + 1 if predicted else 0
        entry = GopEntry(chunk.offset, chunk.length, head.first_frame, head.frame_count, delta)
        check_entry([*self.gop_table[self.gop_count - delta :], entry], self.header, at)
        return entry

    def ancillary(self, index: int) -> list[tuple[Chunk, bytes]]:
        """The ancillary chunks of known types before GoP `index` and after the one before it, with their payloads.

        For `index` = the number of GoPs those after the last one. Raises FormatError, LimitError, OSError.
        """
        return []

    @property
    def media_bytes(self) -> int:
        """Bytes of sound and subtitles, which bpp leaves out; of a stream, in what has been read."""
        return 0

    def missing(self) -> list[tuple[int, int]]:
        """Frames [a, b) of the sequence that no known GoP holds."""
        gaps, covered = [], 0
        for entry in self.gop_table:
            if entry.first_frame > covered:
                gaps.append((covered, entry.first_frame))
            covered = entry.end_frame
        return gaps + ([(covered, self.header.frame_count)] if covered < self.header.frame_count else [])

    @abstractmethod
    def close(self) -> None:
        """Close what this source opened itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class GopOrder:
    """The rules between GoPs that are met front to back: frames follow on, time stamps rise.

    `lenient`: GoPs may be missing in between.
    """

    def __init__(self, header: SequenceHeader, limits: Limits, *, lenient: bool = False) -> None:
        self.covered = 0
        self._header, self._limits, self._lenient = header, limits, lenient
        self._last_pts: int | None = None

    def see(self, payload: bytes, offset: int) -> GopHeader:
        """Check the GoP whose payload starts at byte `offset`; returns its header. Raises FormatError, LimitError."""
        name = f"GoP at frame {self.covered}"
        head = read_gop_header(payload, self._header, self._limits, offset=offset, chunk=name)
        place = Place(offset, name)
        if not self._lenient or head.first_frame < self.covered:
            validate.frames_are_covered(place, head.first_frame, self.covered)
        if head.pts is not None:
            if self._last_pts is not None:
                validate.time_stamps_rise(place, self._last_pts, head.pts[0])
            self._last_pts = head.pts[-1]
        self.covered = head.first_frame + head.frame_count
        return head
