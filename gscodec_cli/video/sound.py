# SPDX-License-Identifier: MIT
"""Sound and subtitles of a source: what streams there are, and their packets as they are. Imports no torch.

Packets are copied, never decoded. A codec that PyAV cannot describe to a muxer again is left out, and said.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from io import BytesIO
from typing import Any

import av

from gscodec.format.streams import DISCARD, KEY, SOUND, SUBTITLES, PacketRecord, StreamInfo
from gscodec_cli.errors import MediaError

KINDS = {"audio": SOUND, "subtitle": SUBTITLES}
DISPOSITIONS = 0x303FF  # the bits that SPEC 6.16 names
READ_AHEAD = Fraction(5)  # seconds of picture after which the sound of an instant is in an interleaved file
_DESCRIBING = ("nut", "matroska", "mp4", "mpegts")  # formats that between them take every codec


@cache
def stream_template(codec: str) -> Any:
    """A stream of `codec` that a muxer's streams can be made from, or None where PyAV cannot make one."""
    for name in _DESCRIBING:
        try:
            return av.open(BytesIO(), "w", format=name).add_stream(codec)
        except (ValueError, av.FFmpegError):
            continue
    return None


def copied_streams(container: av.container.InputContainer) -> list[Any]:
    """The streams of sound and subtitles that can be copied, in the file's order."""
    return [s for s in container.streams if s.type in KINDS and _can_copy(s)]


def _can_copy(stream: Any) -> bool:
    return stream.codec_context is not None and stream_template(codec_name(stream)) is not None


def codec_name(stream: Any) -> str:
    """The codec's own name, not that of one of its decoders."""
    return str(stream.codec_context.codec.canonical_name)


def describe_stream(stream: Any) -> StreamInfo:
    """A source's stream of sound or subtitles as SPEC 6.16 has it."""
    context, tags = stream.codec_context, {k.lower(): v for k, v in stream.metadata.items()}
    sound = stream.type == "audio"
    return StreamInfo(
        stream_type=KINDS[stream.type],
        codec=codec_name(stream),
        time_base_num=stream.time_base.numerator,
        time_base_den=stream.time_base.denominator,
        disposition=int(stream.disposition) & DISPOSITIONS,
        language=_short(tags.get("language", "und")).removeprefix("und"),
        title=_short(tags.get("title", "")),
        bit_rate=min(context.bit_rate or 0, (1 << 32) - 1),
        extra_data=context.extradata or b"",
        sample_rate=context.sample_rate if sound else 0,
        channel_count=context.layout.nb_channels if sound else 0,
        channel_layout=context.layout.name if sound else "",
    )


def _short(text: str) -> str:
    return text.encode(errors="ignore")[:255].decode(errors="ignore")


def notes_on_streams(container: av.container.InputContainer, picture: Any) -> Iterator[str]:
    """In plain words, the streams that are left out."""
    for stream in container.streams:
        if stream.type in KINDS and not _can_copy(stream):
            name = stream.codec_context.name if stream.codec_context is not None else "unknown"
            yield f"stream {stream.index} ({stream.type}, {name}) cannot be copied: it is left out"
        elif stream.type == "video" and stream.index != picture.index:
            yield f"stream {stream.index} is a second picture: only stream {picture.index} is encoded"
        elif stream.type not in (*KINDS, "video"):
            yield f"stream {stream.index} ({stream.type}) is left out"


class PacketReader:
    """The packets of `streams` (indices in the file) between two times in seconds, in the order of the file.

    Memory: what lies between the instants asked for, and a few seconds. Raises MediaError.
    """

    def __init__(self, path: str, streams: list[int], begin: Fraction | None, end: Fraction | None) -> None:
        self._path, self._streams, self._begin, self._end = path, streams, begin, end
        self._waiting: list[tuple[Fraction, PacketRecord]] = []
        self._ends = dict.fromkeys(streams, 0)
        self._reached: Fraction | None = Fraction(-(1 << 62))  # None: the file has been read to its end
        self._packets = self._read()

    def before(self, seconds: Fraction | None) -> list[PacketRecord]:
        """The packets not yet given that begin before `seconds`; all that are left for None."""
        while self._reached is not None and (seconds is None or self._reached < seconds + READ_AHEAD):
            self._reached = next(self._packets, None)
        given = [p for time, p in self._waiting if seconds is None or time < seconds]
        self._waiting = [] if seconds is None else [item for item in self._waiting if item[0] >= seconds]
        return given

    def _read(self) -> Iterator[Fraction]:
        """Read packet by packet; yields the time the picture, or without one the sound, has reached."""
        with av.open(self._path) as container:
            picture = container.streams.video[:1]
            wanted = [container.streams[index] for index in self._streams]
            try:
                for packet in container.demux(*picture, *wanted):
                    yield self._take(packet)
            except av.FFmpegError as error:
                raise MediaError(f"{self._path}: the sound cannot be read to its end ({error.strerror})") from None

    def _take(self, packet: Any) -> Fraction:
        index, base = packet.stream.index, packet.stream.time_base
        time = packet.dts if packet.dts is not None else packet.pts
        if index in self._ends and packet.size and not packet.is_corrupt:
            record = self._record(packet)
            begin, end = record.pts * base, (record.pts + record.duration) * base
            if (self._begin is None or end > self._begin) and (self._end is None or begin < self._end):
                self._waiting.append((begin, record))
        still = self._reached if self._reached is not None else Fraction(0)
        is_clock = packet.stream.type == "video" or not packet.stream.container.streams.video
        return max(still, time * base) if time is not None and is_clock else still

    def _record(self, packet: Any) -> PacketRecord:
        index = packet.stream.index
        pts = packet.pts if packet.pts is not None else self._ends[index]
        duration = max(0, packet.duration or 0)
        self._ends[index] = pts + duration
        flags = KEY * packet.is_keyframe | DISCARD * packet.is_discard
        return PacketRecord(self._streams.index(index), pts, duration, flags, bytes(packet))
