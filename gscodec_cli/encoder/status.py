# SPDX-License-Identifier: MIT
"""Where an encode stands, and what came of it. Must not import the verbs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from gscodec_cli.encoder.chain import FinishedGop, Step
from gscodec_cli.encoder.division import Division
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

    def __init__(self, progress: Progress | None, plan: Plan, division: Division, pixels: int) -> None:
        self._progress, self._gops, self._pixels = progress, len(division.gops), pixels
        effort = plan.effort
        counts = {
            "key frame": effort.key_iterations,
            "joint": effort.joint_iterations,
            "compression": effort.tune_iterations,
        }
        self._before = dict(zip(counts, accumulate(counts.values(), initial=0), strict=False))
        self._steps = max(1, sum(counts.values()))
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
        known = step.stage in self._before
        done = min(1.0, (self._before[step.stage] + step.step) / self._steps) if known else 1.0
        self._under_way[step.number] = done
        share = (self._done + sum(self._under_way.values())) / self._gops
        self._share = min(1.0, max(self._share, share))
        self._progress(
            Status(
                gop=min(self._done, self._gops - 1),
                gops=self._gops,
                stage=step.stage,
                step=step.step,
                steps=step.steps,
                share=self._share,
                psnr=step.psnr,
                bpp=self._bits / (self._frames * self._pixels) if self._frames else None,
                decoded_psnr=self._psnrs / self._frames if self._frames else None,
            )
        )
