# SPDX-License-Identifier: MIT
"""Flat patches through every matrix and range: within half a step of the real-valued formulas of ITU-T H.273."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from gscodec_cli.errors import MediaError
from gscodec_cli.video.colour import from_rgb, output_format, resolve_matrix, to_rgb

WEIGHTS = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}


def exact_rgb(y: float, u: float, v: float, matrix: int, full_range: int) -> np.ndarray:
    red, blue = WEIGHTS[matrix]
    offset, luma, chroma = (0, 255, 255) if full_range else (16, 219, 224)
    y, u, v = (y - offset) / luma, (u - 128) / chroma, (v - 128) / chroma
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return 255 * np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 1)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p"])
@pytest.mark.parametrize("full_range", [0, 1])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_a_patch_converts_within_half_a_step(matrix, full_range, pixel_format):
    rng = np.random.default_rng(matrix)
    reformatter = VideoReformatter()
    frame = av.VideoFrame(16, 16, pixel_format)
    for _ in range(20):
        values = rng.integers(30, 220), rng.integers(70, 190), rng.integers(70, 190)
        for plane, value in zip(frame.planes, values, strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        rgb = to_rgb(frame, reformatter, matrix, full_range, None)
        assert np.abs(rgb[8, 8] - exact_rgb(*map(float, values), matrix, full_range)).max() < 0.52


@pytest.mark.parametrize("full_range", [0, 1])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_a_patch_survives_the_way_out_and_back(matrix, full_range):
    reformatter = VideoReformatter()
    for colour in np.random.default_rng(matrix).integers(40, 216, (20, 3)):
        patch = np.tile(colour.astype(np.uint8), (16, 16, 1))
        frame = from_rgb(patch, reformatter, "yuv444p", matrix, full_range)
        assert np.abs(to_rgb(frame, reformatter, matrix, full_range, None).astype(int) - patch).max() <= 2


def test_unspecified_matrices_follow_the_lines():
    assert resolve_matrix(2, 720, rgb=False) == 1
    assert resolve_matrix(2, 719, rgb=False) == 6
    assert resolve_matrix(9, 100, rgb=True) == 0


@pytest.mark.parametrize("code", [8, 10, 14])
def test_matrices_that_are_not_linear_ycbcr_are_refused(code):
    with pytest.raises(MediaError, match="not supported"):
        resolve_matrix(code, 720, rgb=False)


def test_output_formats():
    assert output_format(640, 360, 9, 0, None) == ("yuv420p", 9, 0)
    assert output_format(641, 360, 1, 1, None) == ("yuv444p", 1, 1)
    assert output_format(640, 360, 0, 1, None) == ("yuv420p", 6, 0)  # RGB: what players expect of YCbCr
