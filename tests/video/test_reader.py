# SPDX-License-Identifier: MIT
"""Reading clips: exact pixels, times, colour, ranges, and one clear error for everything that cannot be read."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest

from gscodec_cli.errors import MediaError
from gscodec_cli.video.info import regular_timing
from gscodec_cli.video.reader import open_video
from gscodec_cli.video.writer import ClipFormat, WriteOptions, open_writer


def frames_of(source) -> list[tuple[str, int]]:
    return [(hashlib.sha256(rgb.tobytes()).hexdigest(), pts) for rgb, pts in source]


def noise(count: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(count * height).integers(0, 256, (count, height, width, 3)).astype(np.uint8)


def write_clip(path, frames: np.ndarray, **options) -> None:
    clip = ClipFormat(frames.shape[2], frames.shape[1], len(frames), Fraction(1, 25), 1)
    with open_writer(str(path), clip, WriteOptions(**options)) as writer:
        for index, rgb in enumerate(frames):
            writer.write(rgb, index, 1)


def test_rgb_video_is_bit_exact(tmp_path):
    frames = noise(5, 18, 34)
    write_clip(tmp_path / "a.mkv", frames, lossless=True)
    source = open_video(tmp_path / "a.mkv")
    assert source.info.matrix_coefficients == 0
    assert source.info.full_range == 1
    np.testing.assert_array_equal(np.stack([rgb for rgb, _ in source]), frames)


@pytest.mark.parametrize("what", ["pattern", "folder"])
def test_pictures_are_bit_exact_and_in_numeric_order(tmp_path, what):
    frames = noise(11, 9, 13)
    write_clip(tmp_path / "p" / "img_%d.png", frames)  # img_10 comes after img_9
    source = open_video(tmp_path / "p" / ("img_%d.png" if what == "pattern" else ""))
    assert (len(source), source.info.width, source.info.height) == (11, 13, 9)
    np.testing.assert_array_equal(np.stack([rgb for rgb, _ in source]), frames)
    part = source.subrange(8, 11)
    np.testing.assert_array_equal(np.stack([rgb for rgb, _ in part]), frames[8:])


def test_gray_and_transparent_pictures(tmp_path):
    for number, (pixel_format, shape) in enumerate([("gray", (4, 6)), ("rgba", (4, 6, 4))]):
        frame = av.VideoFrame.from_ndarray(np.full(shape, 100, np.uint8), format=pixel_format)
        codec = av.CodecContext.create("png", "w")
        codec.width, codec.height, codec.pix_fmt, codec.time_base = 6, 4, pixel_format, Fraction(1, 25)
        (tmp_path / f"{number}.png").write_bytes(b"".join(bytes(p) for p in [*codec.encode(frame), *codec.encode()]))
    for rgb, _ in open_video(tmp_path):
        assert (rgb == 100).all()


@pytest.mark.parametrize("name", ["vp9_10bit.webm", "odd_dims_vp9.webm", "phone_1080p_hlg10_rot_editlist_audio.mp4"])
def test_a_range_gives_the_frames_of_the_whole(shared_data, name):
    path = shared_data / "edge" / name
    size = (64, 48)
    whole = frames_of(open_video(path, size=size, frames=(0, 30)))
    for start, stop in ((1, 3), (17, 19), (29, 30)):
        assert frames_of(open_video(path, frames=(start, stop), size=size)) == whole[start:stop]
    assert frames_of(open_video(path, size=size).subrange(5, 9)) == whole[5:9]


@pytest.mark.parametrize(
    ("name", "frames", "timing", "colour"),
    [
        ("edge/bt601_640x428_audio.mov", 30, (Fraction(1, 30000), 1001), (6, 1, 6, 0, 6)),
        ("edge/fullrange709_1280x720_30f.mp4", 30, (Fraction(1, 15360), 512), (1, 1, 1, 1, 1)),
        ("edge/hdr10_1080p_vfr_audio.mp4", 28, (Fraction(1, 90000), 0), (9, 16, 9, 0, 9)),
        ("edge/odd_dims_vp9.webm", 30, (Fraction(1, 2997), 100), (2, 2, 2, 0, 6)),
        ("edge/yuv444_1280x720_280f_mp3audio.mp4", 280, (Fraction(1, 10240), 512), (2, 2, 2, 2, 1)),
        ("edge/phone_1080p_hlg10_rot_editlist_audio.mp4", 77, (Fraction(1, 600), 0), (9, 18, 9, 0, 9)),
        ("edge/vp9_10bit.webm", 72, (Fraction(1, 24000), 1001), (2, 2, 9, 0, 9)),
        ("dev/bikes_640x272_120f_cuts.mp4", 120, (Fraction(1, 12800), 512), (2, 2, 2, 2, 6)),
    ],
)
def test_what_is_known_of_real_files(shared_data, name, frames, timing, colour):
    info = open_video(shared_data / name).info
    codes = (info.colour_primaries, info.transfer_characteristics, info.matrix_coefficients, info.full_range)
    assert info.frame_count == frames
    assert (info.time_base, info.frame_duration) == timing
    assert (*codes, info.conversion_matrix) == colour
    assert any("not stated" in text for text in info.notes) == (info.matrix_coefficients == 2)


def test_start_and_irregular_times_are_kept(shared_data):
    assert open_video(shared_data / "dev/bikes_640x272_120f_cuts.mp4").info.start_pts == 1024
    source = open_video(shared_data / "edge/vfr_slowmo_720p.mp4", size=(16, 16))
    with av.open(str(shared_data / "edge/vfr_slowmo_720p.mp4")) as container:
        expected = [frame.pts for frame in container.decode(video=0)]
    assert source.pts == expected
    assert [pts for _, pts in source] == expected


def test_resizing_keeps_the_shape_by_the_sample_aspect(shared_data):
    info = open_video(shared_data / "edge/carphone_176x144_120f.mp4", size=(88, 144)).info
    assert Fraction(info.sar_num, info.sar_den) == Fraction(128, 117) * 2


def test_times_rounded_to_milliseconds_become_exact():
    rate = Fraction(30000, 1001)
    pts = [round(i * 1000 / rate) for i in range(1000)]
    timing = regular_timing(pts, Fraction(1, 1000), [rate])
    assert timing.frame_duration * timing.time_base == 1 / rate
    assert [round(p * timing.time_base * 1000) for p in timing.pts] == pts


def test_irregular_times_are_not_made_regular():
    pts = [0, 40, 80, 130, 160]
    assert regular_timing(pts, Fraction(1, 1000), [Fraction(25)]).frame_duration == 0


def not_media(folder) -> list:
    """Files that are no readable video, each with what the error must say."""
    (folder / "text.mp4").write_text("this is no video\n" * 50)
    (folder / "empty.mp4").touch()
    (folder / "folder").mkdir()
    with av.open(str(folder / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    return [
        ("text.mp4", "not a readable video"),
        ("empty.mp4", "not a readable video"),
        ("missing.mp4", "No such file"),
        ("sound.wav", "no video stream"),
        ("folder", "no pictures"),
        ("img_%03d.png", "no file matches"),
    ]


def test_what_is_no_video_is_said_in_one_line(tmp_path):
    for name, expected in not_media(tmp_path):
        with pytest.raises(MediaError) as caught:
            open_video(tmp_path / name)
        assert expected in str(caught.value)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_broken_picture_is_named(tmp_path):
    write_clip(tmp_path / "%d.png", noise(3, 8, 8))
    (tmp_path / "1.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"1\.png"):
        list(open_video(tmp_path / "%d.png"))


def test_pictures_of_different_sizes_are_refused(tmp_path):
    write_clip(tmp_path / "%d.png", noise(2, 8, 8))
    write_clip(tmp_path / "2.png", noise(1, 8, 10))
    with pytest.raises(MediaError, match="10x8"):
        list(open_video(tmp_path))


@pytest.mark.parametrize("frames", [(5, 5), (0, 6), (7, 9)])
def test_frames_outside_the_clip_are_refused(tmp_path, frames):
    write_clip(tmp_path / "%d.png", noise(5, 8, 8))
    with pytest.raises(MediaError, match="outside the clip's 5 frames"):
        open_video(tmp_path, frames=frames)
