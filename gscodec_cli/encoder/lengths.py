# SPDX-License-Identifier: MIT
"""How long the GoPs of each section are: a trial with little effort, and which length came out best.

In a longer GoP what stays is coded once; what changes has less of the detail and coarser motion. Which of the two
counts for more depends on the clip and on the bits there are (docs/decisions/022). Must not import the verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from gscodec_cli.encoder.chain import ChainTask, FinishedGop
from gscodec_cli.encoder.division import Division, Outline, split
from gscodec_cli.encoder.options import TRIAL, Plan
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.rate import worth

USUAL = 64  # frames; a longer GoP is tried where no more is new in it than CALM
CALM = 8.0  # pictures' worth of new bits
MOST_SAMPLES = 1 << 27  # pixels of a GoP's frames: what its training holds in memory is bounded
TRIES = 2  # trainings of a GoP: how good it is for its bits hardly depends on whether it is what was asked for
MARGIN = 0.1  # dB by which a longer GoP must be better: little effort favours it

MakeTask = Callable[[Division, range, Plan], ChainTask]


@dataclass
class _Entrant:
    """A section cut at a length, and what came of it."""

    bits: int = 0
    psnrs: list[float] = field(default_factory=list)

    @property
    def value(self) -> float:
        """See `worth`."""
        return worth(self.bits, self.psnrs)


def worth_trying(outline: Outline, plan: Plan, pixels: int) -> dict[int, list[int]]:
    """Lengths, the usual one first, that are to be tried in each section in which there is a choice, by its number."""
    found = {}
    for number, section in enumerate(outline.sections):
        lengths = [plan.gop]
        for length in plan.longer:
            gops = split(section, length)
            news = len(gops) < len(split(section, lengths[-1]))
            calm = length <= USUAL or all(outline.look.novelty(gop) <= CALM for gop in gops)
            if news and calm and length <= plan.keyint and max(map(len, gops)) * pixels <= MOST_SAMPLES:
                lengths.append(length)
        if len(lengths) > 1:
            found[number] = lengths
    return found


class Trial:
    """Encodes each section at each of the lengths worth trying. divisions: of the whole clip, by length."""

    def __init__(self, outline: Outline, lengths: dict[int, list[int]], divisions: dict[int, Division], plan: Plan):
        self._outline, self._lengths, self._divisions = outline, lengths, divisions
        effort = PROFILES[plan.profile].efforts[TRIAL].at_most(plan.effort)
        self.plan = replace(plan, lesser=(), tries=TRIES, effort=effort)
        self._entrants: dict[tuple[int, int], _Entrant] = {}  # by section and length
        self._of: dict[int, _Entrant] = {}  # by the number of a GoP

    def tasks(self, make: MakeTask) -> list[ChainTask]:
        """What is to be encoded; the GoPs are numbered throughout. `make` gives the task of a division's chain."""
        tasks = []
        for section, lengths in self._lengths.items():
            for length in lengths:
                self._entrants[section, length] = entrant = _Entrant()
                for chain in self._chains(section, length):
                    # numbered throughout, with the seeds that the GoPs of the division have
                    plan = replace(self.plan, seed=self.plan.seed + chain[0] - len(self._of))
                    task = replace(make(self._divisions[length], chain, plan), first=len(self._of))
                    self._of.update(dict.fromkeys(task.left, entrant))
                    tasks.append(task)
        return tasks

    def add(self, gop: FinishedGop) -> None:
        """A GoP of the trial is finished."""
        entrant = self._of[gop.number]
        entrant.bits += gop.bits
        entrant.psnrs += gop.psnrs

    def best(self) -> list[int]:
        """The length for each section, once all is finished."""
        found = [self.plan.gop] * len(self._outline.sections)
        for number, lengths in self._lengths.items():
            values = {n: self._entrants[number, n].value - MARGIN * (n > self.plan.gop) for n in lengths}
            found[number] = max(lengths, key=values.__getitem__)
        return found

    def _chains(self, section: int, length: int) -> Iterator[range]:
        """The chains that make up a section in the division at a length."""
        span, division = self._outline.sections[section], self._divisions[length]
        return (chain for chain in division.chains if division.gops[chain[0]].start in span)
