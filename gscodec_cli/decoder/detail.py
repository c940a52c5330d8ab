# SPDX-License-Identifier: MIT
"""The detail of a GoP (SPEC 7.10): a picture from cosine coefficients, and how it is added to what Gaussians draw.

Imports the kernels, numpy and the format's records.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gscodec.format.detail import BLOCK
from gscodec.format.records import DETAIL_COMPONENTS
from gscodec.kernels import blend_detail, reference_detail

# Coefficient numbers of a block, 8 * vertical + horizontal frequency, diagonal by diagonal (ITU-T T.81, figure 5).
ZIGZAG = np.array(sorted(range(64), key=lambda n: (n // 8 + n % 8, n // 8 if (n // 8 + n % 8) % 2 else n % 8)))
# [frequency, pixel], orthonormal.
BASIS = np.array(
    [
        [math.sqrt((1 if k == 0 else 2) / BLOCK) * math.cos((2 * n + 1) * k * math.pi / 16) for n in range(BLOCK)]
        for k in range(BLOCK)
    ]
)


def detail_picture(
    coefficients: np.ndarray, size: tuple[int, int], matrix: np.ndarray, dtype: Any = np.float64
) -> np.ndarray:
    """[height, width, 3] RGB of a detail [3, rows, columns, 64] in zigzag order: computed in float64, C-contiguous.

    size: (height, width) of the coded picture. matrix: [3, 3], from the colour space of the coefficients to RGB.
    """
    _, rows, columns, _ = coefficients.shape
    picture = np.empty((*size, 3), dtype)
    ordered = np.zeros((DETAIL_COMPONENTS, columns, BLOCK * BLOCK))
    for row in range(rows):
        ordered[..., ZIGZAG] = coefficients[:, row]
        blocks = BASIS.T @ ordered.reshape(DETAIL_COMPONENTS, columns, BLOCK, BLOCK) @ BASIS
        lines = picture[row * BLOCK : (row + 1) * BLOCK]
        planes = blocks.transpose(2, 1, 3, 0).reshape(BLOCK, columns * BLOCK, DETAIL_COMPONENTS)
        lines[:] = planes[: len(lines), : size[1]] @ matrix
    return picture


def home_position(distinct_count: int) -> float:
    """The frame of a GoP whose detail the picture is, as it is."""
    return float(distinct_count // 2)


@dataclass(frozen=True)
class Detail:
    """The detail of a GoP, for a view.

    picture: [h, w, 3] RGB in coded pixels, C-contiguous; moving: with the Gaussians; ratio, corner: see
    `gscodec.kernels.blend_detail`.
    """

    picture: np.ndarray
    moving: bool
    ratio: tuple[float, float]
    corner: tuple[float, float]

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of(
        cls,
        coefficients: np.ndarray,
        moving: bool,
        matrix: np.ndarray,
        coded: tuple[int, int],
        drawn: tuple[int, int],
        corner: tuple[int, int],
        dtype: Any,
    ) -> Detail:
        """That of `coefficients` and `matrix`, see `detail_picture`, for a picture of `coded` size (width, height).

        drawn: (width, height) of the view's whole picture; corner: (x, y) of the view in it. dtype: of the picture.
        """
        ratio = coded[0] / drawn[0], coded[1] / drawn[1]
        picture = detail_picture(coefficients, coded[::-1], matrix, dtype)
        return cls(picture, moving, ratio, (float(corner[0]), float(corner[1])))

    def blend(
        self,
        drawn: np.ndarray,
        shift: np.ndarray | None,
        background: np.ndarray,
        epsilon: float,
        threads: int,
        backend: str | None,
    ) -> np.ndarray:
        """[3, H, W] colours of what is `drawn` [4, H, W] with the detail; not clamped.

        drawn: sums of weighted colours and weights, float32, in whose memory the result may be, or float64, for the
        engine `reference`. shift: [2, H, W] sums of how far Gaussians have gone; None for a detail in place.
        """
        if shift is None:
            shift = np.zeros((2, *drawn.shape[1:]), drawn.dtype)
        if drawn.dtype == np.float64:
            placed = self.picture, background, epsilon, self.ratio, self.corner
            return reference_detail.blend_detail(drawn, shift, *placed)
        return blend_detail(
            drawn,
            shift,
            self.picture,
            background=background,
            epsilon=epsilon,
            ratio=self.ratio,
            corner=self.corner,
            threads=threads,
            backend=backend,
            out=drawn[:3],
        )
