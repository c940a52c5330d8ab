# SPDX-License-Identifier: MIT
"""`gsv decode` as a user runs it: kinds of output, ranges, sizes, rates; the outputs are probed with PyAV."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gscodec_cli import VideoDecoder
from gscodec_cli.video.reader import open_video
from tests.decoder.synthetic import make_file, make_header


def all_frames(path, **options) -> np.ndarray:
    return VideoDecoder(path, output="numpy", dimension_order="NHWC", **options)[:]


def test_mp4_keeps_times_shape_and_colour(gsv, clip, tmp_path):
    result = gsv("decode", clip, "-o", "a.mp4", "--quiet")
    assert (result.code, result.lines, result.out) == (0, [], b"")
    info = open_video(tmp_path / "a.mp4").info
    assert (info.width, info.height, info.frame_count, info.sar_num, info.sar_den) == (48, 32, 24, 4, 3)
    assert (info.time_base, info.frame_duration, info.start_pts) == (Fraction(1, 30000), 1001, 500)
    codes = (info.colour_primaries, info.transfer_characteristics, info.matrix_coefficients, info.full_range)
    assert codes == (9, 16, 9, 0)


def test_lossless_and_npy_and_raw_agree(gsv, clip, tmp_path):
    expected = all_frames(clip)
    assert gsv("decode", clip, "-o", "a.npy", "-q").code == 0
    assert gsv("decode", clip, "-o", "a.mkv", "--lossless").code == 0
    raw = gsv("decode", clip, "-o", "-")
    assert (raw.code, raw.lines) == (0, [])
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), expected)
    np.testing.assert_array_equal(np.stack([rgb for rgb, _ in open_video(tmp_path / "a.mkv")]), expected)
    assert raw.out == expected.tobytes()


def test_a_range_starts_where_the_clip_starts(gsv, clip, tmp_path):
    assert gsv("decode", clip, "-o", "p/%03d.png", "--frames", "8:12", "-q").code == 0
    assert sorted(f.name for f in (tmp_path / "p").iterdir()) == ["008.png", "009.png", "010.png", "011.png"]
    pictures = np.stack([rgb for rgb, _ in open_video(tmp_path / "p")])
    np.testing.assert_array_equal(pictures, all_frames(clip)[8:12])
    assert gsv("decode", clip, "-o", "part.mp4", "--frames", "8:", "-q").code == 0
    info = open_video(tmp_path / "part.mp4").info
    assert (info.frame_count, info.start_pts) == (16, 500)


def test_scale_and_size_draw_at_that_size(gsv, clip, tmp_path):
    assert gsv("decode", clip, "-o", "a.npy", "--scale", "1.5", "-q").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), all_frames(clip, size=(72, 48)))
    assert gsv("decode", clip, "-o", "b.mp4", "--size", "24x32", "-q").code == 0
    info = open_video(tmp_path / "b.mp4").info
    assert Fraction(info.sar_num, info.sar_den) == Fraction(8, 3)


def test_fps_draws_the_times_in_between(gsv, clip, tmp_path):
    assert gsv("decode", clip, "-o", "a.npy", "--fps", "60000/1001", "-q").code == 0
    doubled, frames = np.load(tmp_path / "a.npy"), all_frames(clip)
    np.testing.assert_array_equal(doubled[::2], frames)
    assert len(doubled) == 48
    between = VideoDecoder(clip, output="numpy", dimension_order="NHWC").get_frame_between(6.5)
    np.testing.assert_array_equal(doubled[13], between)
    assert gsv("decode", clip, "-o", "a.mp4", "--fps", "50", "-q").code == 0
    assert open_video(tmp_path / "a.mp4").info.frame_rate == 50


def test_irregular_times_come_back_exactly(gsv, tmp_path):
    header = make_header(frames=24, frame_duration=0, time_base_den=1000, start_pts=7)
    (tmp_path / "v.gsv").write_bytes(make_file(header))
    expected = [7 + 100 * f + 13 * (f % 3) for f in range(24)]
    for name in ("v.mp4", "v.mkv"):
        assert gsv("decode", "v.gsv", "-o", name, "-q").code == 0
        source = open_video(tmp_path / name)
        assert [pts * source.info.time_base * 1000 for pts in source.pts] == expected
    assert "keeps no times" in gsv("decode", "v.gsv", "-o", "v.y4m").lines[0]


@pytest.mark.parametrize("size", [(49, 33), (1, 1)])
def test_odd_sizes_need_no_padding(gsv, tmp_path, size):
    (tmp_path / "odd.gsv").write_bytes(make_file(make_header(*size, frames=2), gaussians=9))
    assert gsv("decode", "odd.gsv", "-o", "odd.mp4", "-q").code == 0
    assert (open_video(tmp_path / "odd.mp4").info.width, open_video(tmp_path / "odd.mp4").info.height) == size


def test_engines_agree(gsv, clip, tmp_path):
    for backend in ("cpu", "reference"):
        assert gsv("decode", clip, "-o", f"{backend}.npy", "--backend", backend, "--frames", ":3", "-q").code == 0
    fast, exact = (np.load(tmp_path / f"{backend}.npy").astype(int) for backend in ("cpu", "reference"))
    assert np.abs(fast - exact).max() <= 1


def test_clips_that_begin_before_zero_begin_at_zero(gsv, tmp_path):
    (tmp_path / "early.gsv").write_bytes(make_file(make_header(frames=4, start_pts=-7), gaussians=9))
    assert gsv("decode", "early.gsv", "-o", "early.mp4", "-q").code == 0
    source = open_video(tmp_path / "early.mp4")
    assert [pts * source.info.time_base * 25 for pts in source.pts] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "fields",
    [
        {"time_base_den": 2**32 - 1, "frame_duration": 1001},
        {"time_base_den": 1000, "frame_duration": 2**32 - 1},
        {"time_base_num": 2**32 - 1, "time_base_den": 1, "frame_duration": 2**32 - 1},
        {"start_pts": 2**62},
    ],
)
def test_times_no_container_holds_are_said(gsv, tmp_path, fields):
    (tmp_path / "odd.gsv").write_bytes(make_file(make_header(frames=4, **fields), gaussians=9))
    result = gsv("decode", "odd.gsv", "-o", "a.mp4", "-q")
    assert result.code == 1
    assert "cannot hold this clip's size or times" in result.error
    assert not (tmp_path / "a.mp4").exists()
    assert gsv("decode", "odd.gsv", "-o", "a.y4m", "-q").code == 0


def test_unusual_tags_do_not_stop_the_output(gsv, tmp_path):
    header = make_header(frames=2, sar_num=2**32 - 1, matrix_coefficients=8, colour_primaries=200)
    (tmp_path / "odd.gsv").write_bytes(make_file(header, gaussians=9))
    assert gsv("decode", "odd.gsv", "-o", "a.mp4", "-q").code == 0
    assert open_video(tmp_path / "a.mp4").info.matrix_coefficients == 6
