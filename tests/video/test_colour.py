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


def exact_ycc(rgb: np.ndarray, matrix: int, full_range: int, bits: int) -> np.ndarray:
    """Y, Cb, Cr of [3] RGB in 0..1, not rounded, in steps of `bits` bits."""
    red, blue = WEIGHTS[matrix]
    y = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    cb, cr = (rgb[2] - y) / (2 - 2 * blue), (rgb[0] - y) / (2 - 2 * red)
    most, step = (1 << bits) - 1, 1 << (bits - 8)
    if full_range:
        return np.array([y * most, 128 * step + cb * most, 128 * step + cr * most]).clip(0, most)
    return np.array([16 + 219 * y, 128 + 224 * cb, 128 + 224 * cr]) * step


PIXEL_FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le"]


@pytest.mark.parametrize("pixel_format", PIXEL_FORMATS)
@pytest.mark.parametrize("full_range", [0, 1])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_no_way_out_and_back_shifts_a_colour(matrix, full_range, pixel_format):
    """Flat patches to YCbCr and back: on average unchanged, and never further off than the coded steps are wide.

    At 8 bits a step of limited range is up to 1.9 of 255 wide in red, blue or green, so rounding alone may give 1.5.
    """
    bits = av.VideoFormat(pixel_format).components[0].bits
    kind = np.uint8 if bits == 8 else np.uint16
    out, back, most = VideoReformatter(), VideoReformatter(), np.iinfo(kind).max
    errors = []
    for colour in np.random.default_rng(matrix).integers(0, most + 1, (40, 3)).astype(kind):
        frame = from_rgb(np.tile(colour, (16, 16, 1)), out, pixel_format, matrix, full_range)
        samples = np.array([_middle(plane, bits) for plane in frame.planes])
        assert np.abs(samples - exact_ycc(colour / most, matrix, full_range, bits)).max() < 0.56
        errors.append((to_rgb(frame, back, matrix, full_range, None)[8, 8].astype(float) - colour) / most * 255)
    assert np.abs(np.mean(errors, axis=0)).max() < 0.3
    assert np.abs(errors).max() <= (2 if bits == 8 else 1)


@pytest.mark.parametrize("pixel_format", [name for name in PIXEL_FORMATS if "1" in name])
@pytest.mark.parametrize("full_range", [0, 1])
@pytest.mark.parametrize("matrix", sorted(WEIGHTS))
def test_a_deep_patch_converts_within_a_step_of_its_depth(matrix, full_range, pixel_format):
    bits = av.VideoFormat(pixel_format).components[0].bits
    frame, reformatter = av.VideoFrame(16, 16, pixel_format), VideoReformatter()
    for values in np.random.default_rng(matrix).uniform(70, 190, (10, 3)):
        samples = np.rint(values * (1 << (bits - 8))).astype(np.uint16)
        for plane, value in zip(frame.planes, samples, strict=True):
            plane.update(np.full(plane.buffer_size // 2, value).tobytes())
        rgb = to_rgb(frame, reformatter, matrix, full_range, None)
        expected = exact_rgb(*(samples / (1 << (bits - 8))), matrix, full_range) if not full_range else None
        if expected is not None:
            assert np.abs(rgb[8, 8] / 257 - expected).max() < 0.01
        ycc = exact_ycc(rgb[8, 8] / 65535, matrix, full_range, bits)
        inside = (rgb[8, 8] > 0).all() and (rgb[8, 8] < 65535).all()
        assert not inside or np.abs(ycc - samples).max() < 0.1


def _middle(plane, bits: int) -> int:
    kind = np.uint8 if bits == 8 else np.uint16
    rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, -1)
    return int(rows[plane.height // 2, plane.width // 2])


@pytest.mark.parametrize("depth", [10, 12])
def test_deep_rgb_is_rounded(depth):
    rgb = np.random.default_rng(depth).integers(0, 65536, (8, 8, 3)).astype(np.uint16)
    reformatter = VideoReformatter()
    frame = from_rgb(rgb, reformatter, f"gbrp{depth}le", 0, 1)
    back = to_rgb(frame, VideoReformatter(), 0, 1, None)
    assert np.abs(back.astype(int) - rgb).max() <= 65535 / ((1 << depth) - 1) / 2 + 1
