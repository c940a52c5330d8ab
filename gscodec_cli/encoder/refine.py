# SPDX-License-Identifier: MIT
"""What a GoP draws besides its Gaussians, given to a training where it is worth its bits: detail, residual, filter.

Says when, and for how much; `detail`, `residual` and `smooth` find them. Must not import the verbs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gscodec.format.records import DetailData, ResidualData
from gscodec_cli.encoder.detail import Frames, detail_bits, first_detail, fit_detail, left_by, without_detail
from gscodec_cli.encoder.job import Job, planes
from gscodec_cli.encoder.rate import Aim, BitsAim
from gscodec_cli.encoder.residual import fit_residual, leads, slope_beside
from gscodec_cli.encoder.residual_cosines import Floats
from gscodec_cli.encoder.smooth import fit_filter
from gscodec_cli.encoder.trainer import Trainer

UNRATED_SHARE = 0.43  # of the bits that Gaussians take before compression, at the end
LEAST_GAIN = 0.2  # dB by detail, before compression: where it is less, Gaussians trained on bring more for its bits
LEAST_SHARE = 0.1  # of the Gaussians, those that bring least: what bits are worth to them


@dataclass(frozen=True)
class Refiner:
    """Refines trainings of a GoP; see `fit.Refine`."""

    job: Job
    aim: Aim

    def __call__(self, trainer: Trainer, *, last: bool = False) -> None:
        tools, allowed = trainer.model.tools, self.aim.bits
        with_detail = tools.detail and tools.normalised
        if not (with_detail or tools.residual):
            return
        bits = allowed or self.job.cost(trainer).bits * (1.0 if trainer.rated else UNRATED_SHARE)
        now, trainer.detail, had, trainer.residual = trainer.detail, None, trainer.residual, None
        drawn = replace(self.job.record(trainer), filter=None)  # detail and residual are added before it
        frames = Frames(self.job.renderer(drawn), self.job.pictures)
        if with_detail:
            self._refine_detail(trainer, frames, now, bits, last)
        if tools.residual and trainer.rated and (had or (trainer.slope is None and not last)):
            most = bits - self.job.cost(trainer).bits if last and allowed else None
            trainer.residual = self._residual(
                trainer, left_by(frames, trainer.detail), bits, had if last else None, most
            )

    def _residual(
        self, trainer: Trainer, missing: Floats, bits: float, like: ResidualData | None, most: float | None
    ) -> ResidualData | None:
        """The residual for `trainer`, which has none now; the rest as `fit_residual` has it.

        The first time its slope is what the Gaussians bring that bring least, and it must bring more than they do.
        """
        header = self.job.header
        if trainer.slope is not None:
            return fit_residual(missing, bits, header, trainer.slope, like, most).residual
        cost = self.job.cost(trainer)
        share = max(LEAST_SHARE * (cost.bits - cost.fixed) / bits, 1e-9)
        lost = trainer.brought_by_least(LEAST_SHARE) / share
        trainer.slope = slope_beside(missing, bits, lost)
        found = fit_residual(missing, bits, header, trainer.slope, like, most)
        return found.residual if leads(found, len(missing), bits, lost) else None

    def _refine_detail(self, trainer: Trainer, frames: Frames, now: DetailData | None, bits: float, last: bool) -> None:
        """Give `trainer`, which has had the detail `now`, another one, and what is left to be trained towards."""
        header, before = self.job.header, self.job.detail_before
        if now is None:
            found = first_detail(frames, bits, header, before, LEAST_GAIN)
        else:
            most = detail_bits(header, now, before) if last else None
            found = fit_detail(frames, bits, header, before, moving=now.moving, most=most)
        trainer.detail = now if found is None and last else found
        trainer.frames = planes(without_detail(frames, trainer.detail))

    def smooth(self, trainer: Trainer) -> None:
        """Give a trained GoP a filter if that is worth its bits."""
        if not trainer.model.tools.filter:
            return
        job, aim = self.job, self.aim
        trainer.filter = fit_filter(job.renderer(job.record(trainer)), job.pictures, job.cost(trainer).bits)
        if trainer.filter is None:
            return
        aim.settle(trainer)
        if aim.bits and job.cost(trainer).bits > aim.bits * (1 + BitsAim.OVER):
            trainer.filter = None  # there was too little that could make room for it
