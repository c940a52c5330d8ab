# SPDX-License-Identifier: MIT
"""One GoP from frames to a record: choose what it is trained towards, train it, count its bits, decode it again.

Keeps what the next GoP may be predicted from. Must not import the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gscodec.format.gop import GopBits, read_gop, write_gop
from gscodec.format.limits import LEVELS
from gscodec.format.records import GopRecord, SequenceHeader
from gscodec_cli.encoder.carry import Reference, predicted_model, reference_of
from gscodec_cli.encoder.fit import fit_gop
from gscodec_cli.encoder.hash_field import new_field
from gscodec_cli.encoder.home import Home, generator
from gscodec_cli.encoder.job import Job
from gscodec_cli.encoder.model import CARRIED_LOAD
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.rate import Aim, BitsAim, Cost, CountAim, Meter, OpenAim, PsnrAim, QualityAim
from gscodec_cli.encoder.refine import Refiner
from gscodec_cli.encoder.tools import Effort, Tools
from gscodec_cli.encoder.trainer import Report, Trainer

PER_LOAD = 50.0  # bits of a Gaussian, before any has been counted
FIELD_BITS = 6.0  # per number
TABLE_BITS = 6_000.0  # tables of a GoP
ROUNDED = 16  # Gaussians that a load may be off by


@dataclass(frozen=True)
class CodedGop:
    """A GoP as written: record, payload, bits, what it cost, and the PSNR of each decoded frame in dB."""

    record: GopRecord
    payload: bytes
    bits: GopBits
    cost: Cost
    psnrs: tuple[float, ...]
    worth: float  # dB, see `Aim.worth`
    rate: float | None  # bits per pixel that its quantisers are made for; those of the GoPs behind it too


class GopEncoder:
    """Encodes GoPs one after the other. `header` is the file's sequence header, `home` where to train."""

    def __init__(self, plan: Plan, header: SequenceHeader, seed: int, home: Home) -> None:
        self.plan, self.header, self.seed, self.home = plan, header, seed, home
        self._asked = plan
        self._rate: float | None = None  # that the plan's quantisers are for, where it is not the caller's plan
        self.pixels = header.width * header.height
        self._reference: Reference | None = None
        self._costs: dict[bool, Cost] = {}  # of the last GoP that was, or was not, predicted

    def go_on(self, last: GopRecord | None, costs: dict[bool, Cost], rate: float | None) -> None:
        """Go on behind GoP `last`; `costs`: what GoPs took that were, or were not, predicted; `rate`: see CodedGop."""
        self._costs = dict(costs)
        self._use_rate(rate)
        with self.home.training():
            self._reference = last and reference_of(last, self.plan.tools)

    @property
    def most(self) -> float:
        """The largest load of a GoP: two Gaussians per pixel, and as many as the level holds if all are carried."""
        held = (LEVELS[self.header.level].gaussians - ROUNDED) * _least_load(self.plan)
        return min(held, max(1.0, 2.0 * self.pixels))

    @threadpool_limits.wrap(limits=1, user_api="blas")  # products of matrices are rounded as their parts are shared out
    def encode(
        self,
        number: int,
        span: range,
        pictures: NDArray,
        pts: tuple[int, ...] | None,
        allowed: float | None,
        predicted: bool,
        report: Callable[[int, str, int, int, float], None],
    ) -> CodedGop:
        """Encode frames `span`, pictures [T, H, W, 3] uint8 or uint16, in `allowed` bits where bits are asked for.

        `report` is told the number of the effort, then what `Report` is told.
        """
        with self.home.training():
            reference = self._reference if predicted else None
            threads, seed, tools = self.plan.threads, self.seed + number, self.plan.tools
            job = Job(self.header, threads, seed, span, pictures, pts, allowed, reference, tools)
            found = [
                self._attempt(job, effort, partial(report, attempt)) for attempt, effort in enumerate(self.plan.efforts)
            ]
            best = max(found, key=lambda coded: coded.worth)
            self._costs[predicted] = best.cost
            self._use_rate(best.rate)
            self._reference = reference_of(best.record, self.plan.tools)
            return best

    def _attempt(self, job: Job, effort: Effort, report: Report) -> CodedGop:
        """Encode a GoP with one effort."""
        aim = self._aim(Meter(job.cost, job.psnr, self.most), job)
        refiner = Refiner(job, aim)
        trainer = self._trained(refiner, effort, report)
        aim.finish(trainer, refiner)
        payload, bits = write_gop(job.record(trainer), self.header, job.before)
        self._costs[job.reference is not None] = cost = Cost(bits.total, bits.fixed, trainer.model.load)
        # Read again, as whoever goes on from the file has it.
        record, _ = read_gop(payload, self.header, None, job.before)
        psnrs = tuple(job.psnrs(record))
        return CodedGop(record, payload, bits, cost, psnrs, aim.worth(bits.total, psnrs), self._rate)

    def _trained(self, refiner: Refiner, effort: Effort, report: Report) -> Trainer:
        """Train a GoP as often as its aim wants, and give the best that came of it."""
        job, aim = refiner.job, refiner.aim
        best, most, rate = None, -math.inf, self._rate
        for left in reversed(range(self.plan.tries)):
            trainer = self._train(refiner, effort, report)
            if not isinstance(aim, OpenAim):
                return trainer
            cost, found = job.cost(trainer), job.psnr(trainer)
            worth = aim.worth(cost.bits, [found])
            if worth > most:
                best, most, rate = trainer, worth, self._rate
            if not (left and aim.again(cost, found)):
                break
        assert best is not None
        self._use_rate(rate)
        return best

    def _train(self, refiner: Refiner, effort: Effort, report: Report) -> Trainer:
        job, aim, trainer = refiner.job, refiner.aim, None
        while trainer is None:
            if isinstance(aim, OpenAim) and job.reference is None:  # else it keeps the steps of the GoP before
                self._use_rate(aim.bits / job.samples)
            model, plan = None, replace(self.plan, effort=effort)
            if job.reference is not None:
                model = predicted_model(job.reference, len(job.frames), self.header, generator(job.seed), job.scene)
            trainer = fit_gop(job.frames, plan, aim, job.seed, report, model, job.scene, refiner)
        refiner.smooth(trainer)
        return trainer

    def _use_rate(self, rate: float | None) -> None:
        """Quantise as `rate` bits per pixel want it, None: as the caller's plan says."""
        self._rate, self.plan = rate, self._asked if rate is None else self._asked.at_rate(rate, self.pixels)

    def _aim(self, meter: Meter, job: Job) -> Aim:
        plan, predicted = self.plan, job.reference is not None
        if job.allowed is not None:
            return BitsAim(meter, job.allowed, self._guess(predicted))
        if plan.gaussians is not None:
            return CountAim(meter, plan.gaussians)
        if plan.psnr is not None:
            return PsnrAim(meter, plan.psnr, job.samples, self._known(predicted), self._guess(predicted))
        if plan.quality is not None:
            return QualityAim(meter, plan.quality, job.samples, self._known(predicted), self._guess(predicted))
        return CountAim(meter, math.ceil(PROFILES[plan.profile].gaussians * self.pixels / (1280 * 640)))

    def _guess(self, predicted: bool) -> Cost:
        """What a GoP takes, as far as that is known, else from typical files."""
        fixed = TABLE_BITS + FIELD_BITS * field_numbers(self.plan.tools)
        return self._known(predicted) or Cost(round(fixed + 1000 * PER_LOAD), round(fixed), 1000.0)

    def _known(self, predicted: bool) -> Cost | None:
        """What the last GoP took of its kind, else of the other kind."""
        return self._costs.get(predicted) or self._costs.get(not predicted)


def gaussians_of(load: float, plan: Plan) -> int:
    """Gaussians that a level must hold for a GoP of this load, however many are carried: see `GopEncoder.most`."""
    return math.ceil(load / _least_load(plan)) + ROUNDED


def _least_load(plan: Plan) -> float:
    """The load of the Gaussians that count least."""
    return CARRIED_LOAD if plan.profile == "main" else 1.0


def field_numbers(tools: Tools) -> int:
    """Numbers in the hash field: tables, two hidden layers, two heads."""
    if tools.field is None:
        return 0
    return sum(tensor.numel() for tensor in new_field(tools.field, generator(0)).values())
