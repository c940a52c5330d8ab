# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.22: the residual of a GoP.

As validate.py. Imports limits and rules.
"""

from __future__ import annotations

import math

from .limits import FREE_PARAMETERS
from .rules import between, rule


@rule("C-6.22-1")
def residual_step(value: float) -> str | None:
    """Steps of a residual are finite and above 0."""
    return (
        None if math.isfinite(value) and value > 0 else f"a step of a residual is {value}, expected above 0 and finite"
    )


@rule("C-6.22-3")
def counts_have_bytes(count: int, payload_length: int) -> str | None:
    """A residual has at most 2^16 + 64 * payload bytes coded coefficients."""
    most = FREE_PARAMETERS + 64 * payload_length
    return None if count <= most else f"{count} coefficients coded, a payload of {payload_length} bytes allows {most}"


@rule("C-6.22-2")
def coded_count(low: int, high: int, most: int) -> str | None:
    """coded_count is 0 to 64 * residual_frames in every block."""
    return between("coded_count", low, 0, most) or between("coded_count", high, 0, most)
