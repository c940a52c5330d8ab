# SPDX-License-Identifier: MIT
"""One chain of GoPs, an entry and those predicted behind it: what a process or a machine encodes without the others.

Everything it takes is in a `ChainTask`, so that the bytes are the same wherever and whenever the chain is encoded.
Must not import the verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np
import torch

from gscodec.format.gop import read_gop
from gscodec.format.records import GopRecord, SequenceHeader
from gscodec_cli.encoder.gop import GopEncoder
from gscodec_cli.encoder.home import Home
from gscodec_cli.encoder.options import Plan
from gscodec_cli.encoder.rate import Cost
from gscodec_cli.video.reader import VideoSource

Costs = dict[bool, Cost]  # of the last GoP that was, or was not, predicted


@dataclass(frozen=True)
class FinishedGop:
    """A GoP as it goes into the file, and what is known of it. psnrs: dB, of every decoded frame."""

    number: int
    frames: int
    predicted: bool
    payload: bytes  # of its GOPD chunk
    gaussians: int
    bits: int
    allowed: float | None  # bits it was given
    cost: Cost
    psnrs: tuple[float, ...]
    rate: float | None  # bits per pixel that its quantisers are made for, None where the options say how
    turn: int = 0  # how often it was encoded before, to meet the size that is asked for


@dataclass(frozen=True)
class Step:
    """A report of the training of GoP `number`: step of steps of a stage, PSNR in dB of the last ones.

    attempt: which of the plan's efforts it is trained with.
    """

    number: int
    attempt: int
    stage: str
    step: int
    steps: int
    psnr: float


@dataclass(frozen=True)
class ChainTask:
    """GoPs `first`, `first` + 1, ... of the frames in `spans`; the first one is decoded alone.

    shares: bits for each GoP, None where no size is asked for; what one leaves the next ones of the chain may take.
    done: those of the chain that are encoded already. costs, rate: what GoPs took before and what their
    quantisers were made for, to begin with a good guess.
    """

    first: int
    spans: tuple[range, ...]
    shares: tuple[float, ...] | None
    plan: Plan
    device: str
    header: SequenceHeader
    done: tuple[FinishedGop, ...]
    costs: Costs
    rate: float | None = None
    turn: int = 0

    @property
    def left(self) -> range:
        """Numbers of the GoPs still to be encoded."""
        return range(self.first + len(self.done), self.first + len(self.spans))

    def allowed(self, number: int, spent: int) -> float | None:
        """Bits that GoP `number` may take where the chain's GoPs before it took `spent`."""
        if self.shares is None:
            return None
        index = number - self.first
        return max(1.0, (sum(self.shares) - spent) * self.shares[index] / sum(self.shares[index:]))


def encode_chain(
    task: ChainTask, source: VideoSource, threads: int, report: Callable[[Step], None]
) -> Iterator[FinishedGop]:
    """Encode what is left of a chain, GoP by GoP, with as many threads, 0 for all cores: they change no byte.

    Memory: one GoP and its training. Raises MediaError.
    """
    torch.set_num_threads(1)  # its sums depend on their number; what takes long is not torch's
    plan = replace(task.plan, threads=threads)
    encoder = GopEncoder(plan, task.header, plan.seed, Home(task.device))
    before = {gop.predicted: gop.cost for gop in task.done}
    costs = {**before, **task.costs} if task.turn else {**task.costs, **before}  # of a correction: those of that GoP
    encoder.go_on(_last_record(task), costs, task.done[-1].rate if task.done else task.rate)
    spans = [task.spans[number - task.first] for number in task.left]
    frames = iter(source.subrange(spans[0].start, spans[-1].stop)) if spans else iter(())
    spent = sum(gop.bits for gop in task.done)
    for number, span in zip(task.left, spans, strict=True):
        taken = list(islice(frames, len(span)))
        pictures, pts = np.stack([rgb for rgb, _ in taken]), tuple(time for _, time in taken)
        allowed, predicted = task.allowed(number, spent), number > task.first
        coded = encoder.encode(
            number,
            span,
            pictures,
            pts if task.header.frame_duration == 0 else None,
            allowed,
            predicted,
            partial(_report, report, number),
        )
        spent += coded.bits.total
        yield FinishedGop(
            number=number,
            frames=len(span),
            predicted=predicted,
            payload=coded.payload,
            gaussians=coded.record.gaussian_count,
            bits=coded.bits.total,
            allowed=allowed,
            cost=coded.cost,
            psnrs=coded.psnrs,
            rate=coded.rate,
            turn=task.turn,
        )


def _report(
    report: Callable[[Step], None], number: int, attempt: int, stage: str, step: int, steps: int, psnr: float
) -> None:
    report(Step(number, attempt, stage, step, steps, psnr))


def _last_record(task: ChainTask) -> GopRecord | None:
    """The last GoP that is done, from the payloads of the chain up to there."""
    record = None
    for gop in task.done:
        record, _ = read_gop(gop.payload, task.header, None, record)
    return record
