# SPDX-License-Identifier: MIT
"""What the GPU engine is to reach on one H200, in one go: drawing, `stgv` at the paper's budget, `main`, parity.

    python benchmarks/gpu.py bunny_1280x640_132f_rgb.mkv
    TRITON_INTERPRET=1 python benchmarks/gpu.py clip.mp4 --frames 0:2 --draw 64x48,50,1 --batch 2 --brief --no-csv

Every line says what was measured and, for a target, what is wanted and whether that is met; the exit code is 1 where
something is missed. One row per line is added to benchmarks/results/gpu.csv. `--brief` trains a few steps of few
Gaussians: in Triton's interpreter that shows that all of it runs, not how well. Stages and their floors are in
`engines.py`.
"""

from __future__ import annotations

import argparse
import io
import operator
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import PROVENANCE, append, provenance
from engines import times_of
from stages import GpuStages, Inputs

from gscodec import kernels
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.device import DeviceDecoder
from gscodec_cli.encoder import EncodeOptions, EncodeResult, Status, encode
from gscodec_cli.video.reader import VideoSource, open_video

DRAWN = ("1280x640,20000,3000", "1280x720,40000,2000")  # size, Gaussians, frames per second wanted
# The paper's own budget (001, section III): 10 000 steps on the key frame and 60 000 on all frames of a GoP.
STGV = EncodeOptions(profile="stgv", preset="veryslow", gaussians=20_000, device="cuda")
MAIN = EncodeOptions(preset="slow", bpp=0.1, device="cuda")
BRIEF: dict[str, Any] = {"key_iterations": 2, "joint_iterations": 3, "tune_iterations": 2, "gaussians": 20, "bpp": None}
NO_FIELD = {"field": False}  # teaching it takes hundreds of steps, however few are trained
COLUMNS = (*PROVENANCE, *("device", "clip", "frames", "what", "measured", "unit", "wanted", "met"))


@dataclass(frozen=True)
class Result:
    """A figure and what it should be, at least or, where less is better, at most; None for one without a target."""

    what: str
    measured: float
    unit: str
    wanted: float | None
    less: bool = False

    @property
    def met(self) -> bool:
        """Whether it is what it should be."""
        return self.wanted is None or bool((operator.le if self.less else operator.ge)(self.measured, self.wanted))

    def row(self) -> dict[str, object]:
        """Its columns."""
        wanted = "" if self.wanted is None else f"{'<=' if self.less else '>='} {self.wanted:g}"
        return {
            "what": self.what,
            "measured": f"{self.measured:.6g}",
            "unit": self.unit,
            "wanted": wanted,
            "met": int(self.met) if wanted else "",
        }


def drawing(cases: list[str], batch: int, rounds: int) -> Iterator[Result]:
    """Frames per second that a decoder draws into the GPU's memory, a batch while the next is placed."""
    for case in cases:
        size, count, wanted = case.split(",")
        width, height = map(int, size.split("x"))
        stages = GpuStages(Inputs(width, height, int(count)), batch)
        stage = next(stage for stage in stages.all() if stage.name == "batches in a row")
        seconds = float(np.median(times_of(stage.call, stages.wait, rounds))) / stage.frames
        yield Result(f"drawing {size}, {count} Gaussians, stgv field", 1 / seconds, "frames/s", float(wanted))


def trained(clip: VideoSource, options: EncodeOptions) -> tuple[EncodeResult, io.BytesIO, list[float]]:
    """An encode, its file, and the PSNR in dB of each GoP's last steps before coding is simulated."""
    before: list[float] = []

    def look(status: Status) -> None:
        if status.stage == "joint" and status.step == status.steps:
            before.append(status.psnr)

    file = io.BytesIO()
    return encode(clip, file, options, look), file, before


def paper(clip: VideoSource, brief: dict[str, Any]) -> Iterator[Result]:
    """`stgv` as the paper trains it."""
    result, _, before = trained(clip, replace(STGV, **brief))
    yield Result("stgv, paper's budget: encode", result.seconds, "s", 600, less=True)
    yield Result("stgv, paper's budget: PSNR before quantisation", float(np.mean(before)), "dB", 38.0)
    yield Result("stgv, paper's budget: PSNR of the file", result.psnr, "dB", 37.3)


def whole(clip: VideoSource, brief: dict[str, Any]) -> Iterator[Result]:
    """`main`, `slow`: how long it trains, how fast its file is drawn, and how far GPU and CPU are apart."""
    result, file, _ = trained(clip, replace(MAIN, **brief, **(NO_FIELD if brief else {})))
    yield Result("main slow 0.1 bpp: encode", result.seconds, "s", 300, less=True)
    frames = range(result.frames)
    on_cpu = StreamDecoder(io.BytesIO(file.getvalue()), backend="cpu")
    on_gpu = DeviceDecoder(StreamDecoder(io.BytesIO(file.getvalue()), backend="triton"))
    pairs = zip(on_gpu.host_frames(frames, frames[-1]), on_cpu.frames(0, result.frames), strict=True)
    apart = max(int(np.abs(np.int64(ours) - np.int64(theirs)).max()) for ours, theirs in pairs)
    yield Result("main: largest difference of a GPU frame from the CPU's", apart, "levels of 255", 1, less=True)
    began = time.perf_counter()
    deque(on_gpu.host_frames(frames, frames[-1]), 0)
    seconds = time.perf_counter() - began
    yield Result("main: frames to the host, file decoded before", result.frames / seconds, "frames/s", None)


def main() -> int:
    """Measure, print and keep every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, help="for the targets: the 132 frames of Bunny, 1280x640")
    parser.add_argument("--frames", metavar="A:B", help="only these")
    parser.add_argument("--draw", action="append", metavar="WxH,N,FPS", help="in place of the usual sizes")
    parser.add_argument("--batch", type=int, default=16, help="frames per set of launches (default 16)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--brief", action="store_true", help="hardly train")
    parser.add_argument("--no-csv", action="store_true", help="only print")
    options = parser.parse_args()
    kernels.registry.select("triton")
    first, last = map(int, options.frames.split(":")) if options.frames else (0, None)
    clip = open_video(options.clip, frames=(first, last))
    brief = BRIEF if options.brief else {}
    shared = provenance() | {"device": device_name(), "clip": options.clip.name, "frames": len(clip)}
    missed = 0
    for part in (
        drawing(options.draw or list(DRAWN), options.batch, options.rounds),
        paper(clip, brief),
        whole(clip, brief),
    ):
        for result in part:
            row = result.row()
            wanted = f", wanted {row['wanted']}" if row["wanted"] else ""
            print(f"{row['what']}: {row['measured']} {row['unit']}{wanted}", "" if result.met else "MISSED")
            missed += not result.met
            if not options.no_csv:
                append("gpu.csv", COLUMNS, [shared | row])
    return int(missed > 0)


def device_name() -> str:
    """The GPU, or that there is none."""
    import torch

    home = kernels.registry.triton().default_device()
    return torch.cuda.get_device_name(home) if home.type == "cuda" else "interpreter"


if __name__ == "__main__":
    sys.exit(main())
