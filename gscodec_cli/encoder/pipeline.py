# SPDX-License-Identifier: MIT
"""The encoder, top to bottom: cut the clip into GoPs, train each, write it, decode it again and measure what was
really written.

Takes an open clip and a file to write into. Must not import the verbs.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np
import torch

from gscodec.format.container import ContainerWriter
from gscodec.format.dequant import dequantise
from gscodec.format.gop import GopBits, write_gop
from gscodec.format.limits import LEVELS, level_for
from gscodec.format.records import GopRecord, SequenceHeader
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.encoder.compression import Compression
from gscodec_cli.encoder.export import export_gop
from gscodec_cli.encoder.fit import Trainer, fit_gop, shrink
from gscodec_cli.encoder.media import MediaChunks
from gscodec_cli.encoder.options import PROFILE_IDS, EncodeOptions, Plan, resolve
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.rate import Budget
from gscodec_cli.errors import BackendMissingError
from gscodec_cli.metrics.psnr import psnr
from gscodec_cli.video.info import VideoInfo
from gscodec_cli.video.reader import VideoSource

CONTAINER_BYTES = 200  # header, index and framing of a short clip
SHRINK_ROUNDS = 4


@dataclass(frozen=True)
class Status:
    """Where an encode stands.

    Psnr: dB, of the steps just trained. bpp and decoded_psnr: of the GoPs already written, None before the first.
    """

    gop: int
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
Export = Callable[[Compression], GopRecord]


def encode(
    source: VideoSource, target: BinaryIO, options: EncodeOptions, progress: Progress | None = None
) -> EncodeResult:
    """Encode a clip into `target`, a writable and seekable binary file.

    Raises UsageError, MediaError, LimitError (a picture larger than any level), BackendMissingError, OSError.
    """
    if options.device == "cuda":
        raise BackendMissingError("--device cuda: this version trains on the CPU only; use --device cpu or auto")
    return _Encode(source, target, resolve(options), progress).run()


def split_gops(frames: int, length: int, even: bool) -> list[range]:
    """Cut `frames` frames into GoPs of at most `length`: all full but the last, or all as even as can be."""
    count = -(-frames // length)
    if not even:
        return [range(i * length, min(frames, (i + 1) * length)) for i in range(count)]
    return [range(i * frames // count, (i + 1) * frames // count) for i in range(count)]


class _Encode:
    """One run: what is the same for all GoPs, and the sums over those already written."""

    def __init__(self, source: VideoSource, target: BinaryIO, plan: Plan, progress: Progress | None) -> None:
        self.source, self.target, self.plan, self.progress = source, target, plan, progress
        self.info = source.info
        self.gops = split_gops(len(source), plan.gop, even=plan.profile == "main")
        self.pixels = self.info.width * self.info.height
        self.budget = None
        if plan.bpp is not None:
            overhead = 8 * (CONTAINER_BYTES + 8 * len(self.gops))
            self.budget = Budget(plan.bpp, self.pixels * len(source), plan.profile, plan.tools, overhead)
        self.gaussians, self.bits = 0, 0
        self.psnrs: list[float] = []
        self.notes: list[str] = []
        most = max(self._count(len(gop)) for gop in self.gops)
        self.header = sequence_header(self.info, plan, len(source), max(map(len, self.gops)), 4 * most)

    def run(self) -> EncodeResult:
        """Encode every GoP in display order."""
        torch.set_num_threads(self.plan.threads or os.cpu_count() or 1)
        began = time.monotonic()
        writer = ContainerWriter(self.target, self.header)
        media = MediaChunks(self.source, writer)
        media.begin()
        frames = iter(self.source)
        for number, span in enumerate(self.gops):
            taken = [next(frames) for _ in span]
            media.before_gop(span)
            self._encode_gop(number, span, taken, writer)
        writer.close()
        size = self.target.tell()
        counted = 8 * (size - writer.media_bytes)
        self._note_rate(counted)
        return EncodeResult(
            frames=len(self.source),
            gops=len(self.gops),
            gaussians=self.gaussians,
            bytes=size,
            bpp=counted / (self.pixels * len(self.source)),
            psnr=float(np.mean(self.psnrs)),
            seconds=time.monotonic() - began,
            notes=tuple(self.notes),
        )

    def _count(self, frames: int) -> int:
        """Gaussians of a GoP of so many frames: as asked, as the bits allow, or the profile's default for this size."""
        if self.plan.gaussians is not None:
            count = self.plan.gaussians
        elif self.budget is not None:
            count = self.budget.count(self.pixels * frames)
        else:
            count = PROFILES[self.plan.profile].gaussians
            count = math.ceil(count * self.pixels / (1280 * 640))
        return min(count, LEVELS[max(LEVELS)].gaussians, max(1, 2 * self.pixels))

    def _encode_gop(self, number: int, span: range, taken: list, writer: ContainerWriter) -> None:
        pictures = np.stack([rgb for rgb, _ in taken])
        pts = tuple(p for _, p in taken) if self.header.frame_duration == 0 else None
        frames = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()
        export = partial(export_gop, first_frame=span.start, pts=pts)
        count, seed = self._count(len(span)), self.plan.seed + number
        keep = partial(self._affordable, export) if self.budget and self.plan.gaussians is None else None
        trainer = fit_gop(frames, self.plan, count, seed, self._reporter(number), keep)
        record, bits = self._meet_rate(export, trainer)
        writer.add_gop(record)
        self.gaussians += record.gaussian_count
        self.bits += bits.total
        renderer = GopRenderer(dequantise(record, self.header), self.header, threads=self.plan.threads)
        self.psnrs += [psnr(renderer.render(i), picture) for i, picture in enumerate(pictures)]

    def _affordable(self, export: Export, trainer: Trainer) -> int:
        """Gaussians that the GoP's share of the budget should pay for, from what all of them would cost now."""
        assert self.budget is not None
        trained = trainer.compression is not None
        record = export(trainer.compression or Compression(trainer.model, trainer.generator))
        _, bits = write_gop(record, self.header)
        pixels = self.pixels * len(trainer.frames)
        return self.budget.affordable(pixels, record.gaussian_count, bits.total, bits.fixed, trained)

    def _meet_rate(self, export: Export, trainer: Trainer) -> tuple[GopRecord, GopBits]:
        """Export a trained GoP.

        As long as it has more bits than it may, drop Gaussians and train the rest a little more.
        """
        pixels = self.pixels * len(trainer.frames)
        for attempt in range(SHRINK_ROUNDS + 1):
            assert trainer.compression is not None
            record = export(trainer.compression)
            _, bits = write_gop(record, self.header)
            if self.budget is None:
                break
            fewer = self.budget.smaller(pixels, trainer.model.count, bits.total)
            if fewer is None or attempt == SHRINK_ROUNDS:
                self.budget.spend(pixels, record.gaussian_count, bits.total, bits.fixed)
                break
            shrink(trainer, fewer)
        return record, bits

    def _reporter(self, number: int) -> Callable[[str, int, int, float], None]:
        """A function that turns a trainer's report into a Status."""
        effort = self.plan.effort
        steps = {
            "key frame": effort.key_iterations,
            "joint": effort.joint_iterations,
            "compression": effort.tune_iterations,
        }
        before = dict(zip(steps, np.cumsum([0, *steps.values()]), strict=False))
        total = max(1, sum(steps.values()))

        def report(stage: str, step: int, count: int, trained_psnr: float) -> None:
            if self.progress is None:
                return
            done = min(1.0, (before[stage] + step) / total) if stage in before else 1.0
            written = sum(len(gop) for gop in self.gops[:number]) * self.pixels
            self.progress(
                Status(
                    gop=number,
                    gops=len(self.gops),
                    stage=stage,
                    step=step,
                    steps=count,
                    share=(number + done) / len(self.gops),
                    psnr=trained_psnr,
                    bpp=self.bits / written if written else None,
                    decoded_psnr=float(np.mean(self.psnrs)) if self.psnrs else None,
                )
            )

        return report

    def _note_rate(self, bits: int) -> None:
        """Say so when the file is far from the size that was asked for."""
        if self.plan.bpp is None:
            return
        reached = bits / (self.pixels * len(self.source))
        if abs(reached / self.plan.bpp - 1) > 0.02:
            self.notes.append(f"asked for {self.plan.bpp:g} bpp, {reached:.4f} is the nearest that was reached")


def sequence_header(info: VideoInfo, plan: Plan, frames: int, gop: int, gaussians: int) -> SequenceHeader:
    """The sequence header of a clip (SPEC 5.4). Raises LimitError when no level holds the picture."""
    return SequenceHeader(
        profile=PROFILE_IDS[plan.profile],
        level=level_for(info.width * info.height, gaussians),
        width=info.width,
        height=info.height,
        sar_num=info.sar_num,
        sar_den=info.sar_den,
        bit_depth=info.coded_depth,
        colour_primaries=info.colour_primaries,
        transfer_characteristics=info.transfer_characteristics,
        matrix_coefficients=info.matrix_coefficients,
        full_range=info.full_range,
        time_base_num=info.time_base.numerator,
        time_base_den=info.time_base.denominator,
        frame_duration=info.frame_duration,
        start_pts=info.start_pts,
        max_gop_frames=gop,
        frame_count=frames,
    )
