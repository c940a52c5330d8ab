# SPDX-License-Identifier: MIT
"""An unfinished encode as a file: the beginning of a .gsv file, with what it takes to go on in chunks of its own.

Chunks are only ever appended, each with its CRC, so whatever ends the program leaves whole GoPs and at most one torn
chunk. `part` says what is encoded, `fact` what is known of the GoP that follows it: a GOPD chunk, or `held` for a GoP
that is not next in display order. Decoders skip all three. Must not import the verbs.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, BinaryIO

from gscodec.format.chunks import (
    FRAMING,
    GOPD,
    PREAMBLE,
    Chunk,
    check_preamble,
    checked_payload,
    read_chunk_header,
    write_chunk,
)
from gscodec.format.container import ContainerWriter
from gscodec.format.errors import FormatError
from gscodec.format.records import SequenceHeader
from gscodec_cli.encoder.chain import FinishedGop
from gscodec_cli.encoder.rate import Cost

PART, FACT, HELD = "part", "fact", "held"
MOST_TURNS = 7


class Checkpoint:
    """The GoPs of one encode that are finished, in `file`: readable, writable,
    seekable, not buffered.

    `state`: what was given to `begin`, None before. A file that holds an unfinished encode is read up to its last
    whole chunk, and cut there when something is added. Methods raise OSError.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.state: dict[str, Any] | None = None
        self._file = file
        self._gops: dict[tuple[int, int], tuple[dict[str, Any], int, int]] = {}  # number, turn: facts, payload
        self._shown = 0  # GoPs in GOPD chunks: the beginning of the clip
        self._end = 0
        self._scan()

    def begin(self, header: SequenceHeader, state: dict[str, Any]) -> None:
        """Begin anew; `state` says, in plain values, what is encoded and how."""
        self.state, self._gops, self._shown, self._end = state, {}, 0, 0
        self._file.seek(0)
        self._file.truncate()
        self._end = ContainerWriter(self._file, header).size
        self._append(write_chunk(PART, json.dumps(state).encode(), flags=0))

    def add(self, gop: FinishedGop) -> None:
        """Keep a finished GoP."""
        facts = {name: value for name, value in asdict(gop).items() if name != "payload"}
        self._append(write_chunk(FACT, json.dumps(facts).encode(), flags=0))
        self._add_payload(gop.number, gop.turn, facts, gop.payload)
        while (self._shown, 0) in self._gops:
            self._append(write_chunk(GOPD, self.gop(self._shown, 0).payload))
            self._shown += 1

    def _add_payload(self, number: int, turn: int, facts: dict[str, Any], payload: bytes) -> None:
        following = number == self._shown and turn == 0
        start = self._end + FRAMING - 4
        self._append(write_chunk(GOPD, payload) if following else write_chunk(HELD, payload, flags=0))
        self._gops[number, turn] = facts, start, len(payload)
        self._shown += following

    def _append(self, data: bytes) -> None:
        try:
            self._file.seek(self._end)
            self._file.truncate()
            left = memoryview(data)
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(self._end)
            raise
        self._end += len(data)

    def __contains__(self, number: int) -> bool:
        return (number, 0) in self._gops

    @property
    def count(self) -> int:
        """GoPs that are finished."""
        return sum(turn == 0 for _, turn in self._gops)

    def gop(self, number: int, most: int = MOST_TURNS, *, payload: bool = True) -> FinishedGop:
        """A finished GoP as it was last encoded, up to turn `most`; the payload may be left out. KeyError if none."""
        facts, offset, length = self._gops[number, self.turn(number, most)]
        self._file.seek(offset)
        kept = {**facts, "cost": Cost(**facts["cost"]), "psnrs": tuple(facts["psnrs"])}
        return FinishedGop(payload=self._file.read(length) if payload else b"", **kept)

    def turn(self, number: int, most: int = MOST_TURNS) -> int:
        """The last turn up to `most` in which a GoP was finished, -1 if in none."""
        return next((turn for turn in range(most, -1, -1) if (number, turn) in self._gops), -1)

    def _scan(self) -> None:
        """Find what a file holds. A file that is no unfinished encode, or none of this version, holds nothing."""
        facts: dict[str, Any] | None = None
        for chunk, payload in self._chunks():
            self._end = chunk.offset + chunk.length
            if chunk.kind == PART:
                self.state = json.loads(payload)
            elif chunk.kind == FACT:
                facts = json.loads(payload)
                continue
            elif chunk.kind in (GOPD, HELD):
                self._shown += chunk.kind == GOPD
                if facts is not None:
                    self._gops[facts["number"], facts["turn"]] = facts, chunk.payload_offset, chunk.payload_length
            facts = None

    def _chunks(self) -> Iterator[tuple[Chunk, bytes]]:
        """The whole chunks from the beginning on."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        try:
            check_preamble(self._file.read(PREAMBLE))
            offset = PREAMBLE
            while offset < size:
                self._file.seek(offset)
                chunk = read_chunk_header(self._file.read(FRAMING - 4), offset, size - offset)
                self._file.seek(offset)
                yield chunk, checked_payload(chunk, self._file.read(chunk.length))
                offset += chunk.length
        except FormatError:
            return
