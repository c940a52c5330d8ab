# SPDX-License-Identifier: MIT
"""The ancillary chunks of a file that this version knows: picture metadata, streams, packets, tags (SPEC 5.15 to
5.17, 5.19), copies of the sequence header (SPEC 6.4).

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from . import validate_media
from .chunks import ANCILLARY, COPY, KNOWN, PACK, PICT, SEQH, STRM, TAGS, Chunk
from .errors import Place
from .picture import PictureMetadata, picture_metadata
from .records import SequenceHeader
from .schema import Entry, FieldStream
from .sequence import check_copy, sequence_header
from .source import GopSource
from .streams import PacketRecord, StreamInfo, packets, streams
from .tags import Tags, tags


@dataclass(frozen=True)
class Media:
    """What stands before the first GoP: the picture's metadata and tags, if there are any, the streams beside it."""

    picture: PictureMetadata | None = None
    streams: tuple[StreamInfo, ...] = ()
    tags: Tags | None = None


class MediaOrder:
    """The rules of ancillary chunks, which are met front to back.

    `header`: the sequence header that copies are compared with; None as long as it is not known.
    """

    def __init__(self, header: SequenceHeader | None) -> None:
        self.header, self.media = header, Media()
        self._before = SEQH

    def see(self, chunk: Chunk, payload: bytes, trace: list[Entry] | None = None) -> list[PacketRecord]:
        """Check a chunk of any type; returns the packets of a pack chunk. `trace` receives every field."""
        if chunk.kind in KNOWN:
            self._before = chunk.kind
        if chunk.kind not in ANCILLARY:
            return []
        io, at = FieldStream(payload, offset=chunk.payload_offset, chunk=chunk.kind, trace=trace), Place(chunk.offset)
        found: list[PacketRecord] = []
        if chunk.kind == PICT:
            validate_media.pict_place(at, self._before, self.media.picture is not None)
            self.media = replace(self.media, picture=picture_metadata(io, None))
        elif chunk.kind == STRM:
            validate_media.strm_place(at, self._before, bool(self.media.streams))
            self.media = replace(self.media, streams=streams(io, None))
        elif chunk.kind == TAGS:
            validate_media.tags_place(at, self._before, self.media.tags is not None)
            self.media = replace(self.media, tags=tags(io, None))
        elif chunk.kind == PACK:
            validate_media.pack_place(at, self._before, len(self.media.streams))
            found = packets(io, None, len(self.media.streams))
        elif chunk.kind == COPY:
            copy = sequence_header(io, None)
            check_copy(io, copy, self.header or copy)
        io.finish()
        return found


def read_media(source: GopSource) -> Media:
    """What is said before the first GoP. Raises FormatError, LimitError."""
    order = MediaOrder(source.header)
    for chunk, payload in source.ancillary(0):
        if chunk.kind != PACK:
            order.see(chunk, payload)
    return order.media


def read_packets(source: GopSource, index: int, stream_count: int) -> list[PacketRecord]:
    """The packets before GoP `index`; for index = the number of GoPs, those after the last one.

    Raises FormatError, LimitError.
    """
    found: list[PacketRecord] = []
    for chunk, payload in source.ancillary(index):
        if chunk.kind == PACK:
            io = FieldStream(payload, offset=chunk.payload_offset, chunk=PACK)
            validate_media.pack_place(Place(chunk.offset), "GOPD", stream_count)
            found += packets(io, None, stream_count)
            io.finish()
    return found
