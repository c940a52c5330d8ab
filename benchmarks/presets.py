# SPDX-License-Identifier: MIT
"""What the presets of `gsv encode` take and give: seconds and PSNR at some rates.

    python -m benchmarks.presets CLIP ... --frames 0:64 --rates 0.02,0.05,0.1
    python -m benchmarks.presets CLIP --only ultrafast,fast
    python -m benchmarks.presets --report                  the table of docs/RD.md from what was measured

What stands after `--` goes to every encode. Points go to benchmarks/results/presets.csv; what is there is not encoded
again unless --again is given. A preset that gives less than a faster one at equal bits is named on standard error.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence

from benchmarks import gsv_files
from benchmarks.clips import Clip
from benchmarks.command import Arguments, parser_of, run
from benchmarks.common import ROOT
from benchmarks.curves import curve_of
from benchmarks.points import CurveName, Point, Table
from benchmarks.report import by_clip
from docs.tables import fill, table
from gscodec_cli.encoder.presets import PRESETS

RATES = (0.02, 0.05, 0.1)  # bpp
PAGE = ROOT / "docs" / "RD.md"


def main(words: list[str] | None = None) -> int:
    """Encode what is not known, then write the page. Returns the exit code."""
    parser = parser_of("presets", __doc__, "presets.csv", RATES)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PRESETS), help="presets, by commas")
    args = Arguments.parse(parser, words)
    if unknown := set(args.ours.only) - set(PRESETS):
        parser.error(f"no preset {', '.join(sorted(unknown))}, expected some of {', '.join(PRESETS)}")
    return run(args, lambda points, clip: measure(points, clip, args), write)


def measure(points: Table, clip: Clip, args: Arguments) -> Iterator[Point]:
    """The points of every preset that the table does not have."""
    ours = args.ours
    for preset in ours.only:
        options = ["--preset", preset, *args.options]
        yield from gsv_files.complete(points, clip, options, ours.rates, ours.keep, ours.again)


def write(points: Table) -> None:
    """Write the table of docs/RD.md and say what is wrong with the presets."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), points.curves()), encoding="utf-8")
    for text in worse(points.curves()):
        print(f"presets: {text}", file=sys.stderr)


def with_tables(page: str, curves: Mapping[CurveName, Sequence[Point]]) -> str:
    """The page with its table replaced by what the curves say."""
    return fill(page, {"presets": tables(curves)})


def tables(curves: Mapping[CurveName, Sequence[Point]]) -> str:
    """A heading and a table for every clip."""
    parts = []
    for (clip, frames), group in by_clip(curves).items():
        cores = " and ".join(sorted({f"{p.machine}, {p.cores} cores" for points in group.values() for p in points}))
        parts += [f"### {clip}, frames {frames}, on {cores}", clip_table(group)]
    return "\n\n".join(parts) if parts else "Nothing measured yet."


def clip_table(group: Mapping[CurveName, Sequence[Point]]) -> str:
    """A row for every preset: RGB-PSNR and bpp at every goal; time on the clock and of all threads, mean per encode."""
    goals = list(dict.fromkeys(point.rate for points in group.values() for point in points))
    rows = []
    for name in _by_effort(group):
        at = {point.rate: point for point in group[name]}
        cells = [f"{at[goal].rgb_psnr:.2f} dB at {at[goal].bpp:.4f}" if goal in at else "-" for goal in goals]
        spent = [_mean([point.seconds for point in at.values()]), _mean([point.cpu_seconds for point in at.values()])]
        rows.append([f"`{name.options}`", *cells, *spent])
    return table(["preset", *(f"`{goal}`" for goal in goals), "seconds", "CPU seconds"], rows)


def worse(curves: Mapping[CurveName, Sequence[Point]]) -> list[str]:
    """One line for every point of a preset that lies below the curve of the next faster one."""
    found = []
    for (clip, frames), group in by_clip(curves).items():
        names = _by_effort(group)
        for fast, slow in itertools.pairwise(names):
            curve = curve_of(group[fast], "rgb_psnr")
            for point in group[slow]:
                expected = curve.at(point.bpp) if curve else None
                if expected is not None and point.rgb_psnr < expected:
                    lost = f"{expected - point.rgb_psnr:.2f} dB below {fast.options} at equal bits"
                    found.append(f"{clip} {frames}: {slow.options} {point.rate} is {lost}")
    return found


def _by_effort(group: Mapping[CurveName, Sequence[Point]]) -> list[CurveName]:
    return sorted(group, key=lambda name: PRESETS.index(name.options.split()[1]))


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.0f}" if known else "-"


if __name__ == "__main__":
    sys.exit(main())
