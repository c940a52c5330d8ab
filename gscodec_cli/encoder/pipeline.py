# SPDX-License-Identifier: MIT
"""The encoder, top to bottom: divide the clip into chains of GoPs, have each encoded, correct what the file then
misses of the size that is asked for, write the file.

What is finished is kept in a checkpoint, from which a later run can go on. The file does not depend on who encoded a
chain, on what machine, in which order. Must not import the verbs.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from typing import BinaryIO

import numpy as np

from gscodec.format.chunks import PREAMBLE
from gscodec.format.container import ContainerWriter
from gscodec.format.records import SequenceHeader
from gscodec_cli.encoder.budget import notes_on_goals, other_bits, target_bits
from gscodec_cli.encoder.chain import ChainTask, Costs, FinishedGop, Step, encode_chain
from gscodec_cli.encoder.checkpoint import Checkpoint
from gscodec_cli.encoder.clip import ClipName
from gscodec_cli.encoder.cluster import encode_on_cluster
from gscodec_cli.encoder.division import Division, Outline, divide, outline_of
from gscodec_cli.encoder.header import most_gaussians, sequence_header
from gscodec_cli.encoder.home import Home, gpus
from gscodec_cli.encoder.identity import check_identity, identity
from gscodec_cli.encoder.lengths import Trial, worth_trying
from gscodec_cli.encoder.media import MediaChunks
from gscodec_cli.encoder.options import EncodeOptions, Plan, resolve
from gscodec_cli.encoder.status import EncodeResult, Progress, Reporter, Status
from gscodec_cli.encoder.workers import Event, encode_locally
from gscodec_cli.video.reader import VideoSource

__all__ = ["Encode", "EncodeResult", "Status", "encode"]

INDEX_BYTES = 17  # of a GoP: its chunk's frame and its entry in the index
END_BYTES = 60  # of the index and the end of the file
PILOT = 2  # GoPs that are encoded first: what they take is the first guess for all chains
TURNS = 2  # of correction


def encode(
    source: VideoSource,
    target: BinaryIO,
    options: EncodeOptions,
    progress: Progress | None = None,
    *,
    jobs: int | None = None,
) -> EncodeResult:
    """Encode a clip into `target`, a writable binary file, with as many processes.

    Raises UsageError, MediaError, LimitError (a picture larger than any level), BackendMissingError, OSError.
    """
    run = Encode(source, options, io.BytesIO())
    run.train(progress, jobs=jobs)
    return run.write(target)


class Encode:
    """One encode: `train`, then `write`. What is finished lies in `partial`, a file as Checkpoint wants it.

    With `resume` goes on with the encode that `partial` holds, if it holds one. `check` is called for every GoP and
    raises where it makes no sense to go on. Raises what `encode` raises; UsageError
    if it is another encode.
    """

    def __init__(
        self,
        source: VideoSource,
        options: EncodeOptions,
        partial: BinaryIO,
        *,
        resume: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._check = check
        Home(options.device)  # refused now rather than in a worker
        self.began = time.monotonic()
        self.source, self.info, self.device = source, source.info, options.device
        self.plan = resolve(options)
        self.clip = ClipName.of(source)
        self.pixels = self.info.width * self.info.height
        self.target_bits = target_bits(self.plan, source)
        self.bpp = self.target_bits and self.target_bits / (self.pixels * len(source))
        self.notes: list[str] = []
        self.checkpoint = Checkpoint(partial)
        self.identity = identity(options, self.clip)
        state = self.checkpoint.state if resume else None
        if state is not None:
            check_identity(state["identity"], self.identity)
            self._use(Division.from_json(state["division"]))
        else:
            self._begin(self._divided([self.plan.gop] * len(self.outline.sections)), tried=not self.plan.longer)
        if self.plan.profile == "main" and self.plan.tools.rvq and self.gops > 1 and options.keyint != 1:
            self.notes.append("--rvq: every GoP is decoded alone, as nothing can be predicted from RVQ colours")

    @cached_property
    def outline(self) -> Outline:
        """What the clip is divided by; reads it."""
        return outline_of(self.source, self.plan)

    def _divided(self, lengths: Sequence[int]) -> Division:
        return divide(self.source, self.outline, lengths, self.bpp)

    def _header(self, division: Division) -> SequenceHeader:
        gaussians = most_gaussians(self.plan, self.pixels, self.target_bits, division)
        return sequence_header(self.info, self.plan, len(self.source), division, gaussians)

    def _begin(self, division: Division, *, tried: bool) -> None:
        """Begin with a division, which is final once longer GoPs were tried."""
        self._use(division)
        state = {"identity": self.identity, "division": division.to_json(), "tried": tried}
        self.checkpoint.begin(self.header, state)

    def _use(self, division: Division) -> None:
        self.division, self.header = division, self._header(division)
        self.payload_bits = self.target_bits and max(1.0, self.target_bits - 8 * self._overhead())

    @property
    def gops(self) -> int:
        """GoPs of the clip."""
        return len(self.division.gops)

    @property
    def finished(self) -> int:
        """GoPs that are encoded."""
        return self.checkpoint.count

    def _overhead(self) -> int:
        """Bytes of the file that are neither GoPs nor sound nor subtitles."""
        writer = ContainerWriter(io.BytesIO(), self.header)
        copy = writer.size - PREAMBLE  # of the sequence header, at the end
        MediaChunks(self.source, writer).begin()
        return writer.size - writer.media_bytes + copy + INDEX_BYTES * self.gops + END_BYTES

    def train(self, progress: Progress | None = None, *, jobs: int | None = None, cluster: str | None = None) -> None:
        """Encode every GoP that is not finished: here, in `jobs` processes, or on the Dask scheduler at `cluster`.

        Where the caller does not say, there is one process for each GPU, and here for the CPU.
        """
        assert self.checkpoint.state is not None
        lead = 0.0 if self.checkpoint.state.get("tried", True) else self._choose_lengths(progress, jobs, cluster)
        reporter = Reporter(progress, self.plan, self.gops, self.pixels, lead)
        for number in filter(self.checkpoint.__contains__, range(self.gops)):
            reporter.finished(self.checkpoint.gop(number, 0, payload=False))
        for tasks in filter(None, self._rounds()):
            self._encode(tasks, jobs, cluster, reporter, self.checkpoint.add)

    def _choose_lengths(self, progress: Progress | None, jobs: int | None, cluster: str | None) -> float:
        """Try how long GoPs should be, and begin with those. Returns what share of the whole encode that took."""
        found = worth_trying(self.outline, self.plan, self.pixels)
        if not found:
            self._begin(self.division, tried=True)
            return 0.0
        usual, everywhere = self.plan.gop, len(self.outline.sections)
        longer = sorted({n for lengths in found.values() for n in lengths if n != usual})
        divisions = {usual: self.division, **{n: self._divided([n] * everywhere) for n in longer}}
        trial = Trial(self.outline, found, divisions, self.plan)
        tasks = trial.tasks(self._whole)
        steps = trial.plan.steps * sum(len(span) for task in tasks for span in task.spans)
        lead = steps / (steps + self.plan.steps * len(self.source))
        gops = sum(len(task.spans) for task in tasks)
        reporter = Reporter(progress, trial.plan, gops, self.pixels, lead, trial_of=self.gops)
        self._encode(tasks, jobs, cluster, reporter, trial.add)
        best = trial.best()
        self._begin(self.division if set(best) == {usual} else self._divided(best), tried=True)
        return lead

    def _encode(
        self,
        tasks: list[ChainTask],
        jobs: int | None,
        cluster: str | None,
        reporter: Reporter,
        take: Callable[[FinishedGop], None],
    ) -> None:
        """Encode what tasks say; `take` is called for every GoP that is finished."""
        with closing(self._events(tasks, jobs, cluster, reporter.step)) as events:
            for event in events:
                if isinstance(event, FinishedGop):
                    self._check()
                    take(event)
                    reporter.finished(event)
                elif isinstance(event, Step):
                    reporter.step(event)
                else:
                    self.notes.append(event.text)

    def _events(
        self, tasks: list[ChainTask], jobs: int | None, cluster: str | None, report: Callable[[Step], None]
    ) -> Generator[Event]:
        threads, found = self.plan.threads or os.cpu_count() or 1, gpus(self.device)
        if cluster is not None:
            yield from encode_on_cluster(tasks, self.clip, cluster)
        elif (processes := jobs or len(found)) > 1:
            yield from encode_locally(tasks, self.clip, processes, threads, found)
        else:
            for task in tasks:
                yield from encode_chain(task, self.source, threads, report)

    def _rounds(self) -> Iterator[list[ChainTask]]:
        """What can be encoded at the same time, one list after the other; each is made when those before are done."""
        chains = self.division.chains
        goals = (self.target_bits, self.plan.psnr, self.plan.quality)
        guessing = len(chains) > 1 and any(goal is not None for goal in goals)
        if guessing:
            yield from self._unfinished([chains[0][:PILOT]])
        yield from self._unfinished(chains, chains[0][:PILOT] if guessing else range(0))
        for turn in range(1, TURNS + 1):
            tasks = self._corrections(turn)
            yield [task for task in tasks if self.checkpoint.turn(task.left[0]) < turn]

    def _unfinished(self, chains: Sequence[range], pilot: range = range(0)) -> Iterator[list[ChainTask]]:
        """The tasks of those chains of which a GoP is missing; the first guess for them is from the GoPs `pilot`."""
        tried = [self.checkpoint.gop(number, 0, payload=False) for number in pilot]
        costs, rate = {gop.predicted: gop.cost for gop in tried}, tried[0].rate if tried else None
        tasks = []
        for chain in chains:
            done = sum(number in self.checkpoint for number in chain)
            if done < len(chain):
                tasks.append(self._task(chain, done, costs if chain[0] else {}, rate if chain[0] else None))
        yield tasks

    def _task(self, chain: range, done: int, costs: Costs, rate: float | None) -> ChainTask:
        whole = next(whole for whole in self.division.chains if chain[0] in whole)
        return replace(
            self._whole(self.division, whole, self.plan),
            spans=tuple(self.division.gops[number] for number in chain),
            done=tuple(self.checkpoint.gop(number, 0) for number in chain[:done]),
            costs=costs,
            rate=rate,
        )

    def _whole(self, division: Division, chain: range, plan: Plan) -> ChainTask:
        """The task of a whole chain of a division, of which nothing is done or known."""
        spans, bits = tuple(division.gops[number] for number in chain), self.payload_bits
        plan = plan.for_gops(max(map(len, spans)))
        return ChainTask(
            first=chain[0],
            spans=spans,
            shares=None if bits is None else tuple(division.weights[number] * bits for number in chain),
            plan=plan.at_rate(self.bpp, self.pixels) if self.bpp else plan,
            device=self.device,
            header=self.header if division is self.division else self._header(division),
            done=(),
            costs={},
        )

    def _corrections(self, turn: int) -> list[ChainTask]:
        """The last GoPs of some chains again, with other bits, where the file would not have the size asked for."""
        if self.target_bits is None or self.payload_bits is None:
            return []
        found = [self.checkpoint.gop(number, turn - 1, payload=False) for number in range(self.gops)]
        missing = self.payload_bits - sum(gop.bits for gop in found)
        ends = [found[chain[-1]] for chain in self.division.chains]
        wanted = other_bits(ends, missing, self.target_bits)
        chains = [chain for chain in self.division.chains if chain[-1] in wanted]
        return [self._correction(chain, found[chain[-1]], wanted[chain[-1]], turn) for chain in chains]

    def _correction(self, chain: range, last: FinishedGop, bits: float, turn: int) -> ChainTask:
        task = self._task(chain, len(chain) - 1, {last.predicted: last.cost}, last.rate)
        return replace(task, shares=(*(float(gop.bits) for gop in task.done), bits), turn=turn)

    def write(self, target: BinaryIO) -> EncodeResult:
        """Write the file, of which every GoP is finished."""
        writer = ContainerWriter(target, self.header)
        media = MediaChunks(self.source, writer)
        media.begin()
        psnrs: list[float] = []
        gaussians = 0
        for number, span in enumerate(self.division.gops):
            media.before_gop(span)
            gop = self.checkpoint.gop(number)
            writer.add_payload(gop.payload, gop.frames, predicted=gop.predicted)
            gaussians += gop.gaussians
            psnrs += gop.psnrs
        writer.close()
        counted, psnr = 8 * (writer.size - writer.media_bytes), float(np.mean(psnrs))
        pixels = self.pixels * len(self.source)
        return EncodeResult(
            frames=len(self.source),
            gops=self.gops,
            gaussians=gaussians,
            bytes=writer.size,
            bpp=counted / pixels,
            psnr=psnr,
            seconds=time.monotonic() - self.began,
            notes=(*self.notes, *notes_on_goals(self.plan, self.target_bits, counted, psnr, pixels)),
        )
