# SPDX-License-Identifier: MIT
"""PSNR of RGB frames and of their luma, in 8-bit steps whatever the depth. Imports numpy only."""

import math

import numpy as np

PSNR_CEILING = 100.0  # dB, given for identical frames so that means stay finite
_LUMA = {  # H.273 matrix -> (red, blue) share of luma
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}


def psnr_of_mse(mse: float) -> float:
    """PSNR in dB of a mean squared error in 8-bit steps squared; at most 100 dB."""
    return PSNR_CEILING if mse <= 0 else min(PSNR_CEILING, 10 * math.log10(255.0**2 / mse))


def in_eight_bits(frame: np.ndarray) -> np.ndarray:
    """Samples in steps of 8 bits: uint8 as int16, uint16 of full scale as float32, not rounded."""
    return frame.astype(np.int16) if frame.dtype == np.uint8 else frame.astype(np.float32) * np.float32(255 / 65535)


def mse_rgb(reference: np.ndarray, frame: np.ndarray) -> float:
    """Mean squared error of two [H, W, 3] frames (uint8, or uint16 of full scale), over all samples, in 8-bit steps."""
    difference = in_eight_bits(reference) - in_eight_bits(frame)
    return float(np.mean(np.square(difference.astype(np.float32)), dtype=np.float64))


def mse_luma(reference: np.ndarray, frame: np.ndarray, matrix: int = 1) -> float:
    """Mean squared error of the unrounded full-range luma of two [H, W, 3] frames, in 8-bit steps.

    `matrix` is an H.273 code; RGB and unknown ones use BT.709.
    """
    red, blue = _LUMA.get(matrix, _LUMA[1])
    weights = np.array([red, 1 - red - blue, blue], dtype=np.float32)
    difference = (in_eight_bits(reference) - in_eight_bits(frame)).astype(np.float32) @ weights
    return float(np.mean(np.square(difference), dtype=np.float64))


def psnr(reference: np.ndarray, frame: np.ndarray) -> float:
    """RGB-PSNR in dB of two [H, W, 3] frames (uint8, or uint16 of full scale), at most 100."""
    return psnr_of_mse(mse_rgb(reference, frame))
