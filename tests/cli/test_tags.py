# SPDX-License-Identifier: MIT
"""Tags of the source's file and its chapters: through every container, in parts, and left out where asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests.cli.media import TINY, gsv, make_clip, through, times_of

TAGS = {
    "title": "Am Bodensee",
    "comment": "\u00fc" * 300,
    "date": "2020-01-02",
    "creation_time": "2020-01-02T03:04:05.000000Z",
    "copyright": "nobody",
}
UNUSUAL = {"com.apple.quicktime.make": "a camera", "encoded_by": "somebody", "my_own": "words"}
CHAPTERS = [(0, 80, "one"), (80, 160, "zwei \u00fc"), (160, 240, "")]  # milliseconds
OF_THE_CONTAINER = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")


def make_tagged(path: Path, tags: dict[str, str], chapters: Sequence[tuple[int, int, str]] = ()) -> Path:
    """A clip of 6 frames, 240 ms, with tags and chapters."""
    plain = make_clip(path.with_name("plain.mp4"))
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        new.metadata.update(tags)
        new.set_chapters(
            [
                {"id": n, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": t} if t else {}}
                for n, (a, b, t) in enumerate(chapters)
            ]
        )
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return path


@pytest.fixture
def source(tmp_path) -> Path:
    """A clip with tags and three chapters."""
    return make_tagged(tmp_path / "in.mkv", TAGS, CHAPTERS)


def tags_of(path: Path) -> dict[str, str]:
    """The tags that are not the container's own."""
    with av.open(str(path)) as container:
        found = {name.lower(): value for name, value in container.metadata.items()}
    return {name: value for name, value in found.items() if name not in OF_THE_CONTAINER}


def chapters_of(path: Path) -> list[tuple[int, int, str]]:
    """(start, end, title) in milliseconds."""
    with av.open(str(path)) as container:
        found = [(c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]) for c in container.chapters()]
    return [(round(1000 * start), round(1000 * end), names.get("title", "")) for start, end, names in found]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_tags_and_chapters_come_back(source, tmp_path, suffix):
    assert tags_of(source) == TAGS
    out = through(source, tmp_path, suffix)
    assert tags_of(out) == TAGS
    assert chapters_of(out) == CHAPTERS


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_tags_that_players_do_not_know_come_back(tmp_path, suffix):
    source = make_tagged(tmp_path / "in.mkv", TAGS | UNUSUAL)
    assert tags_of(through(source, tmp_path, suffix)) == TAGS | UNUSUAL


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_place_of_a_clip_comes_back(tmp_path, suffix):
    source = make_tagged(tmp_path / f"in{suffix}", {"location": "+47.6000+009.5000/"})
    assert "+47.6000+009.5000/" in tags_of(source).values()
    assert tags_of(through(source, tmp_path, suffix)) == tags_of(source)


def test_tags_are_left_out_where_asked(source, tmp_path):
    for options in ({"encode": ["--no-tags"]}, {"decode": ["--no-tags"]}):
        out = through(source, tmp_path, ".mkv", **options)
        assert (tags_of(out), chapters_of(out)) == ({}, [])
    assert b"Bodensee" in (tmp_path / "clip.gsv").read_bytes()
    gsv("encode", source, "-o", tmp_path / "clip.gsv", *TINY, "--no-tags", "--quiet")
    assert b"Bodensee" not in (tmp_path / "clip.gsv").read_bytes()


def test_parts_have_their_chapters(source, tmp_path):
    late = through(source, tmp_path, ".mkv", encode=["--frames", "3:6"])
    assert times_of(late)[0] == Fraction(120, 1000)
    assert chapters_of(late) == [(120, 160, "zwei \u00fc"), (160, 240, "")]
    part = through(source, tmp_path, ".mkv", decode=["--frames", "1:3"])
    assert chapters_of(part) == [(0, 40, "one"), (40, 80, "zwei \u00fc")]


def test_chapters_go_with_their_gops(source, tmp_path):
    gsv("encode", source, "-o", tmp_path / "all.gsv", *TINY, "--gop", 2, "--keyint", 2, "--quiet")
    gsv("cut", tmp_path / "all.gsv", "-o", tmp_path / "end.gsv", "--frames", "2:6", "--quiet")
    gsv("concat", tmp_path / "end.gsv", tmp_path / "all.gsv", "-o", tmp_path / "both.gsv", "--quiet")
    gsv("decode", tmp_path / "both.gsv", "-o", tmp_path / "both.mkv", "--quiet")
    moved = [(160 + a, 160 + b, title) for a, b, title in CHAPTERS]
    assert chapters_of(tmp_path / "both.mkv") == [(0, 80, "zwei \u00fc"), (80, 160, ""), *moved]
    assert tags_of(tmp_path / "both.mkv") == TAGS


def test_info_shows_them_and_pictures_cannot_hold_them(source, tmp_path, capsys):
    gsv("encode", source, "-o", tmp_path / "a.gsv", *TINY, "--quiet")
    gsv("info", tmp_path / "a.gsv", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert {name.lower(): value for name, value in facts["tags"]} == TAGS
    assert facts["chapters"][1] == {"start": 0.08, "end": 0.16, "title": "zwei \u00fc"}
    gsv("info", tmp_path / "a.gsv")
    assert "Am Bodensee" in capsys.readouterr().out
    gsv("decode", tmp_path / "a.gsv", "-o", tmp_path / "a.npy")
    assert "holds no tags" in capsys.readouterr().err
