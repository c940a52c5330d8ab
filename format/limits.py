# SPDX-License-Identifier: MIT
"""Levels of the stream (SPEC 9.2) and the decoder's own limits (SPEC 10), checked before memory is taken.

Imports the standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LimitError

MAX_SIDE = 65535
MAX_GOP_FRAMES = 4096
MAX_RESIDUAL_FRAMES = 64  # of a block of the residual
# Parameters of a field, or coefficients of a residual, that need no bytes of their own (SPEC 6.10, 6.22).
FREE_PARAMETERS = 1 << 16


@dataclass(frozen=True)
class Level:
    """Size class of a stream: what a decoder that claims it must be able to do."""

    pixels: int  # per frame
    gaussians: int  # per GoP
    covered_pixels: int  # per frame, sum of the clipped bounding boxes' areas


LEVELS = {
    1: Level(1 << 17, 1 << 15, 1 << 26),
    2: Level(1 << 20, 1 << 17, 1 << 28),
    3: Level(1 << 21, 1 << 18, 1 << 29),
    4: Level(1 << 23, 1 << 20, 1 << 31),
    5: Level(1 << 26, 1 << 22, 1 << 33),
}


def level_for(pixels: int, gaussians: int, covered_pixels: int = 0) -> int:
    """The lowest level that holds these sizes. Raises LimitError if none does."""
    for number, level in LEVELS.items():
        if pixels <= level.pixels and gaussians <= level.gaussians and covered_pixels <= level.covered_pixels:
            return number
    top = LEVELS[max(LEVELS)]
    asked = {
        "pixels per frame": (pixels, top.pixels),
        "Gaussians per GoP": (gaussians, top.gaussians),
        "covered pixels per frame": (covered_pixels, top.covered_pixels),
    }
    name, (value, allowed) = next((k, v) for k, v in asked.items() if v[0] > v[1])
    message = f"{value} {name} are more than the {allowed} of the largest level; use a smaller --resize or --gaussians"
    raise LimitError(name, value, allowed, "", message)


@dataclass(frozen=True)
class Limits:
    """What this decoder is willing to spend on one file; every field has the option that raises it."""

    pixels: int = 1 << 26  # per frame
    frames: int = 1 << 24  # per file
    gaussians: int = 1 << 22  # per GoP
    parameters: int = 1 << 25  # numbers of one field
    chunk_bytes: int = 1 << 28
    covered_pixels: int = 1 << 33  # per frame
    memory: int = 4 << 30  # bytes, estimated for one GoP and its frame

    def check(self, name: str, asked: int) -> None:
        """Raise LimitError if `asked` is more than the limit called `name`."""
        allowed = getattr(self, name)
        if asked > allowed:
            raise LimitError(_WORDS[name], asked, allowed, f"--limit-{name.replace('_', '-')}")


_WORDS = {
    "pixels": "pixels per frame",
    "frames": "frames",
    "gaussians": "Gaussians per GoP",
    "parameters": "field parameters",
    "chunk_bytes": "bytes in one chunk",
    "covered_pixels": "covered pixels per frame",
    "memory": "bytes of memory",
}
