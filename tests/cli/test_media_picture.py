# SPDX-License-Identifier: MIT
"""Properties of the picture: orientation, shape, colour, depth and HDR come back; what is converted is said."""

from __future__ import annotations

import json
from fractions import Fraction

import av
import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.media import read_media
from gscodec.format.picture import PictureMetadata
from gscodec_cli.errors import MediaError
from gscodec_cli.video.reader import open_video
from gscodec_cli.video.writer import ClipFormat, WriteOptions, open_writer
from tests.cli.media import (
    TINY,
    colour_of,
    display_matrix,
    first_frame,
    gsv,
    make_clip,
    picture_stream,
    side_data,
    through,
    times_of,
)
from tests.decoder.synthetic import make_file, make_header

PART = ("--frames", "0:3")
SMALL = (*PART, "--resize", "64x48")
HDR = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
INTERLACED = {"flags": (1 << 18) | (1 << 29), "options": {"x264-params": "interlaced=1"}}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(
    "name",
    ["rot90_1280x720_149f_audio.mp4", "rotate_reflect_1080x720_audio.mp4", "phone_1080p_hlg10_rot_editlist_audio.mp4"],
)
def test_orientation_comes_back(shared_data, tmp_path, name, suffix):
    source = shared_data / "edge" / name
    out = through(source, tmp_path, suffix, encode=SMALL)
    before, after = display_matrix(source), display_matrix(out)
    assert before is not None
    assert after is not None
    linear = [0, 1, 3, 4]  # MKV holds angles, so no translation
    assert after == before if suffix == ".mp4" else [after[i] for i in linear] == [before[i] for i in linear]
    assert picture_stream(out)["size"] == (64, 48)
    assert len(times_of(out)) == 3


@pytest.mark.parametrize(
    ("name", "colour"),
    [
        ("edge/bt601_640x428_audio.mov", (6, 1, 6, 0)),
        ("edge/fullrange709_1280x720_30f.mp4", (1, 1, 1, 1)),
        ("edge/hdr10_1080p_vfr_audio.mp4", (9, 16, 9, 0)),
        ("edge/phone_1080p_hlg10_rot_editlist_audio.mp4", (9, 18, 9, 0)),
        ("edge/shorter_audio.mp4", (5, 6, 6, 1)),
        ("dev/phone_1024x768rot_58f_vfr.mp4", (1, 1, 1, 1)),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colour_tags_come_back(shared_data, tmp_path, name, colour, suffix):
    assert colour_of(shared_data / name) == colour
    assert colour_of(through(shared_data / name, tmp_path, suffix, encode=SMALL)) == colour


@pytest.mark.parametrize("name", ["odd_dims_vp9.webm", "carphone_176x144_120f.mp4", "hevc_10bit_200x200.mp4"])
def test_sizes_and_sample_shapes_come_back(shared_data, tmp_path, name):
    source = shared_data / "edge" / name
    before, after = picture_stream(source), picture_stream(through(source, tmp_path, ".mp4", encode=PART))
    assert (after["size"], after["sar"]) == (before["size"], before["sar"])


def test_a_cropped_picture_is_what_is_shown(tmp_path):
    source = make_clip(tmp_path / "in.mp4", options={"x264-params": "crop-rect=2,4,6,8", "qp": "0"})
    assert picture_stream(source)["size"] == (56, 36)
    assert picture_stream(through(source, tmp_path, ".mp4"))["size"] == (56, 36)
    assert next(iter(open_video(source)))[0].shape == (36, 56, 3)


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        *((f, "libx264") for f in ("yuv422p", "yuv444p")),
        *((f, "libx265") for f in ("yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p12le")),
    ],
)
def test_chroma_format_and_depth_come_back(tmp_path, format, codec):
    silent = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    source = make_clip(tmp_path / "in.mkv", format=format, codec=codec, options=silent)
    out = through(source, tmp_path, ".mp4", encode=PART)
    assert first_frame(out).format.name == first_frame(source).format.name == format
    narrower = through(source, tmp_path, ".mp4", encode=PART, decode=["--pixel-format", "yuv420p"])
    assert first_frame(narrower).format.name == "yuv420p"


