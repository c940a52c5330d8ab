# SPDX-License-Identifier: MIT
"""What every tool of gsv is worth: encodes with one tool switched, against a baseline at equal bits.

    python -m benchmarks.ablation CLIP ... --frames 0:64 --rates 0.02,0.05,0.1 -- --preset fast
    python -m benchmarks.ablation CLIP --only 'no windows,no carry-over' -- --preset fast
    python -m benchmarks.ablation --list                   the variants
    python -m benchmarks.ablation --report                 docs/ABLATION.md from what was measured

What stands after `--` is the baseline; a variant's options (benchmarks/variants.py) are put behind it. Points go to
benchmarks/results/ablation.csv; what is there is not encoded again unless --again is given.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence

from benchmarks import gsv_files
from benchmarks.clips import Clip
from benchmarks.command import Arguments, parser_of, run
from benchmarks.common import ROOT
from benchmarks.curves import Curve, curve_of
from benchmarks.points import CurveName, Point, Table
from benchmarks.report import by_clip
from benchmarks.variants import VARIANTS, Variant, variants_of
from docs.tables import fill, table

RATES = (0.02, 0.05, 0.1)  # bpp
PAGE = ROOT / "docs" / "ABLATION.md"


def main(words: list[str] | None = None) -> int:
    """Encode what is not known, then write the page. Returns the exit code."""
    parser = parser_of("ablation", __doc__, "ablation.csv", RATES)
    parser.add_argument("--only", type=lambda text: text.split(","), help="names of variants, separated by commas")
    parser.add_argument("--list", action="store_true", help="print the variants and end")
    args = Arguments.parse(parser, words)
    if args.ours.list:
        print("\n".join(f"{item.name}: {item.options}" for item in VARIANTS))
        return 0
    chosen = args.ours.only or [item.name for item in VARIANTS]
    if unknown := set(chosen) - {item.name for item in VARIANTS}:
        parser.error(f"no variant {', '.join(sorted(unknown))}: see --list")
    variants = [item for item in variants_of(args.options) if item.name in chosen]
    return run(args, lambda points, clip: measure(points, clip, args, variants), write)


def measure(points: Table, clip: Clip, args: Arguments, variants: Sequence[Variant]) -> Iterator[Point]:
    """The points of the baseline and of every variant that the table does not have."""
    ours = args.ours
    # The baseline's key-frame distance is written out before a variant may set its own.
    baseline, goal = map(shlex.split, gsv_files.split_goal(args.options))
    for options in ("", *(item.options for item in variants)):
        whole = [*baseline, *shlex.split(options), *goal]
        yield from gsv_files.complete(points, clip, whole, ours.rates, ours.keep, ours.again)


def write(points: Table) -> None:
    """Write docs/ABLATION.md."""
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), points.curves()), encoding="utf-8")


def with_tables(page: str, curves: Mapping[CurveName, Sequence[Point]]) -> str:
    """The page with its table replaced by what the curves say."""
    return fill(page, {"ablation": tables(curves)})


def tables(curves: Mapping[CurveName, Sequence[Point]]) -> str:
    """A heading and a table for every clip and baseline of which variants were measured."""
    parts = []
    for (clip, frames), group in by_clip(curves).items():
        for name, points in group.items():
            found = {item: group[other] for item in VARIANTS if (other := _varied(name, item)) in group}
            if found:
                heading = f"### {clip}, frames {frames}, `{name.options}`"
                parts += [heading, clip_table(points, found)]
    return "\n\n".join(parts) if parts else "Nothing measured yet."


def clip_table(baseline: Sequence[Point], found: Mapping[Variant, Sequence[Point]]) -> str:
    """A row for every variant: its difference to the baseline at each of the baseline's goals, and its CPU time."""
    curve = curve_of(baseline, "rgb_psnr")
    goals = [point.rate for point in baseline]
    rows = [["baseline", "", *(f"{point.rgb_psnr:.2f} dB at {point.bpp:.4f} bpp" for point in baseline), "1"]]
    for item, points in found.items():
        at = {point.rate: point for point in points}
        cells = [difference(curve, at.get(goal)) for goal in goals]
        rows.append([item.name, f"`{item.options}`", *cells, _times(baseline, at)])
    return table(["variant", "options", *(f"`{goal}`" for goal in goals), "CPU time"], rows)


def difference(curve: Curve | None, point: Point | None) -> str:
    """dB above the baseline's curve at the point's bits, and how many more bits the point takes at its quality."""
    if curve is None or point is None:
        return "-"
    quality, rate = curve.at(point.bpp, slack=2), curve.rate_at(point.rgb_psnr)
    gain = "-" if quality is None else f"{point.rgb_psnr - quality:+.2f} dB"
    return f"{gain}, {'-' if rate is None else f'{100 * (point.bpp / rate - 1):+.1f} %'}"


def _varied(name: CurveName, item: Variant) -> CurveName:
    return name._replace(options=f"{name.options} {item.options}")


def _times(baseline: Sequence[Point], at: Mapping[str, Point]) -> str:
    """CPU time over that of the baseline, for the goals both have."""
    pairs = [(at[point.rate].cpu_seconds, point.cpu_seconds) for point in baseline if point.rate in at]
    known = [(new, old) for new, old in pairs if new is not None and old]
    return f"{sum(new for new, _ in known) / sum(old for _, old in known):.2f}" if known else "-"


if __name__ == "__main__":
    sys.exit(main())
