# SPDX-License-Identifier: MIT
"""Frames that show again what the one before them shows: which those are, and that they are shown and not coded."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.encoder import EncodeOptions, encode
from gscodec_cli.encoder.repeats import repeats_of
from gscodec_cli.metrics.psnr import psnr
from gscodec_cli.video.reader import open_video
from tests.encoder.conftest import moving_disc, write_clip

STEPS = {"threads": 1, "key_iterations": 10, "joint_iterations": 60, "tune_iterations": 40}
SHOWN = [0, 1, 1, 2, 3, 4, 4, 4, 5, 6, 7, 7, 8, 9]  # which picture each frame of a clip shows
TWICE = (2, 6, 7, 11)


def noisy(pictures: np.ndarray, deviation: float, seed: int = 1) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, pictures.shape)
    return np.clip(np.rint(pictures + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("deep", [False, True])
def test_frames_that_are_the_same_are_found(deep):
    pictures = moving_disc(10)[SHOWN]
    assert repeats_of(pictures.astype(np.uint16) * 257 if deep else pictures) == TWICE


def test_what_a_codec_left_of_a_repeat_is_one_where_all_else_moves():
    pictures = moving_disc(10)[SHOWN]
    pictures[2] = noisy(pictures[2], 0.5)  # 0.3 after rounding, the disc changes 50 times as much
    assert repeats_of(pictures) == TWICE
    pictures[2] = noisy(pictures[2], 1.5)
    assert repeats_of(pictures) == TWICE[1:]


def test_a_small_change_is_kept_where_nothing_else_moves():
    """A letter that is typed, again and again: each frame is nearly the one before, none is a repeat."""
    still = moving_disc(1)[0]
    typed = np.repeat(still[None], 6, axis=0)
    for number in range(1, 6):
        typed[number:, 8, 8 + 4 * number] ^= 64
    assert repeats_of(typed) == ()
    assert repeats_of(typed[[0, 0, 1, 1, 1, 2]]) == (1, 3, 4)


def test_a_slow_fade_does_not_stand_still():
    """Every frame is within what is not seen of the one before; what is shown must not stay behind."""
    still = moving_disc(1)[0].astype(np.uint16) * 257
    fade = np.stack([still + 100 * number for number in range(8)])  # 0.39 of 255 each
    found = repeats_of(fade)
    shown = [max(set(range(frame + 1)) - set(found)) for frame in range(8)]
    assert found
    assert max(frame - last for frame, last in enumerate(shown)) <= 1


@pytest.mark.parametrize("pictures", [moving_disc(1), moving_disc(7)], ids=len)
def test_there_are_none_where_everything_moves(pictures):
    assert repeats_of(pictures) == ()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A path and its frames, some of which are shown again."""
    pictures = moving_disc(10)[SHOWN]
    return write_clip(tmp_path_factory.mktemp("clips") / "again.mkv", pictures), pictures


def encoded(path, **options):
    file = io.BytesIO()
    return encode(open_video(path), file, EncodeOptions(**STEPS | options)), file.getvalue()


@pytest.mark.parametrize("gop", [14, 7])
def test_repeats_are_shown_and_not_coded(clip, gop):
    """One GoP, or two of which the second goes on from the first."""
    path, pictures = clip
    result, data = encoded(path, gop=gop, bpp=0.6)
    reader = ContainerReader(data)
    records = [reader.read_gop(index) for index in range(reader.gop_count)]
    again = [record.first_frame + repeat for record in records for repeat in record.repeats]
    assert again == [repeat for repeat in TWICE if repeat % gop]  # what a GoP begins with is coded
    assert all(len(record.camera.values) == record.distinct_count for record in records if record.camera)
    drawn = np.stack(list(StreamDecoder(data).frames(0, len(pictures))))
    assert result.psnr == pytest.approx(np.mean([psnr(a, b) for a, b in zip(pictures, drawn, strict=True)]), abs=1e-6)
    for repeat in again:
        np.testing.assert_array_equal(drawn[repeat], drawn[repeat - 1])
    assert (drawn[1:] != drawn[:-1]).any((1, 2, 3)).sum() == len(pictures) - 1 - len(again)


def test_any_frame_and_moment_is_drawn_as_in_order(clip):
    _, data = encoded(clip[0], gaussians=80)
    decoder = StreamDecoder(data)
    drawn = list(decoder.frames(0, decoder.frame_count))
    for index in (11, 2, 7, 6, 0, 13):
        np.testing.assert_array_equal(decoder.frame(index), drawn[index])
    for position in (Fraction(3, 2), Fraction(11, 2), Fraction(13, 2)):  # between a frame and its repeat
        np.testing.assert_array_equal(decoder.frame_at_position(position), drawn[int(position)])
    between = decoder.frame_at_position(Fraction(5, 2))
    assert (between != drawn[2]).any()
    assert (between != drawn[3]).any()


def test_without_the_tool_every_frame_is_coded(clip):
    _, data = encoded(clip[0], gaussians=80, repeats=False)
    assert ContainerReader(data).read_gop(0).repeats == ()


def test_what_moves_on_behind_a_repeat_is_better_without_it(clip):
    """A disc that stands still for a frame, now and then, does not go in a line."""
    path, _ = clip
    steps = {"key_iterations": 60, "joint_iterations": 400, "tune_iterations": 150}
    with_tool, without = (encoded(path, bpp=0.6, repeats=chosen, **steps)[0] for chosen in (True, False))
    assert with_tool.psnr > without.psnr + 0.3


def test_a_clip_of_one_picture_is_one_frame(tmp_path):
    path = write_clip(tmp_path / "still.mkv", np.repeat(moving_disc(1), 9, axis=0))
    _, data = encoded(path, gaussians=60)
    record = ContainerReader(data).read_gop(0)
    assert (record.frame_count, record.distinct_count) == (9, 1)
    drawn = list(StreamDecoder(data).frames(0, 9))
    assert all((frame == drawn[0]).all() for frame in drawn)
