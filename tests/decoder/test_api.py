# SPDX-License-Identifier: MIT
"""`VideoDecoder`, the Python face: indices, slices, times, sizes, layouts, numpy and torch."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from gscodec.kernels.errors import BackendError
from gscodec_cli import VideoDecoder
from gscodec_cli.errors import BackendMissingError, UsageError
from tests.decoder.synthetic import make_file, make_header

FRAMES = 24


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_file(make_header(frames=FRAMES, sar_num=4, sar_den=3), tools=("motion",))


@pytest.fixture
def decoder(clip):
    with VideoDecoder(clip, output="numpy") as opened:
        yield opened


def test_indices_and_slices(decoder):
    assert len(decoder) == FRAMES
    assert decoder[0].shape == (3, 32, 48)
    assert decoder[0].dtype == np.uint8
    np.testing.assert_array_equal(decoder[-1], decoder[FRAMES - 1])
    everything = np.stack(list(decoder))
    np.testing.assert_array_equal(decoder[:], everything)
    np.testing.assert_array_equal(decoder[20:3:-4], everything[20:3:-4])
    assert decoder[5:5].shape == (0, 3, 32, 48)
    for index in (FRAMES, -FRAMES - 1):
        with pytest.raises(IndexError):
            decoder[index]
    for index in (1.0, "1", None):
        with pytest.raises(TypeError):
            decoder[index]


def test_layouts(clip, decoder):
    rows = VideoDecoder(clip, output="numpy", dimension_order="NHWC")
    np.testing.assert_array_equal(rows[3], decoder[3].transpose(1, 2, 0))
    np.testing.assert_array_equal(rows[2:5], decoder[2:5].transpose(0, 2, 3, 1))


def test_frames_with_their_times(decoder):
    frame = decoder.get_frame_at(-1)
    assert (frame.pts_seconds, frame.duration_seconds) == (23 / 25, 1 / 25)
    batch = decoder.get_frames_at([7, 0, 7])
    np.testing.assert_array_equal(batch.data, decoder[:][[7, 0, 7]])
    np.testing.assert_array_equal(batch.pts_seconds, [7 / 25, 0, 7 / 25])
    assert [f.pts_seconds for f in batch] == batch.pts_seconds.tolist()
    assert decoder.get_frames_in_range(2, 10, 3).pts_seconds.tolist() == [2 / 25, 5 / 25, 8 / 25]


@pytest.mark.parametrize("seconds", [0.0, 0.04, 0.12, 0.1999, 0.9599])
def test_frames_by_time(decoder, seconds):
    expected = int(np.floor(seconds * 25 + 1e-9))
    frame = decoder.get_frame_played_at(seconds)
    assert frame.pts_seconds == expected / 25
    np.testing.assert_array_equal(frame.data, decoder[expected])


def test_frames_by_a_range_of_times(decoder):
    assert len(decoder.get_frames_played_in_range(0.05, 0.13)) == 3
    assert len(decoder.get_frames_played_in_range(0.04, 0.12)) == 2
    assert len(decoder.get_frames_played_in_range(0, 0.96)) == FRAMES
    assert len(decoder.get_frames_played_in_range(0.5, 0.5)) == 0
    assert len(decoder.get_frames_played_at([0.1, 0.9, 0.1])) == 3
    for span in ((-0.1, 0.5), (0.5, 1.5)):
        with pytest.raises(IndexError):
            decoder.get_frames_played_in_range(*span)
    for seconds in (-0.01, 0.96):
        with pytest.raises(IndexError):
            decoder.get_frame_played_at(seconds)


def test_pictures_between_frames(decoder):
    np.testing.assert_array_equal(decoder.get_frame_between(3), decoder[3])
    between = decoder.get_frame_between(3.5).astype(int)
    assert np.abs(between - decoder[3]).sum() > 0
    with pytest.raises(IndexError):
        decoder.get_frame_between(23.5)


def test_size_and_crop(clip):
    large = VideoDecoder(clip, output="numpy", size=(96, 64), dimension_order="NHWC")
    part = VideoDecoder(clip, output="numpy", size=(96, 64), crop=(10, 20, 30, 40), dimension_order="NHWC")
    assert part.metadata.width == 30
    assert np.abs(part[4].astype(int) - large[4][20:60, 10:40]).max() <= 1
    for crop in ((0, 0, 97, 1), (-1, 0, 5, 5), (0, 0, 0, 1)):
        with pytest.raises(UsageError, match="outside the picture"):
            VideoDecoder(clip, size=(96, 64), crop=crop)


def test_metadata(clip, decoder):
    found = decoder.metadata
    assert (found.width, found.height, found.num_frames, found.num_gops) == (48, 32, FRAMES, 3)
    assert (found.duration_seconds, found.average_fps, found.begin_stream_seconds) == (0.96, 25.0, 0.0)
    assert found.pixel_aspect_ratio == Fraction(4, 3)
    assert found.bits_per_pixel == 8 * len(clip) / (FRAMES * 48 * 32)
    assert (found.codec, found.profile) == ("gsv", "main")


def test_sources_may_be_paths_and_files(clip, tmp_path):
    (tmp_path / "a.gsv").write_bytes(clip)
    with open(tmp_path / "a.gsv", "rb") as file:
        for source in (tmp_path / "a.gsv", str(tmp_path / "a.gsv"), file):
            assert len(VideoDecoder(source)) == FRAMES


def test_torch_tensors_on_request(clip, decoder):
    torch = pytest.importorskip("torch")
    tensors = VideoDecoder(clip, output="torch")
    assert tensors[3].dtype == torch.uint8
    np.testing.assert_array_equal(tensors[2:4].numpy(), decoder[2:4])
    assert isinstance(tensors.get_frames_at([1]).pts_seconds, torch.Tensor)
    assert isinstance(VideoDecoder(clip)[0], torch.Tensor), "auto gives tensors where torch is imported"


def test_numpy_where_torch_is_not_imported(clip, tmp_path):
    (tmp_path / "a.gsv").write_bytes(clip)
    code = (
        "import sys, numpy\nfrom gscodec_cli import VideoDecoder\n"
        "assert type(VideoDecoder(sys.argv[1])[0]) is numpy.ndarray\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.gsv")], check=True, timeout=60)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"device": "abacus"}, BackendMissingError),
        ({"device": "cuda", "backend": "cpu"}, UsageError),
        ({"output": "list"}, UsageError),
        ({"dimension_order": "CHWN"}, UsageError),
        ({"size": (0, 5)}, UsageError),
        ({"size": (-4, 5)}, UsageError),
        ({"size": (5, 65536)}, UsageError),
        ({"threads": -1}, UsageError),
        ({"backend": "abacus"}, BackendError),
    ],
)
def test_what_is_not_there_is_refused(clip, options, error):
    with pytest.raises(error):
        VideoDecoder(clip, **options)