def test_ten_bits_survive_the_whole_way(tmp_path):
    """Steps of 1 in 1023 that 8 bits cannot tell apart, through the decoder's pictures and lossless files."""
    header = make_header(frames=3, bit_depth=10, transfer_characteristics=16, matrix_coefficients=9, full_range=0)
    (tmp_path / "clip.gsv").write_bytes(make_file(header))
    gsv("decode", tmp_path / "clip.gsv", "-o", tmp_path / "out.npy", "--quiet")
    drawn = np.load(tmp_path / "out.npy")
    assert drawn.dtype == np.uint16
    assert len(np.unique(drawn // 257)) < len(np.unique(drawn // 64))
    for name in ("a.png", "a.mkv"):
        target = tmp_path / ("%d.png" if name == "a.png" else name)
        gsv("decode", tmp_path / "clip.gsv", "-o", target, "--quiet", *(["--lossless"] if name == "a.mkv" else []))
        back = np.stack([rgb for rgb, _ in open_video(target)])
        worst = np.abs(back.astype(int) - drawn).max()
        assert worst == 0 if name == "a.png" else worst <= 32  # half a step of 10 bits
    gsv("decode", tmp_path / "clip.gsv", "-o", tmp_path / "a.y4m", "--quiet")
    assert first_frame(tmp_path / "a.y4m").format.name == "yuv420p10le"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_hdr_metadata_comes_back(tmp_path, suffix):
    options = {"x265-params": f"log-level=none:{HDR}"}
    source = make_clip(tmp_path / "in.mp4", format="yuv420p10le", codec="libx265", options=options, tags=(9, 16, 9, 0))
    before, after = first_frame(source), first_frame(through(source, tmp_path, suffix))
    for name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert side_data(after, name) == side_data(before, name) is not None
    picture = read_media(ContainerReader((tmp_path / "clip.gsv").read_bytes())).picture
    assert picture is not None
    assert (picture.mastering_luminance, picture.content_light) == ((10000000, 50), (1000, 400))
    assert (picture.source_codec, picture.source_bit_depth) == ("hevc", 10)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_clips_of_one_frame_of_ten_bits(tmp_path, suffix):
    """x265 makes up decoding times where it could reorder frames and has none."""
    for turned in (None, (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)):
        write_clip(tmp_path / f"a{suffix}", np.zeros((1, 48, 64, 3), np.uint16), turned)
        assert len(times_of(tmp_path / f"a{suffix}")) == 1
        assert display_matrix(tmp_path / f"a{suffix}") == turned


def write_clip(path, frames, matrix=None):
    """Write frames of 10 bits at 25 frames per second."""
    picture = PictureMetadata(display_matrix=matrix)
    size = frames.shape[2], frames.shape[1]
    clip = ClipFormat(*size, len(frames), Fraction(1, 25), 1, bit_depth=10, picture=picture)
    with open_writer(str(path), clip, WriteOptions(overwrite=True)) as writer:
        for index, rgb in enumerate(frames):
            writer.write(rgb, index, 1)


def test_hdr_metadata_of_a_real_file_is_stored(shared_data, tmp_path, capsys):
    source = shared_data / "edge" / "hdr10_1080p_vfr_audio.mp4"
    gsv("encode", source, "-o", tmp_path / "a.gsv", *TINY, *SMALL)
    assert "not carried: HDR10+ metadata" in capsys.readouterr().err
    gsv("info", tmp_path / "a.gsv", "--json")
    picture = json.loads(capsys.readouterr().out)["picture"]
    assert picture["mastering_primaries"] == [7500, 3000, 34000, 16000, 13250, 34500, 15635, 16450]
    assert picture["content_light"] == [1000, 200]


def test_interlaced_clips_are_deinterlaced(tmp_path, capsys):
    source = make_clip(tmp_path / "in.mp4", pts=range(8), **INTERLACED)
    assert first_frame(source).interlaced_frame
    out = through(source, tmp_path, ".mp4", encode=["--frames", "0:8"])
    assert not first_frame(out).interlaced_frame
    assert times_of(out) == times_of(source)
    gsv("encode", source, "-o", tmp_path / "b.gsv", *TINY, *PART)
    assert "interlaced: it is deinterlaced (bwdif), one frame for each" in capsys.readouterr().err
    whole = [rgb for rgb, _ in open_video(source)]
    assert len(whole) == 8
    for start in (3, 5):
        part = [rgb for rgb, _ in open_video(source, frames=(start, start + 2))]
        np.testing.assert_array_equal(part, whole[start : start + 2])
    with av.open(str(source)) as container:
        coded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(whole[0].astype(int) - coded).max() > 5  # lines of the other field are new


def test_fields_after_whole_frames_are_refused(tmp_path):
    frames = make_clip(tmp_path / "a.ts", pts=range(3), options={"bf": "0"})
    fields = make_clip(tmp_path / "b.ts", pts=range(3, 6), **INTERLACED)
    (tmp_path / "mixed.ts").write_bytes(frames.read_bytes() + fields.read_bytes())
    with pytest.raises(MediaError, match=r"frame \d is interlaced, the frames before it are not; deinterlace"):
        list(open_video(tmp_path / "mixed.ts"))


def test_transparency_is_dropped_with_a_warning(tmp_path, capsys):
    source = make_clip(tmp_path / "in.mkv", format="yuva420p", codec="ffv1")
    gsv("encode", source, "-o", tmp_path / "a.gsv", *TINY, *PART)
    assert "transparency is dropped" in capsys.readouterr().err
    opaque = make_clip(tmp_path / "b.mkv", format="yuv420p", codec="ffv1")
    np.testing.assert_array_equal(next(iter(open_video(source)))[0], next(iter(open_video(opaque)))[0])


def test_a_dated_rate_is_kept_and_jitter_too(tmp_path):
    jitter = make_clip(tmp_path / "in.mp4", pts=[0, 20, 41, 60, 80, 101], time_base=Fraction(1, 600))
    info = open_video(jitter).info
    assert info.frame_duration == 0
    assert times_of(through(jitter, tmp_path, ".mp4")) == times_of(jitter)
