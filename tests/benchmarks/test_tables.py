# SPDX-License-Identifier: MIT
"""What the tables of ablations and presets say about points that are known, and that the pages equal the CSVs."""

from __future__ import annotations

import shlex

import pytest

from benchmarks import ablation, presets, report
from benchmarks.common import ROOT
from benchmarks.gsv_files import split_goal
from benchmarks.points import Table
from benchmarks.variants import VARIANTS, plan_of, variants_of
from gscodec_cli.encoder.presets import PROFILES

BASE = "--preset fast --keyint 144"
PAGES = (("RD.md", "rd.csv", report), ("ABLATION.md", "ablation.csv", ablation), ("RD.md", "presets.csv", presets))


def curves_of(points):
    """Points by curve, as a table gives them."""
    found = {}
    for item in points:
        found.setdefault(item.curve, []).append(item)
    return found


@pytest.mark.parametrize(("page", "table", "tool"), PAGES, ids=[table for _, table, _ in PAGES])
def test_the_pages_equal_the_measurements(page, table, tool):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert tool.with_tables(text, Table(table).curves()) == text, f"docs/{page} is behind {table}: --report writes it"


def test_the_readme_equals_the_measurements():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "<!-- table: rd readme -->" in text
    assert report.with_tables(text, Table("rd.csv").curves()) == text, "README.md: python -m benchmarks.rd --report"


def test_every_measured_clip_has_its_plot():
    for clip, frames in report.by_clip(Table("rd.csv").curves()):
        assert (report.PLOTS / report.plot_name(clip, frames)).exists()


@pytest.mark.parametrize("item", VARIANTS, ids=lambda item: item.name)
def test_every_variant_is_one_that_gsv_takes(item):
    assert plan_of(shlex.split(item.options))


def test_variants_that_change_nothing_are_left_out():
    tools = PROFILES["main"].tools
    names = {item.name for item in variants_of([])}
    assert ("no windows" in names) == tools.window
    assert ("windows" in names) == (not tools.window)
    assert "no windows" not in {item.name for item in variants_of(["--no-window"])}
    assert "windows" in {item.name for item in variants_of(["--no-window"])}


def test_an_ablation_compares_at_equal_bits_and_equal_quality(point):
    base = [point(bpp, psnr, options=BASE) for bpp, psnr in ((0.02, 30.0), (0.04, 33.0), (0.08, 36.0))]
    worse = [point(0.04, 32.0, options=f"{BASE} --no-window", seconds=3.0)]
    text = ablation.tables(curves_of([*base, *worse]))
    assert f"### clip.mp4, frames 0:10, `{BASE}`" in text
    more = 100 * (2 ** (1 / 3) - 1)  # 3 dB per doubling
    row = f"| no windows | `--no-window` | - | -1.00 dB, +{more:.1f} % | - | 1.50 |"
    assert row in text


def test_presets_are_in_order_and_a_worse_slow_one_is_named(point):
    fast = [point(bpp, psnr, options="--preset fast --keyint 144") for bpp, psnr in ((0.02, 30.0), (0.1, 35.0))]
    slow = [
        point(bpp, psnr, options="--preset slow --keyint 144", seconds=9.0) for bpp, psnr in ((0.02, 31.0), (0.1, 34.5))
    ]
    curves = curves_of([*slow, *fast])
    text = presets.tables(curves)
    assert text.index("`--preset fast") < text.index("`--preset slow")
    assert "| 31.00 dB at 0.0200 | 34.50 dB at 0.1000 | 9 | 18 |" in text
    (line,) = presets.worse(curves)
    assert "slow --keyint 144 --bpp 0.1 is 0.50 dB below --preset fast" in line


def test_bd_rates_are_against_x264_at_the_same_key_frame_distance(point):
    def line(codec, options, shift):
        rates = ((0.01, 30.0), (0.03, 33.0), (0.1, 36.0))
        return [point(bpp * shift, psnr, codec=codec, options=options, rate=f"{bpp}") for bpp, psnr in rates]

    near, far = "--preset medium --keyint 10", "--preset medium --keyint 144"
    points = [*line("x264", near, 1.6), *line("x264", far, 1.0), *line("gsv", near, 0.8), *line("gsv", far, 0.8)]
    group = report.by_clip(curves_of(points))["clip.mp4", "0:10"]
    found = {name.options: report.bd_rates(name, group)[0] for name in group if name.codec == "gsv"}
    assert found == {near: "-50.0 %", far: "-20.0 %"}


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--preset", "slow", "--bpp=0.05"], ("--preset slow --keyint 144", "--bpp 0.05")),
        (["-q", "26", "--keyint", "32"], ("--keyint 32", "-q 26")),
        (["--gaussians", "30"], ("--keyint 144", "--gaussians 30")),
        ([], ("--keyint 144", "")),
    ],
)
def test_the_goal_is_told_from_what_a_curve_shares(options, found):
    assert split_goal(options) == found
