# SPDX-License-Identifier: MIT
"""Writing clips: probed with PyAV afterwards; nothing is left behind when it fails."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from gscodec_cli.errors import OutputError, UsageError
from gscodec_cli.video.png import png_bytes
from gscodec_cli.video.reader import open_video
from gscodec_cli.video.writer import ClipFormat, WriteOptions, open_writer

PTS = [7, 107, 190, 500, 511]


def smooth(count: int, height: int, width: int) -> np.ndarray:
    """Gently moving gradients, which a good encode keeps well above 40 dB."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([np.stack([x * 2 + t, y * 3 + t, x + y], -1) % 200 + 20 for t in range(count)]).astype(np.uint8)


def write(path, frames, time_base=Fraction(1, 12800), frame_duration=512, pts=None, options=None, **fields):
    height, width = frames.shape[1:3]
    pts = pts or [frame_duration * i for i in range(len(frames))]
    clip = ClipFormat(width, height, len(frames), time_base, frame_duration, **fields)
    with open_writer(str(path), clip, options or WriteOptions()) as writer:
        for index, rgb in enumerate(frames):
            writer.write(rgb, pts[index], frame_duration or 100)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_tags_and_times_are_those_of_the_header(tmp_path, suffix):
    colour = {"colour_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9, "full_range": 1}
    write(tmp_path / f"a{suffix}", smooth(6, 32, 48), Fraction(1, 30000), 1001, sar=Fraction(4, 3), **colour)
    info = open_video(tmp_path / f"a{suffix}").info
    found = (info.colour_primaries, info.transfer_characteristics, info.matrix_coefficients, info.full_range)
    assert found == (9, 16, 9, 1)
    assert (info.sar_num, info.sar_den) == (4, 3)
    assert (info.time_base * info.frame_duration, info.frame_count) == (Fraction(1001, 30000), 6)


def test_irregular_times_and_start_are_exact_in_mp4(tmp_path):
    write(tmp_path / "a.mp4", smooth(5, 32, 48), Fraction(1, 90000), 0, PTS)
    source = open_video(tmp_path / "a.mp4")
    assert [pts * source.info.time_base for pts in source.pts] == [Fraction(p, 90000) for p in PTS]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
def test_lossless_is_exact_for_any_size(tmp_path, size):
    frames = np.random.default_rng(0).integers(0, 256, (3, *size, 3)).astype(np.uint8)
    write(tmp_path / "a.mp4", frames, options=WriteOptions(lossless=True))
    np.testing.assert_array_equal(np.stack([rgb for rgb, _ in open_video(tmp_path / "a.mp4")]), frames)


@pytest.mark.parametrize(("size", "expected"), [((32, 48), "yuv420p"), ((33, 47), "yuv444p")])
@pytest.mark.parametrize("suffix", [".mp4", ".y4m"])
def test_pictures_stay_close_for_even_and_odd_sizes(tmp_path, suffix, size, expected):
    frames = smooth(4, *size)
    write(tmp_path / f"a{suffix}", frames)
    with av.open(str(tmp_path / f"a{suffix}")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == expected
    back = np.stack([rgb for rgb, _ in open_video(tmp_path / f"a{suffix}")])
    assert np.mean((back.astype(float) - frames) ** 2) < 20


def test_npy_holds_all_frames(tmp_path):
    frames = smooth(4, 6, 5)
    write(tmp_path / "a.npy", frames)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), frames)


def test_png_is_read_by_others(tmp_path):
    frames = np.random.default_rng(1).integers(0, 256, (1, 7, 5, 3)).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png_bytes(frames[0]))
    with av.open(str(tmp_path / "a.png")) as container:
        np.testing.assert_array_equal(next(container.decode(video=0)).to_ndarray(format="rgb24"), frames[0])


@pytest.mark.parametrize("name", ["a.mp4", "a.y4m", "a.npy", "p/%d.png"])
def test_a_failure_leaves_nothing_behind(tmp_path, name):
    def fail() -> None:
        clip = ClipFormat(16, 16, 3, Fraction(1, 25), 1)
        with open_writer(str(tmp_path / name), clip, WriteOptions()) as writer:
            writer.write(np.zeros((16, 16, 3), np.uint8), 0, 1)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.mp4", "a.npy", "%d.png"])
def test_existing_targets_are_kept_without_overwrite(tmp_path, name):
    target = tmp_path / (name % 0 if "%" in name else name)
    target.write_bytes(b"precious")
    with pytest.raises(UsageError, match="-y"):
        write(tmp_path / name, smooth(2, 16, 16))
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]
    write(tmp_path / name, smooth(2, 16, 16), options=WriteOptions(overwrite=True))
    assert target.read_bytes() != b"precious"


@pytest.mark.parametrize("name", ["a.avi", "a", "a.png"])
def test_names_that_do_not_say_what_to_write(tmp_path, name):
    with pytest.raises(UsageError):
        write(tmp_path / name, smooth(2, 16, 16))


def test_missing_folders_and_folders_as_targets(tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        write(tmp_path / "none" / "a.mp4", smooth(2, 16, 16))
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write(tmp_path / "b.mp4", smooth(2, 16, 16))
