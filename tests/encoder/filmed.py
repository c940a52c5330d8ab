# SPDX-License-Identifier: MIT
"""A texture filmed by a camera whose motion is known."""

import cv2
import numpy as np

SIZE = (96, 128)  # height, width


def texture(side: int = 320) -> np.ndarray:
    """Smooth noise, [side, side, 3] uint8."""
    noise = np.random.default_rng(5).normal(0, 1, (side, side, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return (127 + 60 * smooth / smooth.std()).clip(0, 255).astype(np.uint8)


def filmed(maps: np.ndarray) -> np.ndarray:
    """Pictures [T, H, W, 3] in which what frame 0 shows at p is at p + map @ (1, p - centre)."""
    world, centre = texture(), np.array([SIZE[1], SIZE[0]]) / 2
    pictures = []
    for line in maps:
        linear = np.eye(2) + line[:, 1:]
        offset = centre + line[:, 0] - linear @ centre  # p -> linear p + offset
        corner = np.array([96.0, 112.0])  # of frame 0 in the world
        matrix = np.concatenate([linear, (offset - linear @ corner)[:, None]], axis=1)
        pictures.append(cv2.warpAffine(world, matrix, SIZE[::-1], flags=cv2.INTER_CUBIC))
    return np.stack(pictures)


def shaken(frames: int = 8) -> np.ndarray:
    """A pan of 2 px a frame with jolts, turning and zooming a little."""
    rng = np.random.default_rng(3)
    maps = np.zeros((frames, 2, 3))
    maps[:, :, 0] = np.arange(frames)[:, None] * [2.0, -0.5] + rng.normal(0, 2, (frames, 2))
    maps[:, :, 1:] = np.arange(frames)[:, None, None] * np.array([[0.003, -0.004], [0.004, 0.003]])
    maps[0] = 0
    return maps
