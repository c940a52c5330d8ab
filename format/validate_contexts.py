# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.11 on contexts.

As validate.py. Imports rules only.
"""

from __future__ import annotations

from .rules import between, rule


@rule("C-6.11-10")
def term_count(value: int, most: int) -> str | None:
    """term_count is 1 to 4."""
    return between("term_count", value, 1, most)


@rule("C-6.11-11")
def source_is_there(column: int, columns: int) -> str | None:
    """Sources are planes of symbols of new Gaussians, or of differences of carried ones, that stand before this one."""
    return None if column < columns else f"a context uses plane {column}, {columns} stand before"


@rule("C-6.11-12")
def weight(value: int, most: int) -> str | None:
    """Weights of terms are -127 to 127."""
    return between("weight", value, -most, most)


@rule("C-6.11-13")
def class_count(value: int, most: int) -> str | None:
    """class_count is 1 to 16."""
    return between("class_count", value, 1, most)


@rule("C-6.11-14")
def thresholds_rise(thresholds: list[int]) -> str | None:
    """Each threshold is greater than the one before."""
    rises = len(thresholds) < 2 or thresholds[-1] > thresholds[-2]
    return None if rises else f"threshold {thresholds[-1]} after {thresholds[-2]}, expected more"


@rule("C-6.11-15")
def raw_count(value: int, expected: int) -> str | None:
    """raw_count is what the tokens take."""
    return None if value == expected else f"raw_count is {value}, the tokens take {expected}"
