# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.23: the filter behind the picture.

As validate.py. Imports rules only.
"""

from __future__ import annotations

from .rules import between, rule


@rule("C-6.23-1")
def filter_weight(low: int, high: int) -> str | None:
    """Symbols of filter_weight are -128 to 127."""
    name = "a symbol of filter_weight"
    return between(name, low, -128, 127) or between(name, high, -128, 127)
