# SPDX-License-Identifier: MIT
"""Tags of a source's file and its chapters, read and written again. Imports no torch."""

from collections.abc import Iterator, Mapping
from typing import Any

from gscodec.format.tags import Chapter, Tags
from gscodec.format.validate_media import MAX_TAGS, MAX_TEXT, MAX_VALUE

_OF_THE_CONTAINER = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
# What FFmpeg's muxers write where players of these files look for it.
_USUAL = {"title", "comment", "date", "artist", "creation_time", "copyright", "genre", "album", "location"}
USUAL = {
    "mp4": _USUAL | {"description", "lyrics", "track", "synopsis", "show", "keywords", "composer", "location-eng"},
    "mov": _USUAL | {"make", "model", "location-eng"},
}


def source_tags(container: Any) -> Tags:
    """The tags of a file that can be kept, and its chapters."""
    values = [item for item in _own(container) if _fits(*item)]
    chapters = [_chapter(found) for found in container.chapters() if found["time_base"]]
    return Tags(tuple(values[:MAX_TAGS]), tuple(chapters[:MAX_TAGS]))


def notes_on_tags(container: Any) -> Iterator[str]:
    """In plain words, what of the tags and chapters is left out."""
    long = sorted(name for name, value in _own(container) if not _fits(name, value))
    if long:
        yield f"tags are left out, they are too long: {', '.join(long)}"
    for what, count in (("tags", sum(1 for _ in _own(container)) - len(long)), ("chapters", len(container.chapters()))):
        if count > MAX_TAGS:
            yield f"only the first {MAX_TAGS} of {count} {what} are kept"


def _own(container: Any) -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in container.metadata.items() if name.lower() not in _OF_THE_CONTAINER)


def _fits(name: str, value: str) -> bool:
    return len(name.encode()) <= MAX_TEXT and len(value.encode()) <= MAX_VALUE


def _chapter(found: Mapping[str, Any]) -> Chapter:
    base, start = found["time_base"], found["start"]
    title = found["metadata"].get("title", "").encode()[:MAX_TEXT].decode(errors="ignore")
    return Chapter(base.numerator, base.denominator, start, max(0, found["end"] - start), title)


def muxer_options(format: str, tags: Tags) -> dict[str, str]:
    """Options of the MP4 and MOV muxers by which all of the tags are written: in the usual place, or in Apple's."""
    unusual = [name for name, _ in tags.values if name.lower() not in USUAL.get(format, ())]
    return {"movflags": "use_metadata_tags"} if unusual and format in USUAL else {}


def put_tags(container: Any, tags: Tags) -> None:
    """Give a container that is to be written its tags and chapters."""
    container.metadata.update(tags.values)
    container.set_chapters(
        [
            {
                "id": number,
                "start": chapter.start,
                "end": chapter.start + chapter.duration,
                "time_base": chapter.time_base,
                "metadata": {"title": chapter.title} if chapter.title else {},
            }
            for number, chapter in enumerate(tags.chapters)
        ]
    )
