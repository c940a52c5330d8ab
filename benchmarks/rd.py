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
from collections.abc import Iterator
from pathlib import Path

from benchmarks import classical, gsv_files
from benchmarks.clips import Clip, parse_span
from benchmarks.points import CurveName, Point, Table
from gscodec_cli.errors import GsvError

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # bpp
GSV = "gsv"


def main(arguments: list[str] | None = None) -> int:
    """Measure what is asked and not known, then write the pages. Returns the exit code."""
    args, options = _parse(sys.argv[1:] if arguments is None else arguments)
    table = Table(args.table)
    try:
        for path in args.clips:
            for point in measure(table, Clip(path, parse_span(args.frames)), args, options):
                print(line_of(point), flush=True)
    except (GsvError, RuntimeError, OSError) as error:
        print(f"rd: {error}", file=sys.stderr)
        return 1
    if args.report or not args.no_report:
        from benchmarks import report

        report.write(table)
    return 0


def measure(table: Table, clip: Clip, args: argparse.Namespace, options: list[str]) -> Iterator[Point]:
    """The points of one clip that the table does not have."""
    if args.file:
        yield from measure_files(table, clip, args.file, options, args.again)
        return
    keyint = CurveName("", "", GSV, gsv_files.split_goal(options)[0]).keyint
    for codec in args.codecs:
        if codec == GSV:
            yield from gsv_files.complete(table, clip, options, args.rates, args.keep, args.again)
        else:
            yield from classical.complete(table, clip, codec, keyint, args.rates, args.again)


def measure_files(table: Table, clip: Clip, files: list[Path], options: list[str], again: bool) -> Iterator[Point]:
    """Points of .gsv files that exist; without a goal among the options a file's name stands for its rate."""
    rest, goal = gsv_files.split_goal(options)
    curve = CurveName(clip.name, clip.span, GSV, rest)
    for path in files:
        rate = goal if goal and len(files) == 1 else f"file {path.name}"
        if again or table.find(curve, rate) is None:
            yield table.add(gsv_files.measure(clip, path, curve, rate))


def line_of(point: Point) -> str:
    """A point for people."""
    structure = "" if point.ms_ssim is None else f", MS-SSIM {point.ms_ssim:.5f}"
    spent = "" if point.seconds is None else f", {point.seconds:.1f} s"
    name = f"{point.clip} {point.frames} {point.codec} {point.options} {point.rate}"
    return f"{name}: {point.bpp:.5f} bpp, {point.rgb_psnr:.2f} dB RGB, {point.y_psnr:.2f} dB Y{structure}{spent}"


def rates_of(text: str) -> list[float]:
    """Rates in bpp, separated by commas. Raises ArgumentTypeError."""
    try:
        rates = sorted({float(item) for item in text.split(",")})
    except ValueError:
        rates = []
    if not rates or rates[0] <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} are no rates, expected bits per pixel such as 0.02,0.05,0.1")
    return rates


def _codecs(text: str) -> list[str]:
    known = (GSV, *classical.CODECS)
    if unknown := set(text.split(",")) - set(known):
        raise argparse.ArgumentTypeError(f"no codec {', '.join(sorted(unknown))}, expected some of {','.join(known)}")
    return text.split(",")


def split_options(words: list[str]) -> tuple[list[str], list[str]]:
    """(our arguments, what stands after `--`)."""
    place = words.index("--") if "--" in words else len(words)
    return words[:place], words[place + 1 :]


def add_common(parser: argparse.ArgumentParser, table: str, rates: tuple[float, ...]) -> None:
    """Arguments that all rate-distortion tools share."""
    parser.add_argument("clips", nargs="*", type=Path, metavar="CLIP")
    parser.add_argument("--frames", metavar="A:B", help="these frames of every clip")
    parser.add_argument("--rates", type=rates_of, default=list(rates), help=f"bpp, by default {rates}")
    parser.add_argument("--again", action="store_true", help="measure also what is known; the new row counts")
    parser.add_argument("--keep", type=Path, default=Path("out/rd"), help="folder for the .gsv files")
    parser.add_argument("--table", default=table, help=f"CSV to add to, by default benchmarks/results/{table}")
    parser.add_argument("--no-report", action="store_true", help="leave pages and plots as they are")
    parser.add_argument("--report", action="store_true", help="write pages and plots; no clip is needed")


def _parse(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    ours, options = split_options(words)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.rd", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_common(parser, "rd.csv", RATES)
    parser.add_argument("--codecs", type=_codecs, default=[GSV, *classical.CODECS], help="separated by commas")
    parser.add_argument("--file", type=Path, action="append", metavar="X.gsv", help="measure this file; repeatable")
    args = parser.parse_args(ours)
    if not args.clips and not args.report:
        parser.error("name a clip, or --report")
    if args.file and len(args.clips) != 1:
        parser.error("--file needs exactly one CLIP to compare with")
    return args, options


if __name__ == "__main__":
    sys.exit(main())
