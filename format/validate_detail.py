# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.21: the detail picture of a GoP.

As validate.py. Imports rules only.
"""

from __future__ import annotations

import math

from .rules import between, rule

BLOCK_NUMBERS = 64  # coefficients of a block


@rule("C-6.21-1")
def detail_blends(normalised: bool) -> str | None:
    """Only a GoP with normalised blending has detail."""
    return None if normalised else "a GoP with blend_mode 0 has detail, expected blend_mode 1"


@rule("C-6.21-2")
def detail_reference(value: int, there: bool) -> str | None:
    """detail_reference is 0 or 1, and 1 only where the GoP before has detail."""
    if value == 1 and not there:
        return "detail_reference is 1, but the GoP before has no detail"
    return between("detail_reference", value, 0, 1)


@rule("C-6.21-3")
def detail_step(value: float) -> str | None:
    """Steps of detail are finite and above 0."""
    return None if math.isfinite(value) and value > 0 else f"a step of detail is {value}, expected above 0 and finite"


@rule("C-6.21-4")
def kept(low: int, high: int) -> str | None:
    """kept is 0 or 1 in every block."""
    return between("kept", low, 0, 1) or between("kept", high, 0, 1)


@rule("C-6.21-5")
def coded_count(low: int, high: int) -> str | None:
    """coded_count is 0 to 64 in every block."""
    return between("coded_count", low, 0, BLOCK_NUMBERS) or between("coded_count", high, 0, BLOCK_NUMBERS)
