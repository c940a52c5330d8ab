# SPDX-License-Identifier: MIT
"""The encoder, top to bottom: cut the clip into GoPs, train each, write it, decode it again and measure what was
really written.

Takes an open clip and a file to write into. Must not import the verbs.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import torch

from gscodec.format.container import ContainerWriter
from gscodec.format.limits import level_for
from gscodec.format.records import SequenceHeader
from gscodec_cli.encoder.gop import GopEncoder
from gscodec_cli.encoder.home import Home
from gscodec_cli.encoder.media import MediaChunks
from gscodec_cli.encoder.options import PROFILE_IDS, EncodeOptions, Plan, resolve
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.survey import Survey, split, survey
from gscodec_cli.video.info import VideoInfo
from gscodec_cli.video.reader import VideoSource

PIXELS_PER_GAUSSIAN = 8  # the most a GoP is allowed where no bits are asked for
LEAST_BITS = 15.0  # of a Gaussian
NOVEL = 3.5  # pictures' worth of new bits: above it prediction from the GoP before costs more than it saves
INDEX_BYTES = 17  # of a GoP: its chunk's frame and its entry in the index
END_BYTES = 60  # of the index and the end of the file


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


def encode(
    source: VideoSource, target: BinaryIO, options: EncodeOptions, progress: Progress | None = None
) -> EncodeResult:
    """Encode a clip into `target`, a writable and seekable binary file.

    Raises UsageError, MediaError, LimitError (a picture larger than any level), BackendMissingError, OSError.
    """
    return _Encode(source, target, resolve(options), progress, Home(options.device)).run()


class _Encode:
    """One run: what is the same for all GoPs, and the sums over those already written."""

    def __init__(
        self, source: VideoSource, target: BinaryIO, plan: Plan, progress: Progress | None, home: Home
    ) -> None:
        self.home = home
        self.source, self.target, self.plan, self.progress = source, target, plan, progress
        self.info = source.info
        self.pixels = self.info.width * self.info.height
        self.target_bits = _target_bits(plan, source)
        self.gops, self.entries, self.weights = self._divide()
        self.gaussians, self.bits = 0, 0
        self.psnrs: list[float] = []
        self.notes: list[str] = []
        self.header = sequence_header(self.info, plan, len(source), self.gops, self.entries, self._most_gaussians())

    def _divide(self) -> tuple[list[range], list[bool], list[float]]:
        """The GoPs, which of them are entries (decoded alone), and the share of the bits that each should have."""
        frames, main = len(self.source), self.plan.profile == "main"
        look = survey(self.source, None) if main and frames > 1 else Survey((1,) * frames, (0,))
        gops = split(look.scenes, frames, self.plan.gop, even=main)
        entries = key_gops(gops, look, self.plan.keyint if main else 0)
        if self.target_bits is None or len(gops) == 1:
            return gops, entries, [len(gop) / frames for gop in gops]
        starts = [gop.start for gop, entry in zip(gops, entries, strict=True) if entry]
        bpp = self.target_bits / (self.pixels * frames)
        return gops, entries, survey(self.source, bpp, starts).weights(gops)

    def _most_gaussians(self) -> int:
        """Gaussians that a GoP may need, for the level."""
        if self.plan.gaussians is not None:
            return self.plan.gaussians
        if self.target_bits is None:
            return max(PROFILES[self.plan.profile].gaussians, self.pixels // PIXELS_PER_GAUSSIAN)
        return min(2 * self.pixels, math.ceil(max(self.weights) * self.target_bits / LEAST_BITS))

    def run(self) -> EncodeResult:
        """Encode every GoP in display order."""
        torch.set_num_threads(self.plan.threads or os.cpu_count() or 1)
        began = time.monotonic()
        writer = ContainerWriter(self.target, self.header)
        media = MediaChunks(self.source, writer)
        media.begin()
        frames = iter(self.source)
        encoder = GopEncoder(self.plan, self.header, self.plan.seed, self.home)
        for number, span in enumerate(self.gops):
            taken = [next(frames) for _ in span]
            media.before_gop(span)
            self._encode_gop(encoder, number, taken, writer)
        writer.close()
        size = self.target.tell()
        counted = 8 * (size - writer.media_bytes)
        self._note_goal(counted)
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

    def _encode_gop(self, encoder: GopEncoder, number: int, taken: list, writer: ContainerWriter) -> None:
        pictures = np.stack([rgb for rgb, _ in taken])
        pts = tuple(p for _, p in taken) if self.header.frame_duration == 0 else None
        coded = encoder.encode(
            number,
            self.gops[number],
            pictures,
            pts,
            self._allowed(number, writer),
            predicted=not self.entries[number],
            report=self._reporter(number),
        )
        writer.add_gop(coded.record)
        self.gaussians += coded.record.gaussian_count
        self.bits += coded.bits.total
        self.psnrs += coded.psnrs

    def _allowed(self, number: int, writer: ContainerWriter) -> float | None:
        """Bits that a GoP may take: its share of what the GoPs before have left."""
        if self.target_bits is None:
            return None
        rest = INDEX_BYTES * (len(self.gops) - number) + END_BYTES + INDEX_BYTES * number // 2
        left = self.target_bits - 8 * (self.target.tell() - writer.media_bytes + rest)
        return max(1.0, left * self.weights[number] / sum(self.weights[number:]))

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

    def _note_goal(self, bits: int) -> None:
        """Say so when the file is not what was asked for."""
        if self.target_bits is not None and not -0.015 <= bits / self.target_bits - 1 <= 0.005:
            asked, reached = self.target_bits / 8, bits / 8
            pixels = self.pixels * len(self.source)
            self.notes.append(
                f"asked for {asked:.0f} bytes ({8 * asked / pixels:.5f} bpp), "
                f"{reached:.0f} bytes ({8 * reached / pixels:.5f} bpp) is the nearest that was reached"
            )
        found = float(np.mean(self.psnrs))
        if self.plan.psnr is not None and abs(found - self.plan.psnr) > 0.1:
            self.notes.append(f"asked for {self.plan.psnr:g} dB, {found:.2f} dB is the nearest that was reached")


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


def _longest_chain(gops: Sequence[range], entries: Sequence[bool]) -> int:
    """Frames of the longest chain of GoPs that begins with an entry."""
    longest = start = 0
    for gop, entry in zip(gops, entries, strict=True):
        start = gop.start if entry else start
        longest = max(longest, gop.stop - start)
    return longest


def _target_bits(plan: Plan, source: VideoSource) -> float | None:
    """Bits that the file should have, without sound; None where no size is asked for."""
    frames, info = len(source), source.info
    if plan.bpp is not None:
        return plan.bpp * info.width * info.height * frames
    if plan.size is not None:
        return 8.0 * plan.size
    if plan.bitrate is not None:
        shown = source.seconds(frames - 1) - source.seconds(0)
        return plan.bitrate * float(shown * frames / max(1, frames - 1) or info.frame_duration * info.time_base)
    return None


def sequence_header(
    info: VideoInfo, plan: Plan, frames: int, gops: Sequence[range], entries: Sequence[bool], gaussians: int
) -> SequenceHeader:
    """The sequence header of a clip (SPEC 5.4). Raises LimitError when no level holds the picture."""
    longest = max(map(len, gops))
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
        max_gop_frames=longest,
        max_entry_distance=_longest_chain(gops, entries),
        frame_count=frames,
    )
