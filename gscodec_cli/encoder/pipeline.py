# SPDX-License-Identifier: MIT
"""The encoder, top to bottom: divide the clip into chains of GoPs, have each encoded, correct what the file then
misses of the size that is asked for, write the file.

What is finished is kept in a checkpoint, from which a later run can go on. The file does not depend on who encoded a
chain, on what machine, in which order. Must not import the verbs.
"""

from __future__ import annotations

import io
import json
import math
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from importlib.metadata import version
from typing import Any, BinaryIO

import numpy as np

from gscodec.format.chunks import PREAMBLE
from gscodec.format.container import ContainerWriter
from gscodec.format.limits import LEVELS, level_for
from gscodec.format.records import SequenceHeader
from gscodec_cli.encoder.budget import notes_on_goals, other_bits, target_bits
from gscodec_cli.encoder.chain import ChainTask, Costs, FinishedGop, Step, encode_chain
from gscodec_cli.encoder.checkpoint import Checkpoint
from gscodec_cli.encoder.clip import ClipName
from gscodec_cli.encoder.cluster import encode_on_cluster
from gscodec_cli.encoder.division import Division, divide
from gscodec_cli.encoder.gop import gaussians_of
from gscodec_cli.encoder.home import Home, gpus
from gscodec_cli.encoder.media import MediaChunks
from gscodec_cli.encoder.options import PROFILE_IDS, EncodeOptions, Plan, resolve
from gscodec_cli.encoder.presets import PROFILES
from gscodec_cli.encoder.status import EncodeResult, Progress, Reporter, Status
from gscodec_cli.encoder.workers import Event, encode_locally
from gscodec_cli.errors import UsageError
from gscodec_cli.video.info import VideoInfo
from gscodec_cli.video.reader import VideoSource

__all__ = ["Encode", "EncodeResult", "Status", "encode", "sequence_header"]

PIXELS_PER_GAUSSIAN = 8  # the most a GoP is allowed where no bits are asked for
LEAST_BITS = 15.0  # of a Gaussian
INDEX_BYTES = 17  # of a GoP: its chunk's frame and its entry in the index
END_BYTES = 60  # of the index and the end of the file
PILOT = 2  # GoPs that are encoded first: what they take is the first guess for all chains
TURNS = 2  # of correction
ANY = ("threads", "device")  # options that another run of the same encode may change


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
        bpp = self.target_bits and self.target_bits / (self.pixels * len(source))
        self.plan = self.plan.at_rate(bpp, self.pixels) if bpp else self.plan
        self.notes: list[str] = []
        self.checkpoint = Checkpoint(partial)
        identity = _identity(options, self.clip)
        state = self.checkpoint.state if resume else None
        if state is not None:
            _check_identity(state["identity"], identity)
            self.division = Division.from_json(state["division"])
        else:
            self.division = divide(source, self.plan, bpp)
        gaussians = _most_gaussians(self.plan, self.pixels, self.target_bits, self.division)
        self.header = sequence_header(self.info, self.plan, len(source), self.division, gaussians)
        if state is None:
            self.checkpoint.begin(self.header, {"identity": identity, "division": self.division.to_json()})
        if self.plan.profile == "main" and self.plan.tools.rvq and self.gops > 1 and options.keyint != 1:
            self.notes.append("--rvq: every GoP is decoded alone, as nothing can be predicted from RVQ colours")
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
        reporter = Reporter(progress, self.plan, self.division, self.pixels)
        for number in filter(self.checkpoint.__contains__, range(self.gops)):
            reporter.finished(self.checkpoint.gop(number, 0, payload=False))
        for tasks in filter(None, self._rounds()):
            with closing(self._encode(tasks, jobs, cluster, reporter.step)) as events:
                for event in events:
                    if isinstance(event, FinishedGop):
                        self._check()
                        self.checkpoint.add(event)
                        reporter.finished(event)
                    elif isinstance(event, Step):
                        reporter.step(event)
                    else:
                        self.notes.append(event.text)

    def _encode(
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
        shares = None
        if self.payload_bits is not None:
            whole = next(whole for whole in self.division.chains if chain[0] in whole)
            shares = tuple(self.division.weights[number] * self.payload_bits for number in whole)
        return ChainTask(
            first=chain[0],
            spans=tuple(self.division.gops[number] for number in chain),
            shares=shares,
            plan=self.plan,
            device=self.device,
            header=self.header,
            done=tuple(self.checkpoint.gop(number, 0) for number in chain[:done]),
            costs=costs,
            rate=rate,
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


def _identity(options: EncodeOptions, clip: ClipName) -> dict[str, Any]:
    """What two runs must have in common for one to go on with what the other has begun, in plain values."""
    kept = {name: value for name, value in asdict(options).items() if name not in (*ANY, "frames", "resize")}
    known = {"frames": clip.frames, "resize": clip.size, "content": clip.content}
    found: dict[str, Any] = json.loads(json.dumps({"gscodec": version("gscodec"), **kept, **known}))
    return found


def _check_identity(begun: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raise UsageError where an unfinished encode is not the one that is asked for."""
    different = [name for name in asked if begun.get(name) != asked[name]]
    if not different:
        return
    name = different[0]
    if name == "content":
        why = "of another clip"
    elif name == "gscodec":
        why = f"of gsv {begun.get(name)}, this is {asked[name]}"
    else:
        old, new = ("default" if side.get(name) is None else side[name] for side in (begun, asked))
        why = f"with --{name.replace('_', '-')} {old}, not {new}"
    raise UsageError(f"--resume: the unfinished encode is {why}; encode as before, or begin anew with -y instead")


def _most_gaussians(plan: Plan, pixels: int, target: float | None, division: Division) -> int:
    """Gaussians that a GoP may need, for the level: `GopEncoder.most` is to be no less than what is asked for."""
    usual = max(PROFILES[plan.profile].gaussians, pixels // PIXELS_PER_GAUSSIAN)
    if target is not None:
        count = min(2 * pixels, math.ceil(max(division.weights) * target / LEAST_BITS))
    elif plan.gaussians is None and plan.psnr is None:
        count = usual
    else:
        count = gaussians_of(min(plan.gaussians or usual, 2 * pixels), plan)
    return min(count, LEVELS[max(LEVELS)].gaussians)


def sequence_header(info: VideoInfo, plan: Plan, frames: int, division: Division, gaussians: int) -> SequenceHeader:
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
        max_gop_frames=division.longest_gop,
        max_entry_distance=division.longest_chain,
        frame_count=frames,
    )
