# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.20: how the whole picture moves.

As validate.py. Imports rules only.
"""

from __future__ import annotations

from .rules import between, rule

MOST_VALUE = 1 << 24  # exact in float32; with the bounds of the bits it keeps a displacement below 2^60


@rule("C-6.20-1")
def offset_bits(value: int) -> str | None:
    """offset_bits is 0 to 8."""
    return between("offset_bits", value, 0, 8)


@rule("C-6.20-2")
def slope_bits(value: int) -> str | None:
    """slope_bits is 0 to 24."""
    return between("slope_bits", value, 0, 24)


@rule("C-6.20-3")
def camera_values(low: int, high: int) -> str | None:
    """Offsets and slopes are -2^24 to 2^24 in every frame."""
    name = "an offset or slope of the camera"
    return between(name, low, -MOST_VALUE, MOST_VALUE) or between(name, high, -MOST_VALUE, MOST_VALUE)
