# SPDX-License-Identifier: MIT
"""The filter of a GoP: weights that bring its frames, as they are decoded, nearest to those that are wanted.

Takes a renderer and pictures; gives integers. Must not import the verbs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gscodec.format.filter import filter_bytes
from gscodec.format.records import DETAIL_COMPONENTS, FILTER_BITS, FILTER_TAPS, FilterData
from gscodec.kernels.reference_filter import OFFSETS, moved
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.view import YCC_TO_RGB
from gscodec_cli.encoder.rate import PER_DOUBLING

FRAMES = 8  # of a GoP that are looked at, at most
LEAST, MOST = -(1 << FILTER_BITS), (1 << FILTER_BITS) - 1
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


def fit_filter(renderer: GopRenderer, pictures: NDArray, bits: float) -> FilterData | None:
    """The filter for a GoP of so many `bits` that `renderer` draws without one, None where it is not worth its own.

    pictures: [T, H, W, 3] uint8 or uint16. The weights are those of a Wiener filter: they solve the normal equations of
    what the frames miss, given the differences of each pixel to its neighbours.
    """
    products, sums = np.zeros((DETAIL_COMPONENTS, FILTER_TAPS, FILTER_TAPS)), np.zeros((DETAIL_COMPONENTS, FILTER_TAPS))
    error, white = 0.0, np.iinfo(pictures.dtype).max
    for t in np.unique(np.linspace(0, len(pictures) - 1, FRAMES).round().astype(int)):
        drawn = np.clip(renderer.colours(float(t)), 0, 1).transpose(1, 2, 0) @ YCC_TO_RGB.T.astype(np.float32)
        wanted = pictures[t].astype(np.float32) @ (YCC_TO_RGB.T / white).astype(np.float32)
        missing = (wanted - drawn).reshape(-1, DETAIL_COMPONENTS)
        error += float(np.square(missing, dtype=np.float64).sum())
        for c in range(DETAIL_COMPONENTS):
            pairs = _pairs(drawn[..., c])
            products[c] += pairs @ pairs.T
            sums[c] += pairs @ missing[:, c]
    weights = [_whole_weights(a, b) for a, b in zip(products, sums, strict=True)]
    gain = sum(gained for _, gained in weights)
    found = FilterData(np.stack([part for part, _ in weights]))
    if not 0 < gain < error:
        return None
    worth = -10 * math.log10(1 - gain / error) - PER_DOUBLING * math.log2(1 + 8 * filter_bytes(found) / bits)
    return found if worth > 0 else None


def _pairs(plane: Floats) -> Floats:
    """[FILTER_TAPS, pixels] of a plane [H, W]: the sums of each pair of pixels less twice the one between them."""
    found = np.empty((FILTER_TAPS, *plane.shape), np.float32)
    for k, (dy, dx) in enumerate(OFFSETS):
        found[k] = (moved(plane[None], dy, dx) - plane) + (moved(plane[None], -dy, -dx) - plane)
    return found.reshape(FILTER_TAPS, -1)


def _whole_weights(products: Doubles, sums: Doubles) -> tuple[NDArray[np.int64], float]:
    """Weights in 1/2^FILTER_BITS, and by how much squared error is less with them; 0 where it would not be.

    One weight after the other is rounded, and those that are left make up for it: neighbours are so much alike that
    weights rounded each for itself may bring less than none.
    """
    step, found = 2.0**-FILTER_BITS, np.zeros(FILTER_TAPS, np.int64)
    rest = sums.copy()
    ridge = 1e-9 * (np.trace(products) + 1e-12) * np.eye(FILTER_TAPS)
    for k in range(FILTER_TAPS):
        best = np.linalg.solve((products + ridge)[k:, k:], rest[k:])[0]
        found[k] = min(max(round(best / step), LEAST), MOST)
        rest = rest - products[:, k] * (found[k] * step)
    values = found * step
    gain = float(2 * sums @ values - values @ products @ values)
    return (found, gain) if gain > 0 else (np.zeros_like(found), 0.0)
