# SPDX-License-Identifier: MIT
"""How a clip is divided: GoPs, chains of them that need nothing of each other, and each one's share of the bits.

Must not import torch or the verbs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.survey import Survey, split, survey
from gscodec_cli.video.reader import VideoSource

NOVEL = 3.5  # pictures' worth of new bits: above it prediction from the GoP before costs more than it saves


@dataclass(frozen=True)
class Division:
    """The GoPs as frames, which of them are entries (decoded alone), and the share of the bits of each (sum 1)."""

    gops: tuple[range, ...]
    entries: tuple[bool, ...]
    weights: tuple[float, ...]

    @property
    def chains(self) -> list[range]:
        """Numbers of the GoPs of each chain: an entry and those that are predicted, one from the other, behind it."""
        starts = [number for number, entry in enumerate(self.entries) if entry]
        return [range(a, b) for a, b in pairwise((*starts, len(self.gops)))]

    @property
    def longest_gop(self) -> int:
        """Frames of the longest GoP."""
        return max(map(len, self.gops))

    @property
    def longest_chain(self) -> int:
        """Frames of the longest chain."""
        return max(self.gops[chain[-1]].stop - self.gops[chain[0]].start for chain in self.chains)

    def to_json(self) -> dict[str, Any]:
        """As plain lists; floats keep every bit."""
        return {
            "gops": [len(gop) for gop in self.gops],
            "entries": [int(entry) for entry in self.entries],
            "weights": list(self.weights),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Division:
        """The inverse of `to_json`."""
        gops = tuple(range(a, b) for a, b in pairwise(accumulate(data["gops"], initial=0)))
        return cls(gops, tuple(map(bool, data["entries"])), tuple(data["weights"]))


def divide(source: VideoSource, plan: Plan, bpp: float | None) -> Division:
    """Divide a clip; `bpp`: bits per pixel that are asked for, None where no size is. Reads the clip up to three times.

    Raises MediaError.
    """
    frames, main = len(source), plan.profile == "main"
    look = survey(source, None) if main and frames > 1 else Survey((1,) * frames, (0,))
    gops = split(look.scenes, frames, plan.gop, even=main)
    entries = key_gops(gops, look, plan.keyint if main else 0)
    weights = [len(gop) / frames for gop in gops]
    if bpp is not None and len(gops) > 1:
        starts = [gop.start for gop, entry in zip(gops, entries, strict=True) if entry]
        weights = survey(source, bpp, starts).weights(gops)
    return Division(tuple(gops), tuple(entries), tuple(weights))


def key_gops(gops: Sequence[range], look: Survey, keyint: int) -> list[bool]:
    """Which GoPs are decoded alone.

    Those that begin a scene, those in which too much is new to be predicted, and as many more as keep every chain
    within `keyint` frames. A scene longer than that is cut into chains of about the same length.
    """
    entries, left, goal = [], 0, 0.0
    for number, gop in enumerate(gops):
        most = max(keyint, len(gop))
        if gop.start in look.scenes:
            stop = next((other.start for other in gops[number + 1 :] if other.start in look.scenes), gops[-1].stop)
            left, goal = 0, (stop - gop.start) / -(-(stop - gop.start) // most)
        full = left + len(gop) > most or left + len(gop) / 2 > goal
        entries.append(left == 0 or full or look.novelty(gop) > NOVEL)
        left = len(gop) if entries[-1] else left + len(gop)
    return entries
