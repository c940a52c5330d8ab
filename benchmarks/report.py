# SPDX-License-Identifier: MIT
"""Tables and plots of rate-distortion curves from benchmarks/results/rd.csv, into docs/RD.md and README.md.

A table stands between `<!-- table: NAME -->` and `<!-- end -->`; what is there is replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common import ROOT
from benchmarks.curves import METRICS, bd_rate, curve_of
from benchmarks.points import CurveName, Point, Table
from docs.tables import fill, table
from gscodec_cli.encoder.options import KEYINT

RATES = (0.01, 0.02, 0.05, 0.1, 0.2)  # bpp
BD_RANGE = (0.01, 0.1)  # bpp
ANCHOR = "x264"
README_CLIP = "bunny_1280x640_132f_rgb.mkv"
PLOTS = ROOT / "docs" / "rd"
Curves = Mapping[CurveName, Sequence[Point]]


def write(points: Table) -> None:
    """Write docs/RD.md, README.md and the plots from a table."""
    curves = points.curves()
    for page in (ROOT / "docs" / "RD.md", ROOT / "README.md"):
        page.write_text(with_tables(page.read_text(encoding="utf-8"), curves), encoding="utf-8")
    draw_all(curves, PLOTS)


def with_tables(page: str, curves: Curves) -> str:
    """A page with its rate-distortion tables replaced by what the curves say."""
    tables = {"rd": all_clips(curves), "rd summary": summary(curves), "rd readme": readme(curves)}
    return fill(page, tables)


def all_clips(curves: Curves) -> str:
    """A heading, a table and a plot for every clip."""
    parts = []
    for (clip, frames), group in by_clip(curves).items():
        size = next(iter(group.values()))[0].size
        heading = f"### {clip}, frames {frames}, {size}"
        picture = f"![Rate-distortion of {clip}](rd/{plot_name(clip, frames)})"
        parts += [heading, clip_table(group), picture]
    return "\n\n".join(parts) if parts else "Nothing measured yet."


def clip_table(group: Curves) -> str:
    """RGB-PSNR at RATES and BD-rates of every curve of a clip against x264 at the same key-frame distance."""
    head = ["codec", *(f"{rate:g}" for rate in RATES), *(f"BD-rate {text.split(',')[0]}" for text in METRICS.values())]
    return table(head, [[label(name), *psnrs(points), *bd_rates(name, group)] for name, points in group.items()])


def psnrs(points: Sequence[Point]) -> list[str]:
    """RGB-PSNR at RATES."""
    curve = curve_of(points, "rgb_psnr")
    found = [curve.at(rate) if curve else None for rate in RATES]
    return ["-" if value is None else f"{value:.2f}" for value in found]


def bd_rates(name: CurveName, group: Curves) -> list[str]:
    """BD-rates of a curve for every metric."""
    return [_percent(bd_to(name, group, metric)) for metric in METRICS]


def bd_to(name: CurveName, group: Curves, metric: str) -> float | None:
    """BD-rate in per cent of one curve of a clip, against x264 at the same key-frame distance."""
    anchors = [points for other, points in group.items() if other.codec == ANCHOR and other.keyint == name.keyint]
    if not anchors:
        return None
    return bd_rate(curve_of(anchors[0], metric), curve_of(group[name], metric), *BD_RANGE)


def summary(curves: Curves) -> str:
    """BD-rates in RGB-PSNR: a row for every clip, a column for every codec and set of options."""
    kinds = list(dict.fromkeys(_kind(name) for name in curves if name.codec != ANCHOR))
    rows = []
    for (clip, frames), group in by_clip(curves).items():
        found = {_kind(name): bd_to(name, group, "rgb_psnr") for name in group}
        rows.append([f"{clip} {frames}", *(_percent(found.get(kind)) for kind in kinds)])
    return table(["clip, frames", *(label_of(*kind) for kind in kinds)], rows)


def readme(curves: Curves) -> str:
    """The table and the plot of one clip, for the front page."""
    found = [(frames, group) for (clip, frames), group in by_clip(curves).items() if clip == README_CLIP]
    if not found:
        return "Nothing measured yet."
    frames, group = found[0]
    shown = {name: points for name, points in group.items() if name.keyint == KEYINT}
    head = ["codec", *(f"{rate:g} bpp" for rate in RATES), "BD-rate"]
    rows = [[label(name), *psnrs(points), bd_rates(name, group)[0]] for name, points in shown.items()]
    picture = f"![Rate-distortion of {README_CLIP}](docs/rd/{plot_name(README_CLIP, frames)})"
    return f"{table(head, rows)}\n\n{picture}"


def draw_all(curves: Curves, folder: Path) -> list[Path]:
    """A plot for every clip; returns the files."""
    from benchmarks.plots import draw

    found = []
    for (clip, frames), group in by_clip(curves).items():
        path = folder / plot_name(clip, frames)
        draw(group, {name: label(name) for name in group}, f"{clip}, frames {frames}", path)
        found.append(path)
    return found


def by_clip(curves: Curves) -> dict[tuple[str, str], dict[CurveName, Sequence[Point]]]:
    """Curves grouped by (clip, frames); gsv first, then the others in the order of the table."""
    found: dict[tuple[str, str], dict[CurveName, Sequence[Point]]] = {}
    for name in sorted(curves, key=lambda item: item.codec != "gsv"):
        found.setdefault((name.clip, name.frames), {})[name] = curves[name]
    return dict(sorted(found.items()))


def plot_name(clip: str, frames: str) -> str:
    """Name of a clip's plot."""
    return f"{Path(clip).stem}_{frames.replace(':', '-')}.svg"


def label(name: CurveName) -> str:
    """A curve as it is called in tables and plots."""
    return label_of(*_kind(name))


def label_of(codec: str, options: str) -> str:
    """A codec and its options without what is the default anyway."""
    words = options.replace(f"--keyint {KEYINT}", "").replace("--preset ", "").replace("--", "").split()
    return " ".join([codec, *words])


def _kind(name: CurveName) -> tuple[str, str]:
    return name.codec, name.options


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.1f} %"
