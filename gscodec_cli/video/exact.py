# SPDX-License-Identifier: MIT
"""YCbCr 4:4:4 to and from RGB by the formulas of ITU-T H.273, in floating point and rounded once.

swscale's own conversions of more than 8 bits are up to 1 of 255 off, and to full range it cuts chroma instead of
rounding it. Imports numpy and av only.
"""

import av
import numpy as np

DEPTHS = (9, 10, 12, 14, 16)  # more than 8 bits that planar YCbCr comes in
# H.273 matrix -> (red, blue) share of luma
SHARES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def _scale(depth: int, full: bool) -> tuple[int, int, int, int]:
    """(luma of black, luma range, chroma of grey, chroma range) in steps of `depth` bits."""
    if full:
        return 0, (1 << depth) - 1, 1 << (depth - 1), (1 << depth) - 1
    return 16 << (depth - 8), 219 << (depth - 8), 128 << (depth - 8), 224 << (depth - 8)


def rgb_of(planes: np.ndarray, depth: int, matrix: int, full: bool) -> np.ndarray:
    """[H, W, 3] uint16 RGB, white is 65535, of [3, H, W] YCbCr samples of `depth` bits."""
    red, blue = SHARES[matrix]
    black, luma_range, grey, chroma_range = _scale(depth, full)
    y, cb, cr = planes.astype(np.float32)
    y, cb, cr = (y - black) / luma_range, (cb - grey) / chroma_range, (cr - grey) / chroma_range
    r, b = y + np.float32(2 * (1 - red)) * cr, y + np.float32(2 * (1 - blue)) * cb
    g = (y - np.float32(red) * r - np.float32(blue) * b) * np.float32(1 / (1 - red - blue))
    rgb = np.stack([r, g, b], axis=-1)
    return (np.clip(rgb, 0, 1) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)


def ycc_of(rgb: np.ndarray, depth: int, matrix: int, full: bool) -> np.ndarray:
    """[3, H, W] YCbCr samples of `depth` bits (uint8 or uint16) of [H, W, 3] RGB, uint8 or uint16 of full scale."""
    red, blue = SHARES[matrix]
    black, luma_range, grey, chroma_range = _scale(depth, full)
    r, g, b = np.moveaxis(rgb.astype(np.float32) * np.float32(1 / np.iinfo(rgb.dtype).max), -1, 0)
    y = np.float32(red) * r + np.float32(1 - red - blue) * g + np.float32(blue) * b
    cb, cr = (b - y) * np.float32(0.5 / (1 - blue)), (r - y) * np.float32(0.5 / (1 - red))
    planes = np.stack([black + luma_range * y, grey + chroma_range * cb, grey + chroma_range * cr])
    rounded = np.clip(planes + np.float32(0.5), 0, (1 << depth) - 1)
    return rounded.astype(np.uint8 if depth == 8 else np.uint16)


def planes_of(frame: av.VideoFrame, depth: int) -> np.ndarray:
    """The [3, H, W] samples of a planar 4:4:4 frame."""
    kind = np.dtype(np.uint8 if depth == 8 else "<u2")
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(memoryview(plane), kind).reshape(plane.height, plane.line_size // kind.itemsize)
        planes.append(rows[:, : plane.width])
    return np.stack(planes)


def gbr_of(rgb: np.ndarray, depth: int) -> np.ndarray:
    """[3, H, W] green, blue and red of `depth` bits (uint16), rounded, of [H, W, 3] RGB of full scale."""
    scale = np.float32(((1 << depth) - 1) / np.iinfo(rgb.dtype).max)
    return (np.moveaxis(rgb, -1, 0)[[1, 2, 0]].astype(np.float32) * scale + np.float32(0.5)).astype(np.uint16)


def frame_of(planes: np.ndarray, depth: int, kind: str = "yuv444p") -> av.VideoFrame:
    """A planar 4:4:4 frame of [3, H, W] samples; `kind` may also be gbrp."""
    _, height, width = planes.shape
    frame = av.VideoFrame(width, height, kind if depth == 8 else f"{kind}{depth}le")
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = np.zeros((height, plane.line_size // samples.itemsize), samples.dtype)
        rows[:, :width] = samples
        plane.update(rows.tobytes())
    return frame
