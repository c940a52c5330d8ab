# SPDX-License-Identifier: MIT
"""Clips at the edge of sense through encoder and decoder: a single frame, hardly any pixels, a single colour."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.encoder import EncodeOptions, encode, init, pipeline, refine
from gscodec_cli.encoder.detail import left_by
from gscodec_cli.encoder.options import resolve
from gscodec_cli.encoder.pipeline import Encode
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
    {"profile": "main", "motion_degree": 0, "window": False, "births": False, "bpp": 0.01},
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


def test_all_that_is_carried_fits_the_level(tmp_path):
    """A carried Gaussian counts less than a new one, and before some go there are more than will be."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 96, 96, 3)).astype(np.uint8)
    encoded(tmp_path, noise.repeat(4, 0), gop=2, gaussians=16384)


@pytest.mark.parametrize("setting", [{"quality": 51, "gop": 8}, {"gop": 3, "blend": "sum", "field": False}], ids=name)
def test_a_gop_that_carries_nothing_over(tmp_path, setting):
    frames = np.zeros((16, 32, 32, 3), np.uint8)
    frames[:2] = 200 * ("quality" in setting)
    encoded(tmp_path, frames, **setting)


def test_a_size_that_the_headers_take_alone(tmp_path):
    frames = np.zeros((2, 16, 16, 3), np.uint8)
    (tmp_path / "0.png").write_bytes(png_bytes(frames[0]))
    run = Encode(open_video(tmp_path), EncodeOptions(**STEPS, size=1), io.BytesIO())
    encoded(tmp_path, frames[:1], size=run._overhead())


def test_a_psnr_that_is_missed_leaves_the_next_gop_its_steps(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "resolve", lambda options: replace(resolve(options), tries=1))
    noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)
    encoded(tmp_path, noise.repeat(4, 0), gop=2, psnr=45.0)


def test_births_in_more_cells_than_torch_draws_from(monkeypatch):
    weights, generator = torch.zeros(1000), torch.Generator().manual_seed(0)
    weights[[3, 700, 999]] = torch.tensor([1.0, 2.0, 1.0])
    monkeypatch.setattr(init, "MOST_WEIGHTS", 999)
    found = init._drawn(weights, 4000, generator).bincount(minlength=1000)
    assert found.nonzero().flatten().tolist() == [3, 700, 999]
    assert abs(found[700] - 2000) < 150
    with pytest.raises(RuntimeError, match="2\\^24"):
        torch.multinomial(torch.ones((1 << 24) + 1), 1, generator=generator)


def test_products_of_matrices_do_not_depend_on_threads(tmp_path, monkeypatch):
    asked = []

    def told(*args, **kwargs):
        asked.append([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"])
        return left_by(*args, **kwargs)

    monkeypatch.setattr(refine, "left_by", told)
    with threadpool_limits(2, "blas"):
        encoded(tmp_path, np.random.default_rng(0).integers(0, 256, (2, 24, 40, 3)).astype(np.uint8))
    assert asked
    assert {count for counts in asked for count in counts} == {1}
