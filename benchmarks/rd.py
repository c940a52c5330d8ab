# SPDX-License-Identifier: MIT
"""Rate-distortion curves of gsv and of x264, x265 and SVT-AV1 on the same frames, into benchmarks/results/rd.csv.

    python -m benchmarks.rd CLIP ...                                  all codecs, gsv with its defaults
    python -m benchmarks.rd CLIP --rates 0.02,0.05 --codecs gsv -- --preset slow
    python -m benchmarks.rd CLIP --codecs x264 -- --keyint 32         key frames at most 32 frames apart
    python -m benchmarks.rd CLIP --file CLIP.gsv -- --preset slow --bpp 0.05
    python -m benchmarks.rd --report                                  tables and plots from what was measured

What stands after `--` goes to `gsv encode`; with --file it says how the file was made. A goal among it (--bpp, -q, ...)
replaces --rates for gsv. A point that rd.csv has already is not measured again, whatever commit it came from, unless
--again is given. At the end docs/RD.md, README.md and the plots are written anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import classical, gsv_files
from benchmarks.clips import Clip
from benchmarks.command import Arguments, parser_of, run
from benchmarks.points import CurveName, Point, Table

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # bpp
CODECS = ("gsv", *classical.CODECS)


def main(words: list[str] | None = None) -> int:
    """Measure what is asked and not known, then write the pages. Returns the exit code."""
    parser = parser_of("rd", __doc__, "rd.csv", RATES)
    parser.add_argument("--codecs", type=_codecs, default=list(CODECS), help=f"some of {','.join(CODECS)}")
    parser.add_argument("--file", type=Path, action="append", metavar="X.gsv", help="measure this file; repeatable")
    args = Arguments.parse(parser, words)
    if args.ours.file and len(args.ours.clips) != 1:
        parser.error("--file needs exactly one CLIP to compare with")
    return run(args, lambda table, clip: measure(table, clip, args), write)


def measure(table: Table, clip: Clip, args: Arguments) -> Iterator[Point]:
    """The points of one clip that the table does not have."""
    ours = args.ours
    if ours.file:
        yield from measure_files(table, clip, ours.file, args.options, ours.again)
        return
    keyint = CurveName("", "", "", gsv_files.split_goal(args.options)[0]).keyint
    for codec in ours.codecs:
        if codec == "gsv":
            yield from gsv_files.complete(table, clip, args.options, ours.rates, ours.keep, ours.again)
        else:
            yield from classical.complete(table, clip, codec, keyint, ours.rates, ours.again)


def measure_files(
    table: Table, clip: Clip, files: Sequence[Path], options: Sequence[str], again: bool
) -> Iterator[Point]:
    """Points of .gsv files that exist; without a goal among the options a file's name stands for its rate."""
    rest, goal = gsv_files.split_goal(options)
    curve = CurveName(clip.name, clip.span, "gsv", rest)
    for path in files:
        rate = goal if goal and len(files) == 1 else f"file {path.name}"
        if again or not clip.knows(table.find(curve, rate)):
            yield table.add(gsv_files.measure(clip, path, curve, rate))


def write(table: Table) -> None:
    """Write docs/RD.md, README.md and the plots."""
    from benchmarks import report  # needs what measuring does not: bjontegaard, matplotlib

    report.write(table)


def _codecs(text: str) -> list[str]:
    if unknown := set(text.split(",")) - set(CODECS):
        raise argparse.ArgumentTypeError(f"no codec {', '.join(sorted(unknown))}, expected some of {','.join(CODECS)}")
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
