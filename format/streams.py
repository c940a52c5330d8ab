# SPDX-License-Identifier: MIT
"""streams() and packets() of SPEC 5.16 and 5.17: sound and subtitles, copied and never decoded here.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from . import validate, validate_media
from .picture import text
from .schema import LE32, SVAR64, U8, UVAR, UVAR64, FieldStream, Values

SOUND, SUBTITLES = 0, 1
STREAM_TYPES = {SOUND: "sound", SUBTITLES: "subtitles"}
KEY, DISCARD = 1, 2  # bits of packet_flags
PACKET_BYTES = 5  # at least, of one packet in a chunk


@dataclass(frozen=True)
class StreamInfo:
    """One stream of sound or subtitles, as a container describes it. `codec` and `channel_layout` as FFmpeg names them.

    `disposition` has the bits of SPEC 6.16, `extra_data` what the codec needs before the first packet.
    """

    stream_type: int
    codec: str
    time_base_num: int
    time_base_den: int
    disposition: int = 0
    language: str = ""
    title: str = ""
    bit_rate: int = 0
    extra_data: bytes = b""
    sample_rate: int = 0
    channel_count: int = 0
    channel_layout: str = ""


@dataclass(frozen=True)
class PacketRecord:
    """One packet of stream number `stream`; `pts` and `duration` in ticks of its time base, `flags` KEY and DISCARD."""

    stream: int
    pts: int
    duration: int
    flags: int
    data: bytes


def streams(io: FieldStream, infos: Sequence[StreamInfo] | None) -> tuple[StreamInfo, ...]:
    """Transfer the payload of a `strm` chunk. Raises FormatError."""
    v: Values = {} if infos is None else {"stream_count": len(infos)}
    validate_media.stream_count(io.place, io.field(v, "stream_count", UVAR))
    found = []
    for i in range(v["stream_count"]):
        with io.scope(f"stream[{i}]"):
            found.append(_stream(io, None if infos is None else infos[i]))
    return tuple(found)


def _stream(io: FieldStream, info: StreamInfo | None) -> StreamInfo:
    v: Values = {} if info is None else asdict(info)
    validate_media.stream_type(io.place, io.field(v, "stream_type", U8))
    text(io, v, "codec")
    for name in ("time_base_num", "time_base_den"):
        validate_media.stream_number(io.place, name, io.field(v, name, UVAR))
    io.field(v, "disposition", LE32)
    text(io, v, "language")
    text(io, v, "title")
    io.field(v, "bit_rate", UVAR)
    size: Values = {"extra_data_length": len(v.get("extra_data", b""))}
    io.raw(v, "extra_data", io.field(size, "extra_data_length", UVAR))
    if v["stream_type"] == SOUND:
        for name in ("sample_rate", "channel_count"):
            validate_media.stream_number(io.place, name, io.field(v, name, UVAR))
        text(io, v, "channel_layout")
    return info or StreamInfo(**v)


def packets(io: FieldStream, records: Sequence[PacketRecord] | None, stream_count: int) -> list[PacketRecord]:
    """Transfer the payload of a `pack` chunk of a file with `stream_count` streams. Raises FormatError."""
    v: Values = {} if records is None else {"packet_count": len(records)}
    count = io.field(v, "packet_count", UVAR)
    if io.reading:
        validate.bytes_are_there(io.place, PACKET_BYTES * count, io.remaining)
    ends = [0] * stream_count  # of the packet before, by stream
    found = []
    for i in range(count):
        with io.scope(f"packet[{i}]"):
            found.append(_packet(io, None if records is None else records[i], ends))
    return found


def _packet(io: FieldStream, record: PacketRecord | None, ends: list[int]) -> PacketRecord:
    v: Values = {} if record is None else {**asdict(record), "packet_flags": record.flags}
    stream = io.field(v, "stream", UVAR)
    validate_media.packet_stream(io.place, stream, len(ends))
    validate_media.packet_flags(io.place, io.field(v, "packet_flags", U8))
    if record is not None:
        v["pts_step"] = record.pts - ends[stream]
    pts = ends[stream] + io.field(v, "pts_step", SVAR64)
    duration = io.field(v, "duration", UVAR64)
    validate_media.packet_time_fits(io.place, pts)
    validate_media.packet_time_fits(io.place, pts + duration)
    size: Values = {"byte_count": len(v.get("data", b""))}
    io.raw(v, "data", io.field(size, "byte_count", UVAR))
    ends[stream] = pts + duration
    return record or PacketRecord(stream, pts, duration, v["packet_flags"], v["data"])


def write_streams(infos: Sequence[StreamInfo]) -> bytes:
    """The payload of a `strm` chunk. Raises FormatError for what it cannot hold."""
    io = FieldStream(chunk="strm to be written")
    streams(io, infos)
    return io.getvalue()


def write_packets(records: Sequence[PacketRecord], stream_count: int) -> bytes:
    """The payload of a `pack` chunk. Raises FormatError for what it cannot hold."""
    io = FieldStream(chunk="pack to be written")
    packets(io, records, stream_count)
    return io.getvalue()
