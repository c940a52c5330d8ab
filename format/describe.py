# SPDX-License-Identifier: MIT
"""Every field of a file with its place, and the bits of the whole file by component.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .accounting import GopBits
from .chunks import ANCILLARY, ENDF, GOPD, INDX, SEQH, SIGNATURE, Chunk, index_entries
from .container import ContainerReader
from .media import MediaOrder
from .schema import LE64, Entry, FieldStream
from .sequence import sequence_header
from .source import GopSource


def describe(reader: ContainerReader) -> Iterator[Entry]:
    """All fields front to back; together they cover every byte of the file once. Raises FormatError, LimitError."""
    yield Entry(0, len(SIGNATURE), "signature", "bytes", reader.read_at(0, len(SIGNATURE)))
    major, minor = reader.read_at(len(SIGNATURE), 2)
    yield Entry(len(SIGNATURE), 1, "major", "u8", major)
    yield Entry(len(SIGNATURE) + 1, 1, "minor", "u8", minor)
    gop, media = 0, MediaOrder(reader.header)
    for chunk in reader.chunks():
        name = f"gop[{gop}]" if chunk.kind == GOPD else chunk.kind
        for entry in _chunk(reader, chunk, gop, media):
            yield replace(entry, name=f"{name}.{entry.name}")
        gop += chunk.kind == GOPD


def _chunk(reader: ContainerReader, chunk: Chunk, gop: int, media: MediaOrder) -> Iterator[Entry]:
    start, length = chunk.offset, chunk.payload_length
    yield Entry(start, 4, "type", "bytes", chunk.kind.encode("latin-1"))
    yield Entry(start + 4, 1, "flags", "u8", chunk.flags)
    yield Entry(start + 5, 4, "length", "le32", length)
    yield from _payload(reader, chunk, gop, media)
    end = chunk.payload_offset + length
    yield Entry(end, 4, "crc32", "le32", int.from_bytes(reader.read_at(end, 4), "little"))


def _payload(reader: ContainerReader, chunk: Chunk, gop: int, media: MediaOrder) -> list[Entry]:
    trace: list[Entry] = []
    if chunk.kind == GOPD:
        reader.read_gop_bits(gop, trace)
        return trace
    data = reader.payload(chunk)
    if chunk.kind in ANCILLARY:
        media.see(chunk, data, trace)
        return trace
    io = FieldStream(data, offset=chunk.payload_offset, chunk=chunk.kind, trace=trace)
    if chunk.kind == SEQH:
        sequence_header(io, None)
    elif chunk.kind == INDX:
        index_entries(io, None)
    elif chunk.kind == ENDF:
        io.field({}, "index_offset", LE64)
    else:
        io.raw({}, "payload", len(data))
    return trace


def file_bits(source: GopSource, gops: Iterable[GopBits] | None = None) -> dict[str, int]:
    """Bits of the whole file by component; they sum to 8 times its size. `streams` is what bpp leaves out.

    `gops`: the bits of every GoP's payload, where the caller has them; else every GoP is decoded.
    """
    payloads = sum(gops or map(source.check_gop, source.indices()), GopBits())
    media = 8 * source.media_bytes
    headers = GopBits(headers=8 * source.size - payloads.total - media)
    return (payloads + headers).as_dict() | {"streams": media}
