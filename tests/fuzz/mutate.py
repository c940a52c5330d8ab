# SPDX-License-Identifier: MIT
"""Mutations that know the format: chunks, fields with their descriptors, and checksums made right again."""

from __future__ import annotations

import zlib
from contextlib import suppress
from dataclasses import dataclass

from gscodec.format.chunks import ANCILLARY, FRAMING, INDX, KNOWN, PREAMBLE, GopEntry, index_entries
from gscodec.format.container import ContainerReader
from gscodec.format.describe import describe
from gscodec.format.errors import GsvError
from gscodec.format.gop import read_gop_header
from gscodec.format.records import SequenceHeader
from gscodec.format.schema import FieldStream
from gscodec.format.sequence import sequence_header
from tests.fuzz.spans import ByteMutator, Field

TYPES = [kind.encode() for kind in (*KNOWN, *ANCILLARY, "note", "NEWC")]


@dataclass
class Piece:
    """One chunk taken apart; `repaired` has a right length and checksum."""

    kind: bytes
    flags: int
    payload: bytes

    def repaired(self) -> bytes:
        """The bytes of the chunk."""
        body = self.kind + bytes((self.flags,)) + len(self.payload).to_bytes(4, "little") + self.payload
        return body + zlib.crc32(body).to_bytes(4, "little")


def take_apart(data: bytes) -> tuple[bytes, list[Piece]]:
    """(signature and version, chunks); what follows a length that lies becomes the last chunk's payload."""
    pieces, offset = [], PREAMBLE
    while offset + FRAMING <= len(data):
        length = int.from_bytes(data[offset + 5 : offset + 9], "little")
        end = min(offset + 9 + length, len(data))
        pieces.append(Piece(data[offset : offset + 4], data[offset + 4], data[offset + 9 : end]))
        offset = end + 4
    return data[:PREAMBLE], pieces


def put_together(preamble: bytes, pieces: list[Piece], *, reindex: bool) -> bytes:
    """The file; `reindex` writes INDX and ENDF anew from the GOPD chunks and what they say of their frames."""
    if reindex:
        _reindex(len(preamble), pieces)
    return preamble + b"".join(piece.repaired() for piece in pieces)


def _reindex(offset: int, pieces: list[Piece]) -> None:
    """Write INDX and ENDF anew, as far as what the other chunks hold can be written."""
    entries: list[GopEntry] = []
    header, index_offset = _header(pieces), 0
    for piece in pieces:
        if piece.kind == b"GOPD":
            entries.append(_entry(piece, header, offset, entries))
        elif piece.kind == b"INDX":
            index_offset = offset
            fields = FieldStream(chunk=INDX)
            with suppress(GsvError):
                index_entries(fields, entries)
                piece.payload = fields.getvalue()
        elif piece.kind == b"ENDF" and len(piece.payload) == 8 and entries:
            piece.payload = index_offset.to_bytes(8, "little")
        offset += len(piece.payload) + FRAMING


def _header(pieces: list[Piece]) -> SequenceHeader | None:
    with suppress(GsvError):
        return sequence_header(FieldStream(pieces[0].payload), None) if pieces else None
    return None


def _entry(piece: Piece, header: SequenceHeader | None, offset: int, before: list[GopEntry]) -> GopEntry:
    """The line of the index for a GoP, with what its header says if that can be read."""
    count, delta = 1, 0
    with suppress(GsvError):
        if header is not None:
            head = read_gop_header(piece.payload, header)
            count, delta = head.frame_count, before[-1].entry_delta + 1 if head.reference_mode and before else 0
    return GopEntry(offset, len(piece.payload) + FRAMING, 0, count, delta)


def fields_of(data: bytes) -> list[Field]:
    """(offset, length, descriptor) of every field in a payload of a good file."""
    framing = (".type", ".flags", ".length", ".crc32")
    return [
        (entry.offset, entry.length, entry.descriptor)
        for entry in describe(ContainerReader(data))
        if "." in entry.name and not entry.name.endswith(framing)
    ]


class Mutator(ByteMutator):
    """Makes files: fields and bytes are changed inside chunks, chunks are moved about, checksums made right again."""

    draws = 3  # large GoPs have a target of their own

    def __init__(self, corpus: list[bytes], seed: int) -> None:
        super().__init__(corpus, [fields_of(data) for data in corpus], seed)

    def make(self) -> bytes:
        """A new input: a good file with one to four fields changed, then perhaps its structure."""
        r = self.random
        number = self._pick()
        if r.random() < 0.1:
            return self.mutate(self.corpus[number])
        preamble, pieces = take_apart(self.corpus[number])
        starts = _starts(pieces)
        for offset, length, descriptor in self._some_fields(number):
            place = next(i for i in range(len(starts) - 1, -1, -1) if starts[i] <= offset)
            inside = offset - starts[place]
            old = pieces[place].payload
            field = self._field(descriptor, old[inside : inside + length])
            pieces[place].payload = old[:inside] + field + old[inside + length :]
        if r.random() < 0.1:
            self._shuffle(pieces)
        return self._finish(preamble, pieces)

    def mutate(self, data: bytes) -> bytes:
        """Any bytes, changed inside chunks, between them, or without regard for them."""
        r = self.random
        if r.random() < 0.15:
            return self.span(data)
        preamble, pieces = take_apart(data)
        if not pieces:
            return self.span(data) or self.corpus[0]
        for _ in range(r.randint(1, 3)):
            piece = r.choice(pieces)
            piece.payload = self.span(piece.payload)
        if r.random() < 0.2:
            self._shuffle(pieces)
        return self._finish(preamble, pieces)

    def _finish(self, preamble: bytes, pieces: list[Piece]) -> bytes:
        r = self.random
        data = put_together(preamble, pieces, reindex=r.random() < 0.85)
        if r.random() < 0.08:  # damage rather than malice
            data = data[: r.randrange(len(data) + 1)] if r.random() < 0.5 else self.span(data)
        return data

    def _shuffle(self, pieces: list[Piece]) -> None:
        """Chunks dropped, doubled, swapped, retyped, or taken from another file."""
        r = self.random
        at = r.randrange(len(pieces))
        match r.randrange(5):
            case 0:
                del pieces[at]
            case 1:
                pieces.insert(at, Piece(**vars(pieces[at])))
            case 2:
                other = r.randrange(len(pieces))
                pieces[at], pieces[other] = pieces[other], pieces[at]
            case 3:
                pieces[at].kind, pieces[at].flags = r.choice(TYPES), r.choice((0, 1, 1, 2, 255))
            case _:
                pieces.insert(at, r.choice(take_apart(r.choice(self.corpus))[1]))


def _starts(pieces: list[Piece]) -> list[int]:
    """Where the payload of each chunk starts in the file."""
    starts, offset = [], PREAMBLE
    for piece in pieces:
        starts.append(offset + 9)
        offset += len(piece.payload) + FRAMING
    return starts
