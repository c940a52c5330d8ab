# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.22: the residual of a GoP.

As validate.py. Imports rules only.
"""

from __future__ import annotations

import math

from .rules import between, rule


@rule("C-6.22-1")
def residual_step(value: float) -> str | None:
    """Steps of a residual are finite and above 0."""
    return (
        None if math.isfinite(value) and value > 0 else f"a step of a residual is {value}, expected above 0 and finite"
    )


@rule("C-6.22-2")
def coded_count(low: int, high: int, most: int) -> str | None:
    """coded_count is 0 to 64 * residual_frames in every block."""
    return between("coded_count", low, 0, most) or between("coded_count", high, 0, most)
