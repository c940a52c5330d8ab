# SPDX-License-Identifier: MIT
"""Packets of sound and subtitles in step with the frames that are drawn (SPEC 6.17). Imports no torch."""

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction

from gscodec.format.streams import SUBTITLES, PacketRecord, StreamInfo
from gscodec_cli.decoder.decode import StreamDecoder


class PacketFeed:
    """The packets that belong to frames start..stop-1, `shift` seconds later than in the file.

    `streams` are those of the kinds (`stream_type`) asked for; the packets count them from 0. At the ends of the clip
    packets before its first frame and after its last one belong to it.
    """

    def __init__(
        self, decoder: StreamDecoder, kinds: Collection[int], start: int, stop: int, shift: Fraction = Fraction(0)
    ) -> None:
        found = decoder.media.streams
        self._numbers = [number for number, info in enumerate(found) if info.stream_type in kinds]
        self.streams: tuple[StreamInfo, ...] = tuple(found[number] for number in self._numbers)
        self._bases = [Fraction(info.time_base_num, info.time_base_den) for info in found]
        self._decoder, self._shift, self._stop = decoder, shift, stop
        line = decoder.timeline
        self._begin = line.pts(start) * line.time_base if start else None
        self._end = line.pts(stop) * line.time_base if stop < decoder.frame_count else None
        # A packet may begin before the GoP it is last heard in, a subtitle long before.
        long = decoder.reader.sequential or any(info.stream_type == SUBTITLES for info in self.streams)
        self._next = 0 if long else max(0, decoder.reader.gop_of_frame(start) - 1)

    def before(self, frame: int) -> list[PacketRecord]:
        """Packets, not yet given, that stand before the frames of the GoP of `frame`."""
        return self._up_to(self._decoder.reader.gop_of_frame(frame)) if self.streams else []

    def rest(self) -> list[PacketRecord]:
        """What stands after the last GoP, where the clip is fed to its end."""
        if not self.streams or self._stop < self._decoder.frame_count:
            return []
        return self._up_to(self._decoder.reader.gop_count)

    def _up_to(self, gop: int) -> list[PacketRecord]:
        given: list[PacketRecord] = []
        while self._next <= gop:
            given += [self._moved(p) for p in self._decoder.packets(self._next) if self._belongs(p)]
            self._next += 1
        return given

    def _belongs(self, packet: PacketRecord) -> bool:
        if packet.stream not in self._numbers:
            return False
        base = self._bases[packet.stream]
        begin, end = packet.pts * base, (packet.pts + packet.duration) * base
        return (self._begin is None or end > self._begin) and (self._end is None or begin < self._end)

    def _moved(self, packet: PacketRecord) -> PacketRecord:
        pts = packet.pts + round(self._shift / self._bases[packet.stream])
        return replace(packet, stream=self._numbers.index(packet.stream), pts=pts)
