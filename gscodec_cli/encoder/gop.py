# SPDX-License-Identifier: MIT
"""One GoP from frames to a record: choose what it is trained towards, train it, count its bits, decode it again.

Keeps what the next GoP may be predicted from. Must not import the verbs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from torch import Tensor

from gscodec.format.dequant import dequantise
from gscodec.format.gop import GopBits, read_gop, write_gop
from gscodec.format.limits import LEVELS
from gscodec.format.records import DetailData, GopRecord, ResidualData, SequenceHeader
from gscodec.format.residual import residual_bytes
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.encoder.camera import Scene, scene_of
from gscodec_cli.encoder.carry import Reference, predicted_model, reference_of
from gscodec_cli.encoder.compression import Compression
from gscodec_cli.encoder.detail import Frames, detail_bits, first_detail, fit_detail, left_by, without_detail
from gscodec_cli.encoder.export import export_gop
from gscodec_cli.encoder.fit import fit_gop
from gscodec_cli.encoder.hash_field import new_field
from gscodec_cli.encoder.home import Home, generator, tensor_of
from gscodec_cli.encoder.model import CARRIED_LOAD
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.rate import Aim, BitsAim, Cost, CountAim, Meter, OpenAim, PsnrAim, QualityAim
from gscodec_cli.encoder.residual import fit_residual, slope_beside
from gscodec_cli.encoder.residual_cosines import Floats
from gscodec_cli.encoder.smooth import fit_filter
from gscodec_cli.encoder.tools import Effort, Tools
from gscodec_cli.encoder.trainer import Report, Trainer
from gscodec_cli.metrics.psnr import psnr

PER_LOAD = 50.0  # bits of a Gaussian, before any has been counted
FIELD_BITS = 6.0  # per number
TABLE_BITS = 6_000.0  # tables of a GoP
UNRATED_SHARE = 0.43  # of the bits that Gaussians take before compression, at the end
LEAST_GAIN = 0.2  # dB by detail, before compression: where it is less, Gaussians trained on bring more for its bits
LEAST_SHARE = 0.1  # of the Gaussians, those that bring least: what bits are worth to them
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


@dataclass(frozen=True)
class _Job:
    """A GoP to be encoded. frames: its pictures where they are trained. reference: what it is predicted from, if so."""

    seed: int
    span: range
    pictures: NDArray
    frames: Tensor
    pts: tuple[int, ...] | None
    allowed: float | None
    reference: Reference | None
    scene: Scene | None

    @property
    def samples(self) -> int:
        """Pixels of all its frames."""
        return self.pictures[..., 0].size

    @property
    def before(self) -> GopRecord | None:
        """The GoP that it is predicted from."""
        return self.reference.record if self.reference else None


class GopEncoder:
    """Encodes GoPs one after the other. `header` is the file's sequence header, `home` where to train."""

    def __init__(self, plan: Plan, header: SequenceHeader, seed: int, home: Home) -> None:
        self.plan, self.header, self.seed, self.home = plan, header, seed, home
        self._asked = plan
        self._rate: float | None = None  # that the plan's quantisers are for, where it is not the caller's plan
        self.pixels = header.width * header.height
        # Before some of them go a GoP has more Gaussians than it will have, more than the level may hold.
        self._unbound = replace(header, level=max(LEVELS))
        self._reference: Reference | None = None
        self._counted: tuple[ResidualData | None, int] = None, 0  # a residual and its bits
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
            scene = scene_of(pictures, self._picture_before(reference), self.plan.tools)
            job = _Job(self.seed + number, span, pictures, _planes(pictures), pts, allowed, reference, scene)
            found = [
                self._attempt(job, effort, partial(report, attempt)) for attempt, effort in enumerate(self.plan.efforts)
            ]
            best = max(found, key=lambda coded: coded.worth)
            self._costs[predicted] = best.cost
            self._use_rate(best.rate)
            self._reference = reference_of(best.record, self.plan.tools)
            return best

    def _attempt(self, job: _Job, effort: Effort, report: Report) -> CodedGop:
        """Encode a GoP with one effort."""
        aim = self._aim(Meter(partial(self._cost, job), partial(self._psnr, job), self.most), job)
        trainer = self._trained(job, effort, aim, report)
        aim.finish(trainer, partial(self._refine, job, aim))
        payload, bits = write_gop(self._record(job, trainer), self.header, job.before)
        self._costs[job.reference is not None] = cost = Cost(bits.total, bits.fixed, trainer.model.load)
        # Read again, as whoever goes on from the file has it.
        record, _ = read_gop(payload, self.header, None, job.before)
        psnrs = tuple(self._decoded_psnrs(record, job.pictures))
        return CodedGop(record, payload, bits, cost, psnrs, aim.worth(bits.total, psnrs), self._rate)

    def _trained(self, job: _Job, effort: Effort, aim: Aim, report: Report) -> Trainer:
        """Train a GoP as often as its aim wants, and give the best that came of it."""
        best, most, rate = None, -math.inf, self._rate
        for left in reversed(range(self.plan.tries)):
            trainer = self._train(job, effort, aim, report)
            if not isinstance(aim, OpenAim):
                return trainer
            cost, found = self._cost(job, trainer), self._psnr(job, trainer)
            worth = aim.worth(cost.bits, [found])
            if worth > most:
                best, most, rate = trainer, worth, self._rate
            if not (left and aim.again(cost, found)):
                break
        assert best is not None
        self._use_rate(rate)
        return best

    def _train(self, job: _Job, effort: Effort, aim: Aim, report: Report) -> Trainer:
        trainer = None
        while trainer is None:
            if isinstance(aim, OpenAim) and job.reference is None:  # else it keeps the steps of the GoP before
                self._use_rate(aim.bits / job.samples)
            model, plan, refine = None, replace(self.plan, effort=effort), partial(self._refine, job, aim)
            if job.reference is not None:
                model = predicted_model(job.reference, len(job.frames), self.header, generator(job.seed), job.scene)
            trainer = fit_gop(job.frames, plan, aim, job.seed, report, model, job.scene, refine)
        self._smooth(job, trainer, aim)
        return trainer

    def _refine(self, job: _Job, aim: Aim, trainer: Trainer, *, last: bool = False) -> None:
        """See `fit.Refine`."""
        tools, allowed = trainer.model.tools, aim.bits
        with_detail = tools.detail and tools.normalised
        if not (with_detail or tools.residual):
            return
        bits = allowed or self._cost(job, trainer).bits * (1.0 if trainer.rated else UNRATED_SHARE)
        now, trainer.detail, had, trainer.residual = trainer.detail, None, trainer.residual, None
        drawn = replace(self._record(job, trainer), filter=None)  # detail and residual are added before it
        frames = Frames(self._renderer(drawn), job.pictures)
        if with_detail:
            self._refine_detail(job, trainer, frames, now, bits, last)
        if tools.residual and trainer.rated and (had or not last):
            missing = left_by(frames, trainer.detail)
            if trainer.slope is None:
                trainer.slope = self._slope(job, trainer, missing, bits)
            most = bits - self._cost(job, trainer).bits if last and allowed else None
            like = had if last else None
            trainer.residual = fit_residual(missing, bits, self.header, trainer.slope, like, most)

    def _slope(self, job: _Job, trainer: Trainer, missing: Floats, bits: float) -> float:
        """The slope of a residual of a GoP that has none yet and takes so many bits."""
        cost = self._cost(job, trainer)
        share = max(LEAST_SHARE * (cost.bits - cost.fixed) / bits, 1e-9)
        return slope_beside(missing, bits, trainer.brought_by_least(LEAST_SHARE) / share)

    def _refine_detail(
        self, job: _Job, trainer: Trainer, frames: Frames, now: DetailData | None, bits: float, last: bool
    ) -> None:
        """Give `trainer`, which has had the detail `now`, another one, and what is left to be trained towards."""
        before = job.before.detail if job.before else None
        if now is None:
            found = first_detail(frames, bits, self.header, before, LEAST_GAIN)
        else:
            most = detail_bits(self.header, now, before) if last else None
            found = fit_detail(frames, bits, self.header, before, moving=now.moving, most=most)
        trainer.detail = now if found is None and last else found
        trainer.frames = _planes(without_detail(frames, trainer.detail))

    def _smooth(self, job: _Job, trainer: Trainer, aim: Aim) -> None:
        """Give a trained GoP a filter if that is worth its bits."""
        if not trainer.model.tools.filter:
            return
        bits = self._cost(job, trainer).bits
        trainer.filter = fit_filter(self._renderer(self._record(job, trainer)), job.pictures, bits)
        if trainer.filter is None:
            return
        aim.settle(trainer)
        if aim.bits and self._cost(job, trainer).bits > aim.bits * (1 + BitsAim.OVER):
            trainer.filter = None  # there was too little that could make room for it

    def _picture_before(self, reference: Reference | None) -> NDArray | None:
        """The last frame of the reference, decoded: where the camera of a predicted GoP goes on from."""
        if reference is None:
            return None
        return self._renderer(reference.record).render(reference.record.frame_count - 1)

    def _renderer(self, record: GopRecord) -> GopRenderer:
        return GopRenderer(dequantise(record), self.header, threads=self.plan.threads)

    def _use_rate(self, rate: float | None) -> None:
        """Quantise as `rate` bits per pixel want it, None: as the caller's plan says."""
        self._rate, self.plan = rate, self._asked if rate is None else self._asked.at_rate(rate, self.pixels)

    def _aim(self, meter: Meter, job: _Job) -> Aim:
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

    def _record(self, job: _Job, trainer: Trainer) -> GopRecord:
        compression = trainer.compression or Compression(trainer.model, trainer.generator)
        camera = trainer.scene.camera if trainer.scene else None
        record = export_gop(compression, job.span.start, job.pts, job.before, camera)
        return replace(record, detail=trainer.detail, residual=trainer.residual, filter=trainer.filter)

    def _cost(self, job: _Job, trainer: Trainer) -> Cost:
        record = replace(self._record(job, trainer), residual=None)
        _, bits = write_gop(record, self._unbound, job.before)
        more = self._residual_bits(record.frame_count, trainer.residual)
        return Cost(bits.total + more, bits.fixed + more, trainer.model.load)

    def _residual_bits(self, frame_count: int, residual: ResidualData | None) -> int:
        """Bits of a residual. Those of the last one are kept: a GoP is counted often while its residual stays."""
        if residual is None:
            return 0
        if residual is not self._counted[0]:
            self._counted = residual, 8 * residual_bytes(self.header, frame_count, residual)
        return self._counted[1]

    def _psnr(self, job: _Job, trainer: Trainer) -> float:
        return float(np.mean(self._decoded_psnrs(self._record(job, trainer), job.pictures)))

    def _decoded_psnrs(self, record: GopRecord, pictures: NDArray) -> list[float]:
        renderer = self._renderer(record)
        return [psnr(renderer.render(i), picture) for i, picture in enumerate(pictures)]


def _planes(pictures: NDArray) -> Tensor:
    """Pictures [T, H, W, 3] as frames [T, 3, H, W] where they are trained."""
    return tensor_of(pictures).permute(0, 3, 1, 2).contiguous()


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
