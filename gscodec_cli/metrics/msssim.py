# SPDX-License-Identifier: MIT
"""MS-SSIM of 8-bit RGB frames (Wang, Simoncelli, Bovik, 2003), five scales. Imports numpy only.

The numbers are those of pytorch-msssim with its default settings, which the tables of learned compression use: a
Gaussian window of 11 taps and sigma 1.5, no padding, K = (0.01, 0.03), the mean over channels of products over scales.
"""

from functools import lru_cache

import numpy as np

SMALLEST_SIDE = 161  # five scales of an 11-tap window need more than 160 pixels
_TAPS, _SIGMA, _BLOCK = 11, 1.5, 64
_SCALE_WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def ms_ssim(reference: np.ndarray, frame: np.ndarray) -> float:
    """MS-SSIM in 0..1 of two [H, W, 3] uint8 frames with sides of at least SMALLEST_SIDE pixels."""
    x = np.ascontiguousarray(reference.transpose(2, 0, 1), np.float32)
    y = np.ascontiguousarray(frame.transpose(2, 0, 1), np.float32)
    product = np.ones(3)
    for scale, weight in enumerate(_SCALE_WEIGHTS):
        last = scale == len(_SCALE_WEIGHTS) - 1
        similarity, contrast = _ssim(x, y)
        product *= np.maximum(similarity if last else contrast, 0) ** weight
        if not last:
            x, y = _halve(x), _halve(y)
    return float(product.mean())


def _ssim(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means per channel of the full SSIM map and of its contrast-structure part, [C] each."""
    mean_x, mean_y = _blur(x), _blur(y)
    square_x, square_y, both = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    variance = _blur(x * x) + _blur(y * y) - square_x - square_y
    contrast = (2 * (_blur(x * y) - both) + np.float32(_C2)) / (variance + np.float32(_C2))
    similarity = (2 * both + np.float32(_C1)) / (square_x + square_y + np.float32(_C1)) * contrast
    return similarity.mean((1, 2), dtype=np.float64), contrast.mean((1, 2), dtype=np.float64)


def _window() -> np.ndarray:
    taps = np.exp(-((np.arange(_TAPS) - _TAPS // 2) ** 2) / (2 * _SIGMA**2))
    return (taps / taps.sum()).astype(np.float32)


@lru_cache
def _band(outputs: int) -> np.ndarray:
    """Matrix [outputs + 10, outputs] that filters a run of samples: a product with it is far faster than 11 sums."""
    band = np.zeros((outputs + _TAPS - 1, outputs), np.float32)
    for column in range(outputs):
        band[column : column + _TAPS, column] = _window()
    return band


def _blur(planes: np.ndarray) -> np.ndarray:
    """Filter [C, H, W] along both axes, without padding: [C, H - 10, W - 10]."""
    return _filter_columns(_filter_rows(planes))


def _filter_columns(planes: np.ndarray) -> np.ndarray:
    count = planes.shape[1] - _TAPS + 1
    out = np.empty((planes.shape[0], count, planes.shape[2]), np.float32)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        np.matmul(_band(stop - start).T, planes[:, start : stop + _TAPS - 1], out=out[:, start:stop])
    return out


def _filter_rows(planes: np.ndarray) -> np.ndarray:
    count = planes.shape[2] - _TAPS + 1
    out = np.empty((*planes.shape[:2], count), np.float32)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        np.matmul(planes[:, :, start : stop + _TAPS - 1], _band(stop - start), out=out[:, :, start:stop])
    return out


def _halve(planes: np.ndarray) -> np.ndarray:
    """Means of 2x2 samples; odd sides are padded with a zero on both ends, as average pooling with padding does."""
    pad = [(side % 2, side % 2) for side in planes.shape[1:]]
    padded = np.pad(planes, ((0, 0), *pad)) if any(map(any, pad)) else planes
    height, width = (side // 2 * 2 for side in padded.shape[1:])
    p = padded[:, :height, :width]
    return (p[:, ::2, ::2] + p[:, 1::2, ::2] + p[:, ::2, 1::2] + p[:, 1::2, 1::2]) * np.float32(0.25)
