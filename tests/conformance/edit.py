# SPDX-License-Identifier: MIT
"""Break a file on purpose: replace fields by name, then repair lengths, CRCs and index around them."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from gscodec.format.chunks import PREAMBLE, GopEntry, index_entries
from gscodec.format.container import ContainerReader
from gscodec.format.describe import describe
from gscodec.format.schema import FieldStream

FRAME = ("type", "flags", "length", "crc32")


@dataclass
class EditedChunk:
    """One chunk: its name in the listing (`gop[0]`), its framing that is forced, and its payload's fields."""

    name: str
    kind: bytes
    forced: dict[str, bytes]
    fields: list[tuple[str, bytes]]

    def build(self) -> bytes:
        """The chunk's bytes; length and CRC are right unless forced."""
        payload = b"".join(data for _, data in self.fields)
        length = self.forced.get("length", len(payload).to_bytes(4, "little"))
        body = self.forced.get("type", self.kind) + self.forced.get("flags", b"\x01") + length + payload
        return body + self.forced.get("crc32", zlib.crc32(body).to_bytes(4, "little"))


class EditedFile:
    """A file as a list of named fields that can be set one by one."""

    def __init__(self, data: bytes) -> None:
        self.preamble = data[:PREAMBLE]
        self.chunks: list[EditedChunk] = []
        reader = ContainerReader(data)
        self.table = reader.gop_table
        for entry in describe(reader):
            name, _, field = entry.name.partition(".")
            value = data[entry.offset : entry.offset + entry.length]
            if field == "type":
                self.chunks.append(EditedChunk(name, value, {}, []))
            elif field and field not in FRAME:
                self.chunks[-1].fields.append((field, value))
            elif field == "flags":
                self.chunks[-1].forced["flags"] = value

    def chunk(self, name: str) -> EditedChunk:
        """The chunk called `name`."""
        return next(chunk for chunk in self.chunks if chunk.name == name)

    def set(self, name: str, data: bytes) -> None:
        """Replace a field; a name that ends with `*` stands for all fields that begin so, as one."""
        owner, _, field = name.partition(".")
        chunk = self.chunk(owner)
        if field in FRAME:
            chunk.forced[field] = data
            return
        hit = [i for i, (known, _) in enumerate(chunk.fields) if known == field or _matches(known, field)]
        if not hit:
            raise KeyError(f"{name}: {[known for known, _ in chunk.fields]}")
        chunk.fields[hit[0] : hit[-1] + 1] = [(field, data)]

    def get(self, name: str) -> bytes:
        """The bytes of a field."""
        owner, _, field = name.partition(".")
        return next(data for known, data in self.chunk(owner).fields if known == field)

    def build(self, late: Mapping[str, bytes] | None = None) -> bytes:
        """The file; `late` sets fields of INDX and ENDF after these have been made to fit."""
        self._refresh_index()
        for name, data in (late or {}).items():
            self.set(name, data)
        return self.preamble + b"".join(chunk.build() for chunk in self.chunks)

    def _refresh_index(self) -> None:
        offset, entries, at = len(self.preamble), [], {}
        for chunk in self.chunks:
            at[chunk.name] = offset
            size = len(chunk.build())
            if chunk.name.startswith("gop["):
                old = self.table[len(entries)]
                entries.append(GopEntry(offset, size, old.first_frame, old.frame_count, old.entry_delta))
            offset += size
        fields = FieldStream(trace=(trace := []))
        index_entries(fields, entries)
        data = fields.getvalue()
        self.chunk("INDX").fields = [(e.name, data[e.offset : e.offset + e.length]) for e in trace]
        self.chunk("ENDF").fields = [("index_offset", at["INDX"].to_bytes(8, "little"))]


def _matches(known: str, pattern: str) -> bool:
    return pattern.endswith("*") and known.startswith(pattern[:-1])
