# SPDX-License-Identifier: MIT
"""How much of each frame need not be drawn again: the share of drawn pixels that belongs to Gaussians unchanged since
the frame before.

    python benchmarks/static.py clip.gsv ...

`equal` counts Gaussians whose numbers are the same to the last bit, which is what a decoder could reuse without
changing the picture; `close` counts those that moved less than 0.02 pixels and changed by less than half an 8-bit step.
"""

from __future__ import annotations

import sys

import numpy as np

from gscodec.kernels import covered_pixels
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.reconstruct import GopRenderer


def main() -> None:
    """Print one line per file."""
    for path in sys.argv[1:]:
        decoder = StreamDecoder(path)
        shares = [share for gop in range(decoder.reader.gop_count) for share in gop_shares(decoder.renderer(gop))]
        equal, close = np.mean(shares, axis=0) * 100
        print(f"{path}: equal {equal:.1f} %, close {close:.1f} % of the pixels drawn per frame")


def gop_shares(renderer: GopRenderer) -> list[tuple[float, float]]:
    """(equal, close) share for every frame of a GoP but the first."""
    shares, before = [], None
    for position in range(renderer.distinct_count):
        now = renderer.moving.at(position, keep_all=True)
        if before is not None:
            moved = np.abs(now.mean - before.mean).max(1)
            changed = np.abs(now.feature - before.feature).max(1)
            drawn = now.feature.any(1)
            total = max(1, covered_pixels(now.mean[drawn], now.conic[drawn], renderer.view.shape))
            parts = [drawn & (moved == 0) & (changed == 0), drawn & (moved < 0.02) & (changed < 0.5 / 255)]
            shares.append(tuple(covered_pixels(now.mean[p], now.conic[p], renderer.view.shape) / total for p in parts))
        before = now
    return shares


if __name__ == "__main__":
    main()
