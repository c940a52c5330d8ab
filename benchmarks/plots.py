# SPDX-License-Identifier: MIT
"""Plots of rate-distortion curves as SVG or PNG. Needs matplotlib: pip install 'gscodec[bench]'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.curves import METRICS, quality_of
from benchmarks.points import CurveName, Point

COLOURS = {"x264": "#7f7f7f", "x265": "#1f77b4", "svt-av1": "#2ca02c"}
WARM = ("#d62728", "#ff7f0e", "#9467bd", "#8c564b", "#e377c2", "#bcbd22")  # curves of gsv, in their order
# The same picture for the same points: no date, no random ids; text stays text.
STABLE = {"svg.hashsalt": "gsv", "svg.fonttype": "none"}


def draw(curves: Mapping[CurveName, Sequence[Point]], labels: Mapping[CurveName, str], title: str, path: Path) -> None:
    """One picture: a panel for every metric, a line for every curve. The kind of file goes by the suffix of `path`."""
    with mpl.rc_context(STABLE):
        figure = Figure(figsize=(13, 4.4), layout="constrained")
        axes = figure.subplots(1, len(METRICS))
        for panel, metric in zip(axes, METRICS, strict=True):
            _panel(panel, metric, curves, labels)
        figure.suptitle(title)
        handles, names = axes[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize="small")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)


def _panel(
    panel: Axes, metric: str, curves: Mapping[CurveName, Sequence[Point]], labels: Mapping[CurveName, str]
) -> None:
    warm = 0
    for name, points in curves.items():
        shown = [(point.bpp, value) for point in points if (value := quality_of(point, metric)) is not None]
        colour = COLOURS.get(name.codec)
        if colour is None:
            colour, warm = WARM[warm % len(WARM)], warm + 1
        if shown:
            panel.plot(*zip(*shown, strict=True), marker=".", color=colour, label=labels[name])
    panel.set_xscale("log")
    panel.xaxis.set_major_formatter("{x:g}")
    panel.set_xlabel("bpp")
    panel.set_title(METRICS[metric])
    panel.grid(which="both", linewidth=0.3)
