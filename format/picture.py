# SPDX-License-Identifier: MIT
"""picture_metadata() of SPEC 5.15: what the source's picture was like that drawing does not need.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import validate_media
from .schema import SVAR, U8, UVAR, UVAR64, FieldStream, Values

CHROMA_FORMATS = {0: "unknown", 1: "4:2:0", 2: "4:2:2", 3: "4:4:4", 4: "RGB", 5: "4:0:0"}


@dataclass(frozen=True)
class PictureMetadata:
    """The chunk `pict`; parts that are not known are None.

    `display_matrix`: 9 fixed-point numbers as in ISO/IEC 14496-12 (a b u, c d v, x y w). `mastering_primaries`: x, y of
    red, green, blue and white in 1/50000; `mastering_luminance`: largest, smallest in 1/10000 cd/m2; `content_light`:
    largest of a pixel, largest mean of a frame in cd/m2. `last_frame_duration` is in ticks, 0 = as SPEC 6.4 says.
    """

    source_codec: str = ""
    source_chroma_format: int = 0
    source_bit_depth: int = 8
    last_frame_duration: int = 0
    display_matrix: tuple[int, ...] | None = None
    mastering_primaries: tuple[int, ...] | None = None
    mastering_luminance: tuple[int, ...] | None = None
    content_light: tuple[int, ...] | None = None


# Parts that may be missing: name, name of an element, how many, descriptor.
PARTS = (
    ("display_matrix", 9, SVAR),
    ("mastering_primaries", 8, UVAR),
    ("mastering_luminance", 2, UVAR),
    ("content_light", 2, UVAR),
)


def text(io: FieldStream, values: Values, name: str) -> None:
    """Transfer text() of SPEC 5.15 as `values[name]`, a str."""
    data = values[name].encode() if not io.reading else b""
    v: Values = {"byte_count": len(data), "utf8": data}
    with io.scope(name):
        io.field(v, "byte_count", UVAR)
        io.raw(v, "utf8", v["byte_count"])
        validate_media.text_is_utf8(io.place, v["utf8"])
    values[name] = v["utf8"].decode()


def picture_metadata(io: FieldStream, metadata: PictureMetadata | None) -> PictureMetadata:
    """Transfer the payload of a `pict` chunk. Raises FormatError."""
    v: Values = {} if metadata is None else asdict(metadata)
    text(io, v, "source_codec")
    validate_media.source_chroma_format(io.place, io.field(v, "source_chroma_format", U8))
    io.field(v, "source_bit_depth", U8)
    validate_media.last_frame_duration(io.place, io.field(v, "last_frame_duration", UVAR64))
    for name, count, descriptor in PARTS:
        v[name] = _part(io, v.get(name), name, count, descriptor)
    return metadata or PictureMetadata(**v)


def _part(io: FieldStream, values: Any, name: str, count: int, descriptor: Any) -> tuple[int, ...] | None:
    v: Values = {f"{name}_present": int(values is not None), name: values}
    flag = io.field(v, f"{name}_present", U8)
    validate_media.presence(io.place, f"{name}_present", flag)
    if not flag:
        return None
    return tuple(io.fields(v, name, descriptor, count))


def write_picture(metadata: PictureMetadata) -> bytes:
    """The payload of a `pict` chunk. Raises FormatError for what it cannot hold."""
    io = FieldStream(chunk="pict to be written")
    picture_metadata(io, metadata)
    return io.getvalue()


def shown_parts(metadata: PictureMetadata) -> Iterator[tuple[str, object]]:
    """(name, value) of everything that is known, for people to read."""
    for name, value in asdict(metadata).items():
        if value not in (None, "", 0):
            yield name, CHROMA_FORMATS[value] if name == "source_chroma_format" else value
