# SPDX-License-Identifier: MIT
"""The register of conformance rules: number, function, and how a rule's finding becomes a FormatError.

Imports errors only.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Concatenate, ParamSpec

from .errors import FormatError, Place

P = ParamSpec("P")
RULES: dict[str, str] = {}  # number -> name of the function


def rule(code: str) -> Callable[[Callable[P, str | None]], Callable[Concatenate[Place, P], None]]:
    """Register a rule under its conformance number."""

    def wrap(function: Callable[P, str | None]) -> Callable[Concatenate[Place, P], None]:
        def check(at: Place, *args: P.args, **kwargs: P.kwargs) -> None:
            problem = function(*args, **kwargs)
            if problem is not None:
                raise FormatError(problem, offset=at.offset, code=code, chunk=at.chunk)

        RULES[code] = function.__name__
        check.__doc__, check.__name__ = function.__doc__, function.__name__
        return check

    return wrap


def between(name: str, value: float, low: float, high: float) -> str | None:
    """None, or the sentence that `value` lies outside low..high."""
    if low <= value <= high:
        return None
    return f"{name} is {value}, expected {low}" + (f" to {high}" if high > low else "")
