# SPDX-License-Identifier: MIT
"""What a source carries beside its frames, into the chunks pict, strm, pack and tags (SPEC 5.15
to 5.17, 5.19).

Imports no torch.
"""

from __future__ import annotations

from gscodec.format.chunks import PACK, PICT, STRM, TAGS
from gscodec.format.container import ContainerWriter
from gscodec.format.picture import write_picture
from gscodec.format.streams import write_packets, write_streams
from gscodec.format.tags import write_tags
from gscodec_cli.video.reader import VideoSource


class MediaChunks:
    """Writes the chunks of one encode: `begin` after the sequence header, then `before_gop` for every GoP in order.

    Raises MediaError where the source cannot be read, OSError.
    """

    def __init__(self, source: VideoSource, writer: ContainerWriter) -> None:
        self._source, self._writer, self._info = source, writer, source.info
        self._packets = source.packets() if self._info.streams else None

    def begin(self) -> None:
        """The picture's metadata, and tags and streams where there are any."""
        self._writer.add_ancillary(PICT, write_picture(self._info.picture))
        if self._source.tags:
            self._writer.add_ancillary(TAGS, write_tags(self._source.tags))
        if self._info.streams:
            self._writer.add_ancillary(STRM, write_streams(self._info.streams))

    def before_gop(self, span: range) -> None:
        """The packets of the time of frames `span`, the source's own numbers; with the last ones all that are left."""
        if self._packets is None:
            return
        last = span.stop >= len(self._source)
        found = self._packets.before(None if last else self._source.seconds(span.stop))
        if found:
            self._writer.add_ancillary(PACK, write_packets(found, len(self._info.streams)))
