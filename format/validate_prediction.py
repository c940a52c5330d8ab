# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.18: what a GoP takes over from the one before it.

As validate.py. Imports rules only.
"""

from __future__ import annotations

from .rules import between, rule

MOST_RATIO = 1 << 16  # grid positions per step of velocity
MOST_VELOCITY = 1 << 24  # symbols; with MOST_RATIO it keeps the prediction of a position below 2^61
LOWEST, HIGHEST = -(1 << 31), (1 << 31) - 1


@rule("C-6.18-1")
def tools_are_kept(tools: tuple[str, ...]) -> str | None:
    """blend_mode, motion_degree, colour_drift and window_type are those of the GoP before."""
    return None if not tools else f"{', '.join(tools)} differ from the GoP before, from which this one is predicted"


@rule("C-6.18-2")
def reference_is_uniform(uniform: bool) -> str | None:
    """The GoP before uses uniform quantisers."""
    return None if uniform else "predicted from a GoP with residual vector quantisation, expected uniform quantisers"


@rule("C-6.18-3")
def velocity_step(ratio: float) -> str | None:
    """A step of velocity is a whole number of grid positions, 1 to 2^16."""
    whole = ratio == int(ratio) and 1 <= ratio <= MOST_RATIO
    return None if whole else f"a step of motion[1] is {ratio:g} grid positions, expected a whole number up to 65536"


@rule("C-6.18-4")
def carried_flags(low: int, high: int) -> str | None:
    """The symbols of `carried` are 0 or 1."""
    return between("carried", low, 0, 1) or between("carried", high, 0, 1)


@rule("C-6.18-5")
def carried_count(carried: int, count: int) -> str | None:
    """No more Gaussians are carried than the GoP has."""
    return None if carried <= count else f"{carried} Gaussians are carried, the GoP has {count}"


@rule("C-6.18-6")
def carried_velocity(low: int, high: int) -> str | None:
    """Velocities of carried Gaussians are within 2^24 steps in the GoP before."""
    return _velocity("motion[1] of a carried Gaussian", low, high)


@rule("C-6.18-7")
def sums_are_symbols(low: int, high: int) -> str | None:
    """Prediction plus difference is a symbol."""
    name = "prediction plus difference"
    return between(name, low, LOWEST, HIGHEST) or between(name, high, LOWEST, HIGHEST)


@rule("C-6.18-8")
def new_velocity(low: int, high: int) -> str | None:
    """Velocities of carried Gaussians are within 2^24 steps in the predicted GoP."""
    return _velocity("motion[1] plus difference of a carried Gaussian", low, high)


def _velocity(name: str, low: int, high: int) -> str | None:
    return between(name, low, -MOST_VELOCITY, MOST_VELOCITY) or between(name, high, -MOST_VELOCITY, MOST_VELOCITY)
