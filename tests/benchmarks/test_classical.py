# SPDX-License-Identifier: MIT
"""x264, x265 and SVT-AV1 on a made-up clip: same frames, same key-frame distance, curves that enclose the rates."""

from __future__ import annotations

import pytest

from benchmarks.classical import CODECS, Encode, complete, curve_name
from benchmarks.clips import Clip
from benchmarks.points import Table


@pytest.fixture(scope="module")
def clip(pictures) -> Clip:
    return Clip(pictures)


@pytest.mark.parametrize("codec", CODECS)
def test_a_curve_encloses_the_rates_and_is_not_measured_twice(codec, clip, tmp_path):
    rates = [0.1, 0.3]
    table = Table(tmp_path / "rd.csv")
    points = list(complete(table, clip, codec, 144, rates, again=False))
    bpps = [point.bpp for point in points]
    assert bpps == sorted(bpps)
    assert sum(bpp <= rates[0] for bpp in bpps) <= 1
    assert sum(bpp >= rates[-1] for bpp in bpps) == 1
    assert points[-1].rgb_psnr > points[0].rgb_psnr > 15
    assert points[-1].y_psnr > points[-1].rgb_psnr - 3
    assert 0.5 < points[0].ms_ssim < points[-1].ms_ssim < 1
    assert {(point.clip, point.frames, point.size) for point in points} == {("bar", "0:6", "192x176")}
    before = table.path.read_bytes()
    assert list(complete(Table(table.path), clip, codec, 144, rates, again=False)) == []
    assert table.path.read_bytes() == before


def test_a_curve_is_completed_upwards(clip, tmp_path):
    table = Table(tmp_path / "rd.csv")
    first = list(complete(table, clip, "x264", 144, [0.1], again=False))
    more = list(complete(table, clip, "x264", 144, [0.1, 0.3], again=False))
    assert more
    assert min(point.bpp for point in more) > max(point.bpp for point in first)


def test_a_curve_is_completed_downwards(clip, tmp_path):
    table = Table(tmp_path / "rd.csv")
    first = list(complete(table, clip, "x264", 144, [0.3], again=False))
    more = list(complete(table, clip, "x264", 144, [0.1, 0.3], again=False))
    assert more
    assert max(point.bpp for point in more) < min(point.bpp for point in first)


def test_ms_ssim_can_be_measured_later(pictures, tmp_path):
    table = Table(tmp_path / "rd.csv")
    first = list(complete(table, Clip(pictures, ms_ssim=False), "x264", 144, [0.1], again=False))
    assert [point.ms_ssim for point in first] == [None] * len(first)
    assert list(complete(table, Clip(pictures, ms_ssim=False), "x264", 144, [0.1], again=False)) == []
    later = list(complete(table, Clip(pictures), "x264", 144, [0.1], again=False))
    assert [point.rate for point in later] == [point.rate for point in first]
    # x264 itself gives one of two streams for these small frames, a per cent apart, whatever else is the same.
    assert [point.rgb_psnr for point in later] == pytest.approx([point.rgb_psnr for point in first], abs=0.1)
    assert all(point.ms_ssim for point in later)
    assert [len(points) for points in table.curves().values()] == [len(first)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("keyint", "count"), [(144, 1), (2, 3)])
def test_key_frames_are_as_far_apart_as_asked(codec, keyint, count, clip):
    encode = Encode(clip, curve_name(clip, codec, keyint), 40)
    assert sum(packet.is_keyframe for packet in encode.packets) == count


def test_the_text_of_x264_about_itself_is_not_counted(clip):
    encode = Encode(clip, curve_name(clip, "x264", 144), 40)
    data = b"".join(map(bytes, encode.packets))
    assert b"x264 - core" not in data
    assert encode.bytes == len(data) > 0
    assert len(list(encode._decoded())) == len(clip.frames_420)
    other = Encode(clip, curve_name(clip, "x265", 144), 40)
    assert b"x265" not in b"".join(map(bytes, other.packets))
