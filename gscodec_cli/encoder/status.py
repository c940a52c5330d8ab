# SPDX-License-Identifier: MIT
"""Where an encode stands, and what came of it. Must not import the verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from gscodec_cli.encoder.chain import FinishedGop, Step
from gscodec_cli.encoder.options import Plan


@dataclass(frozen=True)
class Status:
    """Where an encode stands.

    Psnr: dB, of the steps just trained. bpp and decoded_psnr: of the GoPs already written, None before the first.
    """

    gop: int  # GoPs that are finished
    gops: int
    stage: str
    step: int
    steps: int
    share: float  # of the whole encode, 0..1
    psnr: float
    bpp: float | None
    decoded_psnr: float | None


@dataclass(frozen=True)
class EncodeResult:
    """What was written. psnr: dB, mean over frames of the PSNR on 8-bit RGB, decoded from the coded integers."""

    frames: int
    gops: int
    gaussians: int
    bytes: int
    bpp: float
    psnr: float
    seconds: float
    notes: tuple[str, ...]


Progress = Callable[[Status], None]


class Reporter:
    """Turns reports of GoPs that are trained at the same time into one Status after the other."""

    def __init__(
        self, progress: Progress | None, plan: Plan, gops: int, pixels: int, lead: float = 0.0, *, trial_of: int = 0
    ) -> None:
        """gops: as many are encoded. lead: share of the whole encode that a trial takes: the one before this, or this,
        if it is one for `trial_of` GoPs.
        """
        self._progress, self._gops, self._pixels, self._trial_of = progress, gops, pixels, trial_of
        self._begin, self._part = (0.0, lead) if trial_of else (lead, 1 - lead)
        counts = {
            (attempt, stage): count
            for attempt, effort in enumerate(plan.efforts)
            for stage, count in (
                ("key frame", effort.key_iterations),
                ("joint", effort.joint_iterations),
                ("compression", effort.tune_iterations),
                ("fit to target", 0),
            )
        }
        # Share of a GoP's training, before a stage and by it: a longer one has more of all steps.
        self._stages = {
            name: (before / plan.steps, count / plan.steps)
            for (name, count), before in zip(counts.items(), accumulate(counts.values(), initial=0), strict=False)
        }
        self._under_way: dict[int, float] = {}
        self._done = self._frames = self._bits = 0
        self._psnrs = self._share = 0.0

    def finished(self, gop: FinishedGop) -> None:
        """A GoP is finished."""
        self._under_way.pop(gop.number, None)
        if gop.turn == 0:
            self._done += 1
            self._frames += gop.frames
            self._bits += gop.bits
            self._psnrs += sum(gop.psnrs)

    def step(self, step: Step) -> None:
        """A GoP is being trained."""
        if self._progress is None:
            return
        before, by_it = self._stages[step.attempt, step.stage]
        done = min(1.0, before + by_it * step.step / max(1, step.steps))
        self._under_way[step.number] = done
        share = (self._done + sum(self._under_way.values())) / self._gops
        self._share = min(1.0, max(self._share, share))
        written = self._frames and not self._trial_of
        self._progress(
            Status(
                gop=0 if self._trial_of else min(self._done, self._gops - 1),
                gops=self._trial_of or self._gops,
                stage="trial" if self._trial_of else step.stage,
                step=step.step,
                steps=step.steps,
                share=self._begin + self._part * self._share,
                psnr=step.psnr,
                bpp=self._bits / (self._frames * self._pixels) if written else None,
                decoded_psnr=self._psnrs / self._frames if written else None,
            )
        )
