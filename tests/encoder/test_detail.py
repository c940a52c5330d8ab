# SPDX-License-Identifier: MIT
"""The detail of a GoP: found where frames share it, coded within its bits, left out of what the Gaussians draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gscodec.format.dequant import dequantise, detail_values
from gscodec.format.gop import read_gop, write_gop
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.encoder import detail as module
from gscodec_cli.encoder.detail import Frames, detail_bits, first_detail, fit_detail, without_detail
from gscodec_cli.metrics.psnr import psnr
from tests.decoder.synthetic import make_gop, make_header

HEADER = make_header(width=60, height=44, frames=6, max_gop_frames=6)  # no multiple of a block
COUNT = 6
BITS, FEW_BITS = 60_000, 3_000  # of a whole GoP
GOP = make_gop(HEADER, 0, COUNT, 300, tools=("normalised",), log_extent=(1.6, 0.2), gain=0.4)
STILL = dequantise(GOP)
# Half a GoP is one unit of time: one pixel a frame to the right.
MOVING = replace(STILL, motion=np.tile(np.float32([COUNT / 2, 0.0]), (STILL.gaussian_count, 1, 1)))


def texture(columns, rows):
    """[..., 3] in 0..1 at places in pixels: what Gaussians of five pixels do not draw."""
    wave = 0.12 * np.sin(columns * 1.3 + 0.4 * np.sin(rows / 3)) * np.cos(rows * 0.9)
    return np.stack([wave, 0.8 * wave, 0.5 * wave], -1)


def frames_of(params, residual):
    """Frames of Gaussians `params` plus `residual(t)` [H, W, 3] in 0..1."""
    renderer = GopRenderer(params, HEADER, threads=1)
    drawn = [renderer.render(t) / 255 for t in range(COUNT)]
    pictures = [np.clip(255 * (picture + residual(t)) + 0.5, 0, 255) for t, picture in enumerate(drawn)]
    return Frames(renderer, np.array(pictures, np.uint8))


def still(t):
    """The texture where it is."""
    rows, columns = np.mgrid[: HEADER.height, : HEADER.width]
    return texture(columns, rows)


def moving(t):
    """The texture a pixel a frame further to the right, at home in the frame in the middle."""
    rows, columns = np.mgrid[: HEADER.height, : HEADER.width]
    return texture(columns - (t - COUNT // 2), rows)


def decoded_psnrs(frames, params, detail):
    """PSNR in dB of each frame without and with the detail."""
    values = None if detail is None else detail_values(detail)
    moving = detail is None or detail.moving
    drawn = [
        GopRenderer(replace(params, detail=found, detail_moving=moving), HEADER, threads=1) for found in (None, values)
    ]
    return [np.mean([psnr(d.render(t), picture) for t, picture in enumerate(frames.pictures)]) for d in drawn]


@pytest.mark.parametrize(("params", "residual"), [(STILL, still), (MOVING, moving)], ids=["still", "moving"])
def test_what_all_frames_miss_is_found_and_decoded(params, residual):
    frames = frames_of(params, residual)
    found = fit_detail(frames, BITS, HEADER, None)
    without, with_detail = decoded_psnrs(frames, params, found)
    assert with_detail > without + 6


def test_a_texture_that_does_not_go_with_the_gaussians_is_not_found():
    frames = frames_of(STILL, lambda t: still(0) * (-1) ** t)
    assert fit_detail(frames, BITS, HEADER, None) is None


def test_it_takes_no_more_bits_than_it_may():
    frames = frames_of(STILL, still)
    free = detail_bits(HEADER, fit_detail(frames, BITS, HEADER, None), None)
    few = fit_detail(frames, BITS, HEADER, None, most=free // 2)
    assert 0 < detail_bits(HEADER, few, None) <= free / 2 * 1.01
    without, with_detail = decoded_psnrs(frames, STILL, few)
    assert with_detail > without + 1


def test_nothing_to_find_is_none():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.005, (COUNT, HEADER.height, HEADER.width, 3))
    assert first_detail(frames_of(STILL, lambda t: 0 * still(t)), FEW_BITS, HEADER, None, 0.4) is None
    assert fit_detail(frames_of(STILL, lambda t: noise[t]), FEW_BITS, HEADER, None) is None
    assert detail_bits(HEADER, None, None) == 0


def test_it_goes_on_from_the_detail_of_the_gop_before():
    frames = frames_of(STILL, still)
    first = fit_detail(frames, BITS, HEADER, None)
    second = fit_detail(frames, BITS, HEADER, first)
    assert second.kept.mean() > 0.5
    assert detail_bits(HEADER, second, first) < 0.3 * detail_bits(HEADER, first, None)
    assert decoded_psnrs(frames, STILL, second)[1] > decoded_psnrs(frames, STILL, first)[1] - 0.1


def test_a_record_with_it_is_read_as_it_was_written():
    frames = frames_of(STILL, still)
    first = replace(GOP, detail=fit_detail(frames, BITS, HEADER, None))
    payload, bits = write_gop(first, HEADER)
    read, _ = read_gop(payload, HEADER)
    assert np.array_equal(read.detail.symbols, first.detail.symbols)
    assert read.detail.steps == first.detail.steps
    bare, _ = write_gop(GOP, HEADER)
    assert 8 * (len(payload) - len(bare)) == pytest.approx(detail_bits(HEADER, first.detail, None), rel=0.05, abs=64)
    assert bits.total == 8 * len(payload)
    with_detail = np.mean([psnr(GopRenderer(dequantise(read), HEADER).render(t), frames.pictures[t]) for t in range(6)])
    assert with_detail == pytest.approx(decoded_psnrs(frames, STILL, first.detail)[1])


@pytest.mark.parametrize("moves", [True, False], ids=["with the Gaussians", "in place"])
@pytest.mark.parametrize("kept", [1 << 30, 0], ids=["kept", "made anew"])
def test_pictures_without_it_and_it_are_the_pictures(monkeypatch, kept, moves):
    monkeypatch.setattr(module, "KEPT_BYTES", kept)
    frames = frames_of(MOVING, moving if moves else still)
    found = fit_detail(frames, BITS, HEADER, None, moving=moves)
    rest = without_detail(frames, found)
    assert (rest.dtype, rest.shape) == (np.uint16, frames.pictures.shape)
    # What the Gaussians draw with the detail, less what they draw without, is what was taken away.
    for t, picture in enumerate(frames.pictures):
        drawn, bare = (
            GopRenderer(replace(MOVING, detail=values, detail_moving=moves), HEADER).render(t) / 255
            for values in (detail_values(found), None)
        )
        inside = (drawn > 0) & (drawn < 1) & (rest[t] > 0) & (rest[t] < 65535)
        error = rest[t] / 65535 + drawn - bare - picture / 255
        assert inside.mean() > 0.9
        assert np.abs(error[inside]).max() < 1.1 / 255
    assert without_detail(frames, None) is frames.pictures


def test_what_gains_less_than_it_must_is_none():
    frames = frames_of(STILL, still)
    found = fit_detail(frames, BITS, HEADER, None)
    without, with_detail = decoded_psnrs(frames, STILL, found)
    assert frames.gain(found) == pytest.approx(with_detail - without, abs=1.0)  # decoded frames are rounded
    for moving in (True, False):
        least = frames.gain(fit_detail(frames, BITS, HEADER, None, moving=moving)) - 0.01
        assert first_detail(frames, BITS, HEADER, None, least) is not None
    best = first_detail(frames, BITS, HEADER, None, 0.0)
    assert first_detail(frames, BITS, HEADER, None, frames.gain(best) + 0.5) is None


@pytest.mark.parametrize("moves", [True, False], ids=["with the Gaussians", "in place"])
def test_it_moves_where_the_texture_does(moves):
    """Gaussians that move, over a texture that goes with them or stays where it is."""
    frames = frames_of(MOVING, moving if moves else still)
    found = first_detail(frames, BITS, HEADER, None, 1.0)
    assert found.moving == moves
    without, with_detail = decoded_psnrs(frames, MOVING, found)
    assert with_detail > without + 6
    other = fit_detail(frames, BITS, HEADER, None, moving=not moves)
    assert other is None or frames.gain(other) < frames.gain(found) - 3
