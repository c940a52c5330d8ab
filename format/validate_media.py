# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.15 to 6.17 and 6.19: the picture, sound and subtitles, tags, all in ancillary chunks.

One function per sentence, as in validate.py. Imports rules only.
"""

from __future__ import annotations

from .rules import between, rule

MAX_TEXT = 255  # bytes
MAX_STREAMS = 64
MAX_TAGS = 1024  # and chapters
MAX_VALUE = 65535  # bytes

# 6.15 Picture metadata


@rule("C-6.15-1")
def pict_place(before: str, seen: bool) -> str | None:
    """At most one pict chunk, before the first GOPD chunk."""
    return _once_before_gops("pict", before, seen)


@rule("C-6.15-2")
def text_is_utf8(data: bytes) -> str | None:
    """A text is UTF-8 of at most 255 bytes."""
    return _utf8("text", data, MAX_TEXT)


@rule("C-6.15-3")
def source_chroma_format(value: int) -> str | None:
    """source_chroma_format is 0 to 5."""
    return between("source_chroma_format", value, 0, 5)


@rule("C-6.15-4")
def presence(name: str, value: int) -> str | None:
    """A flag that ends in _present is 0 or 1."""
    return between(name, value, 0, 1)


@rule("C-6.15-5")
def last_frame_duration(value: int) -> str | None:
    """last_frame_duration is less than 2^63."""
    return between("last_frame_duration", value, 0, (1 << 63) - 1)


# 6.16 Streams


@rule("C-6.16-1")
def strm_place(before: str, seen: bool) -> str | None:
    """At most one strm chunk, before the first GOPD chunk."""
    return _once_before_gops("strm", before, seen)


@rule("C-6.16-2")
def stream_count(value: int) -> str | None:
    """stream_count is 1 to 64."""
    return between("stream_count", value, 1, MAX_STREAMS)


@rule("C-6.16-3")
def stream_type(value: int) -> str | None:
    """stream_type is 0 or 1."""
    return between("stream_type", value, 0, 1)


@rule("C-6.16-4")
def stream_number(name: str, value: int) -> str | None:
    """Time base, sample rate and channel count are not 0."""
    return None if value > 0 else f"{name} is 0, expected at least 1"


# 6.17 Packets


@rule("C-6.17-1")
def pack_place(before: str, streams: int) -> str | None:
    """A pack chunk stands after the strm chunk and before the INDX chunk."""
    if streams and before in ("SEQH", "GOPD"):
        return None
    return f"pack chunk after {before}" if streams else "pack chunk without a strm chunk before it"


@rule("C-6.17-2")
def packet_stream(value: int, streams: int) -> str | None:
    """stream is one of the streams."""
    return None if value < streams else f"packet of stream {value}, there are {streams}"


@rule("C-6.17-3")
def packet_flags(value: int) -> str | None:
    """Bits 2 to 7 of packet_flags are 0."""
    return None if value < 4 else f"packet_flags is {value:#04x}, expected bits 2 to 7 to be 0"


@rule("C-6.17-4")
def packet_time_fits(pts: int) -> str | None:
    """Time stamps and ends of packets fit 64 bits."""
    return None if -(1 << 63) <= pts < 1 << 63 else f"packet time {pts} does not fit 64 bits"


# 6.19 Tags


@rule("C-6.19-1")
def tags_place(before: str, seen: bool) -> str | None:
    """At most one tags chunk, before the first GOPD chunk."""
    return _once_before_gops("tags", before, seen)


@rule("C-6.19-2")
def tag_count(name: str, value: int) -> str | None:
    """tag_count and chapter_count are at most 1024."""
    return between(name, value, 0, MAX_TAGS)


@rule("C-6.19-3")
def tag_value(data: bytes) -> str | None:
    """The value of a tag is UTF-8 of at most 65535 bytes."""
    return _utf8("value", data, MAX_VALUE)


@rule("C-6.19-4")
def chapter_time_base(name: str, value: int) -> str | None:
    """The time base of a chapter is not 0."""
    return None if value > 0 else f"{name} of a chapter is 0, expected at least 1"


@rule("C-6.19-5")
def chapter_time_fits(end: int) -> str | None:
    """The ends of chapters fit 64 bits."""
    return None if end < 1 << 63 else f"chapter ends at {end}, which does not fit 64 bits"


def _utf8(what: str, data: bytes, most: int) -> str | None:
    if len(data) > most:
        return f"{what} of {len(data)} bytes, at most {most} are allowed"
    try:
        data.decode()
    except UnicodeDecodeError:
        return f"{what} is not UTF-8"
    return None


def _once_before_gops(kind: str, before: str, seen: bool) -> str | None:
    if seen:
        return f"a second {kind} chunk"
    return None if before == "SEQH" else f"{kind} chunk after {before}, expected before the first GOPD"
