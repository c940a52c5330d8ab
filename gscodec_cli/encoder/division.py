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
from gscodec_cli.encoder.survey import Survey, survey
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


@dataclass(frozen=True)
class Outline:
    """A clip before it is divided: a survey of it, and its sections, over whose ends no chain of GoPs goes."""

    look: Survey
    sections: tuple[range, ...]

    def divided(self, lengths: Sequence[int]) -> tuple[list[range], list[bool]]:
        """GoPs of at most so many frames, for each section, and which of them are entries.

        Those are the first of a section, and those in which too much is new to be predicted.
        """
        starts = {section.start for section in self.sections}
        parts = zip(self.sections, lengths, strict=True)
        gops = [gop for section, length in parts for gop in split(section, length)]
        return gops, [gop.start in starts or self.look.novelty(gop) > NOVEL for gop in gops]


def outline_of(source: VideoSource, plan: Plan) -> Outline:
    """The outline of a clip, which is read once. Raises MediaError."""
    frames = len(source)
    if plan.profile != "main":
        starts = range(0, frames, plan.gop)
        gops = [range(start, min(start + plan.gop, frames)) for start in starts]
        return Outline(Survey((1,) * frames, (0,)), tuple(gops))
    look = survey(source, None) if frames > 1 else Survey((1,), (0,))
    scenes = [range(a, b) for a, b in pairwise((*look.scenes, frames))]
    return Outline(look, tuple(part for scene in scenes for part in sections(scene, plan.gop, plan.keyint)))


def sections(scene: range, length: int, keyint: int) -> list[range]:
    """A scene as sections of about the same length, within `keyint` frames: whole GoPs of at most `length` frames."""
    gops, most = split(scene, length), max(keyint, length)
    goal = len(scene) / -(-len(scene) // most)
    starts = [scene.start]
    for gop in gops[1:]:
        if gop.stop - starts[-1] > most or gop.start + len(gop) / 2 - starts[-1] > goal:
            starts.append(gop.start)
    return [range(a, b) for a, b in pairwise((*starts, scene.stop))]


def split(span: range, length: int) -> list[range]:
    """Frames in GoPs of at most `length`, as even as can be."""
    count = -(-len(span) // length)
    cuts = [span.start + i * len(span) // count for i in range(count + 1)]
    return [range(a, b) for a, b in pairwise(cuts)]


def divide(source: VideoSource, outline: Outline, lengths: Sequence[int], bpp: float | None) -> Division:
    """Divide a clip into GoPs of at most so many frames, for each section; `bpp`: bits per pixel that are asked for,
    None where no size is. Reads the clip up to twice. Raises MediaError.
    """
    gops, entries = outline.divided(lengths)
    weights = [len(gop) / len(source) for gop in gops]
    if bpp is not None and len(gops) > 1:
        starts = [gop.start for gop, entry in zip(gops, entries, strict=True) if entry]
        weights = survey(source, bpp, starts).weights(gops)
    return Division(tuple(gops), tuple(entries), tuple(weights))
