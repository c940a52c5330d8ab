# SPDX-License-Identifier: MIT
"""The command line that the rate-distortion tools share: `... CLIP [options] -- [options of gsv encode]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.clips import Clip
from benchmarks.points import Point, Table
from gscodec_cli.errors import GsvError


@dataclass(frozen=True)
class Arguments:
    """What a tool was asked: its own arguments, and the options of `gsv encode` after `--`."""

    tool: str
    ours: argparse.Namespace
    options: list[str]

    @classmethod
    def parse(cls, parser: argparse.ArgumentParser, words: list[str] | None) -> Arguments:
        """Parse `words`, by default those of the process. Ends the process with code 2 on a wrong one."""
        words = sys.argv[1:] if words is None else words
        place = words.index("--") if "--" in words else len(words)
        ours = parser.parse_args(words[:place])
        if not ours.clips and not ours.report and not getattr(ours, "list", False):
            parser.error("name a clip, or --report")
        return cls(parser.prog.rpartition(".")[2], ours, words[place + 1 :])


def parser_of(tool: str, text: str | None, table: str, rates: tuple[float, ...]) -> argparse.ArgumentParser:
    """A parser with the arguments that all tools have; `table` is the CSV's name, `rates` the default."""
    shown = ",".join(f"{rate:g}" for rate in rates)
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{tool}", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=_span, metavar="A:B", help="these frames of every clip")
    parser.add_argument("--rates", type=_rates, default=list(rates), metavar="R,R", help=f"bpp; default {shown}")
    parser.add_argument("--again", action="store_true", help="measure also what is known; the new row counts")
    parser.add_argument("--keep", type=Path, default=Path("out/rd"), metavar="DIR", help="folder for .gsv files")
    parser.add_argument("--table", default=table, metavar="CSV", help=f"default benchmarks/results/{table}")
    parser.add_argument("--no-ms-ssim", action="store_true", help="leave out MS-SSIM, most of the time of measuring")
    parser.add_argument("--no-report", action="store_true", help="leave pages and plots as they are")
    parser.add_argument("--report", action="store_true", help="write pages and plots; no clip is needed")
    return parser


def run(args: Arguments, measure: Callable[[Table, Clip], Iterator[Point]], write: Callable[[Table], None]) -> int:
    """Measure every clip, printing each point, then write the pages. Returns the exit code."""
    table = Table(args.ours.table)
    try:
        for path in args.ours.clips:
            for point in measure(table, Clip(path, args.ours.frames, not args.ours.no_ms_ssim)):
                print(line_of(point), flush=True)
    except (GsvError, RuntimeError, OSError) as error:
        print(f"{args.tool}: {error}", file=sys.stderr)
        return 1
    if args.ours.report or not args.ours.no_report:
        write(table)
    return 0


def line_of(point: Point) -> str:
    """A point for people."""
    structure = "" if point.ms_ssim is None else f", MS-SSIM {point.ms_ssim:.5f}"
    spent = "" if point.seconds is None else f", {point.seconds:.1f} s"
    name = f"{point.clip} {point.frames} {point.codec} {point.options} {point.rate}"
    return f"{name}: {point.bpp:.5f} bpp, {point.rgb_psnr:.2f} dB RGB, {point.y_psnr:.2f} dB Y{structure}{spent}"


def _rates(text: str) -> list[float]:
    try:
        rates = sorted({float(item) for item in text.split(",")})
    except ValueError:
        rates = []
    if not rates or rates[0] <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} are no rates, expected bits per pixel such as 0.02,0.05,0.1")
    return rates


def _span(text: str) -> tuple[int, int | None]:
    from gscodec_cli.verbs.common import FrameRange

    try:
        return FrameRange().convert(text, None, None)
    except click.UsageError as error:
        raise argparse.ArgumentTypeError(error.message) from None
