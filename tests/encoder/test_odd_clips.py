# SPDX-License-Identifier: MIT
"""Clips at the edge of sense through encoder and decoder: a single frame, hardly any pixels, a single colour."""

import io

import numpy as np
import pytest

from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.encoder import EncodeOptions, encode
from gscodec_cli.metrics.psnr import psnr
from gscodec_cli.video.png import png_bytes
from gscodec_cli.video.reader import open_video

STEPS = {"threads": 1, "key_iterations": 3, "joint_iterations": 6, "tune_iterations": 3}
FLAT = {"black": (0, 0, 0), "white": (255, 255, 255), "green": (90, 140, 30)}
SETTINGS = [
    {"profile": "stgv"},
    {"profile": "stgv", "gaussians": 1, "gop": 1},
    {"profile": "stgv", "bpp": 0.01},
    {"profile": "main"},
    {"profile": "main", "gaussians": 1, "gop": 1},
    {"profile": "main", "blend": "sum", "gaussians": 5000},
    {"profile": "main", "blend": "auto", "motion_degree": 3, "drift": True, "field": False},
    {"profile": "main", "motion_degree": 0, "window": False, "bpp": 0.01},
]


def name(setting: dict) -> str:
    return "-".join(str(value) for value in setting.values())


def encoded(folder, frames: np.ndarray, **setting) -> np.ndarray:
    """Write the frames as pictures, encode them, decode the file; check what the encoder reports."""
    for number, rgb in enumerate(frames):
        (folder / f"{number}.png").write_bytes(png_bytes(rgb))
    file = io.BytesIO()
    result = encode(open_video(folder), file, EncodeOptions(**STEPS | setting))
    decoder = StreamDecoder(file.getvalue())
    drawn = np.stack(list(decoder.frames(0, decoder.frame_count)))
    assert drawn.shape == frames.shape
    assert result.psnr == pytest.approx(np.mean([psnr(a, b) for a, b in zip(frames, drawn, strict=True)]), abs=1e-6)
    return drawn


@pytest.mark.parametrize("setting", SETTINGS, ids=name)
@pytest.mark.parametrize("shape", [(1, 24, 40), (3, 1, 1), (3, 2, 2), (2, 33, 17), (2, 1, 300)], ids=str)
def test_few_frames_and_odd_sizes(tmp_path, setting, shape):
    encoded(tmp_path, np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8), **setting)


@pytest.mark.parametrize("setting", SETTINGS, ids=name)
@pytest.mark.parametrize("colour", FLAT)
def test_a_single_colour(tmp_path, setting, colour):
    """Quantisers have a range of zero and k-means sees one point."""
    encoded(tmp_path, np.full((3, 32, 48, 3), FLAT[colour], np.uint8), **setting)


@pytest.mark.parametrize("profile", ["stgv", "main"])
def test_a_single_colour_is_kept(tmp_path, profile):
    frames = np.full((3, 32, 48, 3), FLAT["green"], np.uint8)
    steps = {"key_iterations": 60, "joint_iterations": 300, "tune_iterations": 60}
    drawn = encoded(tmp_path, frames, profile=profile, gaussians=60, **steps)
    assert np.abs(drawn.astype(int) - frames).max() <= 8
