# SPDX-License-Identifier: MIT
"""tags() of SPEC 5.19: title, place, date and the like of the source's file, and its chapters.

Imports the standard library and the format's own modules.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

from . import validate, validate_media
from .picture import text
from .schema import SVAR64, UVAR, UVAR64, FieldStream, Values

TAG_BYTES, CHAPTER_BYTES = 2, 5  # at least, of one in the chunk


@dataclass(frozen=True)
class Chapter:
    """A part of the clip with a name; `start` and `duration` in ticks of its own time base, on the frames' clock."""

    time_base_num: int
    time_base_den: int
    start: int
    duration: int
    title: str = ""

    @property
    def time_base(self) -> Fraction:
        """Seconds of a tick."""
        return Fraction(self.time_base_num, self.time_base_den)


@dataclass(frozen=True)
class Tags:
    """The chunk `tags`: (name, value) of each, in the source's order, and the chapters."""

    values: tuple[tuple[str, str], ...] = ()
    chapters: tuple[Chapter, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.values or self.chapters)


def tags(io: FieldStream, record: Tags | None) -> Tags:
    """Transfer the payload of a `tags` chunk. Raises FormatError."""
    v: Values = {} if record is None else {"tag_count": len(record.values), "chapter_count": len(record.chapters)}
    values, chapters = [], []
    for i in range(_count(io, v, "tag_count", TAG_BYTES)):
        with io.scope(f"tag[{i}]"):
            values.append(_tag(io, None if record is None else record.values[i]))
    for i in range(_count(io, v, "chapter_count", CHAPTER_BYTES)):
        with io.scope(f"chapter[{i}]"):
            chapters.append(_chapter(io, None if record is None else record.chapters[i]))
    return Tags(tuple(values), tuple(chapters))


def _count(io: FieldStream, v: Values, name: str, least: int) -> int:
    count: int = io.field(v, name, UVAR)
    validate_media.tag_count(io.place, name, count)
    if io.reading:
        validate.bytes_are_there(io.place, least * count, io.remaining)
    return count


def _tag(io: FieldStream, tag: tuple[str, str] | None) -> tuple[str, str]:
    v: Values = {} if tag is None else {"name": tag[0], "value": tag[1].encode()}
    text(io, v, "name")
    size: Values = {"value_length": len(v.get("value", b""))}
    value = io.raw(v, "value", io.field(size, "value_length", UVAR))
    validate_media.tag_value(io.place, value)
    return v["name"], value.decode()


def _chapter(io: FieldStream, chapter: Chapter | None) -> Chapter:
    v: Values = {} if chapter is None else asdict(chapter)
    for name in ("time_base_num", "time_base_den"):
        validate_media.chapter_time_base(io.place, name, io.field(v, name, UVAR))
    start, duration = io.field(v, "start", SVAR64), io.field(v, "duration", UVAR64)
    validate_media.chapter_time_fits(io.place, start + duration)
    text(io, v, "title")
    return Chapter(**v)


def write_tags(record: Tags) -> bytes:
    """The payload of a `tags` chunk. Raises FormatError for what it cannot hold."""
    io = FieldStream(chunk="tags to be written")
    tags(io, record)
    return io.getvalue()


def moved(
    chapters: Iterable[Chapter], begin: Fraction | None, end: Fraction | None, shift: Fraction
) -> Iterator[Chapter]:
    """What of the chapters lies between two times in seconds (None: all there is), `shift` seconds later."""
    for chapter in chapters:
        base = chapter.time_base
        first, last = chapter.start * base, (chapter.start + chapter.duration) * base
        first = first if begin is None else max(first, begin)
        last = last if end is None else min(last, end)
        if first < last:
            start = round((first + shift) / base)
            yield replace(chapter, start=start, duration=max(1, round((last + shift) / base) - start))
