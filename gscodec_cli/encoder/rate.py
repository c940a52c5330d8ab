# SPDX-License-Identifier: MIT
"""How many Gaussians a GoP may have for the bits asked for, corrected by the bits that were really written.

A simple search: the first guess comes from typical costs, every GoP written sharpens it, and what a GoP saves the
next may spend.
"""

from __future__ import annotations

from gscodec_cli.encoder.tools import Tools

GAUSSIAN_BITS = {"stgv": 52.0, "main": 48.0}  # at the low end: what comes out too large can be made smaller
FIELD_BITS = 6.0  # per number
HEADER_BITS = 12_000.0  # tables of a GoP
TOLERANCE = 0.005
TRAINED_SHARE = 0.65  # of a Gaussian's bits that is left once the rate is trained: at the low end, as above
MIN_GAUSSIANS = 16


class Budget:
    """Bits of a clip, shared between its GoPs by their number of pixels."""

    def __init__(self, bpp: float, pixels: int, profile: str, tools: Tools, overhead_bits: int) -> None:
        self.left_bits = bpp * pixels - overhead_bits
        self.left_pixels = pixels
        self.per_gaussian = GAUSSIAN_BITS[profile]
        self.fixed_bits = HEADER_BITS + FIELD_BITS * field_numbers(tools)

    def allowed(self, pixels: int) -> float:
        """Bits that a GoP of so many pixels may take."""
        return self.left_bits * pixels / self.left_pixels

    def count(self, pixels: int) -> int:
        """Gaussians that should fit into what is allowed."""
        return max(MIN_GAUSSIANS, round((self.allowed(pixels) - self.fixed_bits) / self.per_gaussian))

    def affordable(self, pixels: int, count: int, bits: int, fixed_bits: int, trained: bool) -> int:
        """Gaussians to keep of `count` that cost `bits`; more of them where training has yet to lower the rate."""
        per_gaussian = max(1.0, (bits - fixed_bits) / max(count, 1)) * (1.0 if trained else TRAINED_SHARE)
        return max(MIN_GAUSSIANS, min(count, round((self.allowed(pixels) - fixed_bits) / per_gaussian)))

    def smaller(self, pixels: int, count: int, bits: int) -> int | None:
        """Gaussians to keep of `count` when `bits` came out; None when they fit."""
        allowed = self.allowed(pixels)
        if bits <= allowed * (1 + TOLERANCE) or count <= MIN_GAUSSIANS:
            return None
        per_gaussian = max(1.0, (bits - self.fixed_bits) / count)
        return max(MIN_GAUSSIANS, min(count - 1, int(count - (bits - allowed) / per_gaussian)))

    def spend(self, pixels: int, count: int, bits: int, fixed_bits: int) -> None:
        """Take a written GoP off the budget and learn from what it cost."""
        self.left_bits -= bits
        self.left_pixels -= pixels
        self.fixed_bits = float(fixed_bits)
        self.per_gaussian = max(1.0, (bits - fixed_bits) / max(count, 1))


def field_numbers(tools: Tools) -> int:
    """Numbers in the hash field: tables, two hidden layers, two heads."""
    layout = tools.field
    if layout is None:
        return 0
    size = 1 << layout.log2_table_size
    entries = [(min(-(-(r**2) // 8) * 8, size), min(-(-(r**3) // 8) * 8, size)) for r in layout.resolutions()]
    tables = sum(flat * layout.features_2d + deep * layout.features_3d for flat, deep in entries)
    inputs = layout.levels * (layout.features_2d + layout.features_3d) + 2 * layout.frequencies
    width = layout.hidden_width
    return tables + width * (inputs + 1) + width * (width + 1) + 5 * (width + 1)
