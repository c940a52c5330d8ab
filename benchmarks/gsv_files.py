# SPDX-License-Identifier: MIT
"""Encodes with `gsv encode`, as a user would, and measures .gsv files. Knows no tables of results."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.clips import Clip
from benchmarks.common import provenance
from benchmarks.points import CurveName, Point, Table, make_point
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.encoder.options import GOALS, KEYINT

GOAL_OPTIONS = (*(f"--{name}" for name in GOALS), "-q")  # each one takes a value


def split_goal(options: Sequence[str]) -> tuple[str, str]:
    """(what all points of a curve share, the goal) among options of `gsv encode`, both as on a command line.

    No goal is "". The key-frame distance is always said, so that a curve keeps its meaning when the default changes.
    """
    words = [part for word in options for part in (word.split("=", 1) if word.startswith("--") else [word])]
    goal: list[str] = []
    for name in GOAL_OPTIONS:
        while name in words:
            place = words.index(name)
            goal += words[place : place + 2]
            del words[place : place + 2]
    if "--keyint" not in words:
        words += ["--keyint", str(KEYINT)]
    return shlex.join(words), shlex.join(goal)


def complete(
    table: Table, clip: Clip, options: Sequence[str], rates: Sequence[float], folder: Path, again: bool
) -> Iterator[Point]:
    """Encode what a curve lacks at `rates` (bpp), or at the goal among the options, and add it; yields each point.

    Files stay in `folder`. Raises RuntimeError with what `gsv` said when it fails.
    """
    rest, goal = split_goal(options)
    goals = [goal] if goal else [f"--bpp {rate:g}" for rate in rates]
    curve = CurveName(clip.name, clip.span, "gsv", rest)
    for goal in goals:
        if again or not clip.knows(table.find(curve, goal)):
            target = folder / f"{clip.path.stem} {clip.span} {rest} {goal}"
            target = target.with_name(re.sub(r"[^\w.]+", "_", target.name) + ".gsv")
            origin = provenance()
            spent = encode(clip, [*shlex.split(rest), *shlex.split(goal)], target)
            yield table.add(measure(clip, target, curve, goal, spent, origin))


def encode(clip: Clip, options: Sequence[str], target: Path) -> tuple[float, float]:
    """Run `gsv encode` on the clip's frames; returns seconds on the clock and of all threads.

    Raises RuntimeError with what `gsv` said when it fails.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "gscodec_cli", "encode", str(clip.path), "-o", str(target)]
    command += ["-y", "--quiet", "--frames", clip.span, *options]
    began, before = time.monotonic(), _children()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"gsv encode {clip.name} {shlex.join(options)}: {done.stderr.strip()}")
    return time.monotonic() - began, _children() - before


def measure(
    clip: Clip,
    path: Path,
    curve: CurveName,
    goal: str,
    spent: tuple[float, float] | None = None,
    origin: dict[str, object] | None = None,
) -> Point:
    """The point of a .gsv file that holds the clip's frames; bpp is the size of the file without sound."""
    decoder = StreamDecoder(str(path))
    header = decoder.header
    shape = header.frame_count, header.height, header.width
    if shape != clip.shape:
        raise RuntimeError(
            f"{path.name} holds {_shown(shape)}, expected {_shown(clip.shape)}: choose with --frames A:B"
        )
    found = clip.distortion(decoder.frames(0, header.frame_count))
    return make_point(curve, goal, shape, decoder.counted_bytes, found, spent, origin)


def _shown(shape: tuple[int, int, int]) -> str:
    return f"{shape[0]} frames of {shape[2]}x{shape[1]}"


def _children() -> float:
    """Processor seconds of all processes that were waited for."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime
