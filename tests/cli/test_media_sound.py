# SPDX-License-Identifier: MIT
"""Sound, subtitles and time: packets and time stamps of the source come back exactly, and what cannot is said."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.media import read_media, read_packets
from gscodec.format.sequential import SequentialReader
from gscodec_cli.errors import OutputError
from tests.cli.media import TINY, gsv, make_clip, packets_of, picture_stream, through, times_of

SMALL = ("--resize", "32x24")


@pytest.mark.parametrize(
    "name",
    [
        "bt601_640x428_audio.mov",  # sound begins 44 ms after the picture
        "fps12_5_720p_audio.mp4",  # lead-in before 0
        "hdr10_1080p_vfr_audio.mp4",
        "multistream_audio_subs_nasa.mp4",
        "phone_1080p_hlg10_rot_editlist_audio.mp4",
        "rotate_reflect_1080x720_audio.mp4",
        "shorter_audio.mp4",
        "vfr_slowmo_720p.mp4",
    ],
)
def test_packets_and_frame_times_are_exact_in_mp4(shared_data, tmp_path, name):
    source = shared_data / "edge" / name
    out = through(source, tmp_path, ".mp4", encode=SMALL)
    assert packets_of(out) == packets_of(source)
    assert times_of(out) == times_of(source)
    before, after = picture_stream(source), picture_stream(out)
    assert after["seconds"] == before["seconds"]
    assert sorted(after["streams"][1:]) == sorted(s for s in before["streams"] if s[0] in ("audio", "subtitle"))


@pytest.mark.parametrize("name", ["phone_1024x768rot_58f_vfr.mp4", "bikes_640x272_120f_cuts.mp4"])
def test_irregular_times_start_and_last_frame_are_exact(shared_data, tmp_path, name):
    source = shared_data / "dev" / name
    out = through(source, tmp_path, ".mp4", encode=SMALL)
    assert times_of(out) == times_of(source)
    assert picture_stream(out)["seconds"] == picture_stream(source)["seconds"]


@pytest.mark.parametrize(("pts", "sound_at"), [([50, 51, 52, 55], 0), ([0, 1, 2, 3], 2000), ([0, 2, 3], 0)])
def test_the_offset_between_picture_and_sound_stays(tmp_path, pts, sound_at):
    source = make_clip(tmp_path / "in.mp4", pts=pts, sound_at=sound_at)
    out = through(source, tmp_path, ".mp4")
    assert packets_of(out) == packets_of(source) != []
    assert times_of(out) == times_of(source)


def test_mkv_keeps_sync_and_packets(shared_data, tmp_path):
    source = shared_data / "edge" / "fps12_5_720p_audio.mp4"  # its sound has a lead-in before 0
    out = through(source, tmp_path, ".mkv", encode=SMALL)
    [before], [after], times, shown = packets_of(source), packets_of(out), times_of(source), times_of(out)
    assert [data for *_, data in after] == [data for *_, data in before]
    offsets = before[0][0] - times[0], after[0][0] - shown[0]
    assert abs(offsets[0] - offsets[1]) <= Fraction(1, 1000)
    assert all(abs((b - times[0]) - (a - shown[0])) <= Fraction(1, 1000) for b, a in zip(times, shown, strict=True))


def test_a_container_that_cannot_hold_a_stream_says_so(shared_data, tmp_path):
    source = shared_data / "edge" / "multistream_audio_subs_nasa.mp4"
    part = (*SMALL, "--frames", "0:5")
    with pytest.raises(OutputError, match=r"cannot hold stream 1 .subtitles, mov_text.; write .mp4, .*--no-subtitles"):
        through(source, tmp_path, ".mkv", encode=part)
    assert not (tmp_path / "out.mkv").exists()
    out = through(source, tmp_path, ".mkv", encode=part, decode=["--no-subtitles"])
    assert [kind for kind, *_ in picture_stream(out)["streams"]] == ["video", "audio", "audio"]
    mkv = make_clip(tmp_path / "tta.mkv", sound_at=0, sound="tta")
    with pytest.raises(OutputError, match=r"mp4 cannot hold stream 0 .sound, tta.; write .mkv, .*--no-audio"):
        through(mkv, tmp_path, ".mp4")


def test_sound_is_left_out_on_request(tmp_path, capsys):
    source = make_clip(tmp_path / "in.mp4", sound_at=0)
    assert packets_of(through(source, tmp_path, ".mp4", decode=["--no-audio"])) == []
    gsv("decode", tmp_path / "clip.gsv", "-o", tmp_path / "out.y4m")
    assert "holds no sound; use .mp4 or .mkv" in capsys.readouterr().err
    assert packets_of(through(source, tmp_path, ".mp4", encode=["--no-audio"])) == []
    assert read_media(ContainerReader((tmp_path / "clip.gsv").read_bytes())).streams == ()


def test_a_part_takes_its_own_sound_along(tmp_path):
    source = make_clip(tmp_path / "in.mp4", pts=range(20), sound_at=0)
    [whole] = packets_of(source)
    begin, end = Fraction(8, 25), Fraction(14, 25)
    inside = [p for p in whole if p[0] + p[1] > begin and p[0] < end]
    assert 0 < len(inside) < len(whole)
    for encode, decode in ((["--frames", "8:14"], []), (["--gop", "4"], ["--frames", "8:14"])):
        out = through(source, tmp_path, ".mp4", encode=encode, decode=decode)
        [part] = packets_of(out)
        assert [data for *_, data in part] == [data for *_, data in inside]
        assert part[0][0] - times_of(out)[0] == inside[0][0] - begin


def test_packets_stand_before_the_gop_of_their_time(tmp_path):
    source = make_clip(tmp_path / "in.mp4", pts=range(20), sound_at=0)
    gsv("encode", source, "-o", tmp_path / "clip.gsv", *TINY, "--gop", "5", "--quiet")
    reader = ContainerReader((tmp_path / "clip.gsv").read_bytes())
    reader.verify()
    [info] = read_media(reader).streams
    by_gop = [read_packets(reader, index, 1) for index in range(reader.gop_count + 1)]
    assert [p.data for gop in by_gop for p in gop] == [data for *_, data in packets_of(source)[0]]
    for index, gop in enumerate(by_gop[:-1]):
        assert all(Fraction(p.pts, info.time_base_den) < Fraction(5 * index + 5, 25) for p in gop) or index == 3
    with open(tmp_path / "clip.gsv", "rb") as file:
        stream = SequentialReader(file)
        assert read_media(stream) == read_media(reader)
        assert [read_packets(stream, index, 1) for index in stream.indices()] == by_gop[:-1]
        assert stream.media_bytes == reader.media_bytes > 0


def test_bits_per_pixel_leave_sound_out(tmp_path, capsys):
    source = make_clip(tmp_path / "in.mp4", sound_at=0)
    facts = []
    for extra in ([], ["--no-audio"]):
        gsv("encode", source, "-o", tmp_path / "clip.gsv", *TINY, "--json", "--quiet", *extra)
        coded = json.loads(capsys.readouterr().out)
        gsv("info", tmp_path / "clip.gsv", "--json")
        facts.append(json.loads(capsys.readouterr().out))
        assert coded["bpp"] == facts[-1]["bpp"]
    loud, silent = facts
    assert loud["bpp"] == pytest.approx(silent["bpp"], rel=0.01)
    assert loud["bytes"] > silent["bytes"] + loud["streams"][0]["bytes"]
    assert loud["streams"][0]["bytes"] == sum(len(data) for *_, data in packets_of(source)[0])
    assert sum(loud["bits"].values()) == 8 * loud["bytes"]


def test_what_is_not_copied_is_said(shared_data, tmp_path, capsys):
    for name, said in (
        ("multistream_audio_subs_nasa.mp4", "stream 3 is a second picture: only stream 0 is encoded"),
        ("phone_1080p_hlg10_rot_editlist_audio.mp4", "stream 2 (data) is left out"),
    ):
        gsv("encode", shared_data / "edge" / name, "-o", tmp_path / "a.gsv", *TINY, *SMALL, "--frames", "0:2")
        assert said in capsys.readouterr().err
