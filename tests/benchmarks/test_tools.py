# SPDX-License-Identifier: MIT
"""The tools end to end on a made-up clip, with trainings of a few steps."""

from __future__ import annotations

import csv
import re

import pytest

from benchmarks import ablation, presets, rd, report
from benchmarks.points import Table

STEPS = ("--key-iterations", "3", "--joint-iterations", "6", "--tune-iterations", "3")
FEW = (*STEPS, "--gaussians", "30", "--threads", "1")


@pytest.fixture
def where(tmp_path) -> list[str]:
    """Arguments that keep everything in the test's own folder."""
    return ["--table", str(tmp_path / "points.csv"), "--keep", str(tmp_path / "files"), "--no-report"]


def rows_of(tmp_path) -> list[dict[str, str]]:
    """The rows of the table."""
    return list(csv.DictReader((tmp_path / "points.csv").read_text(encoding="utf-8").splitlines()))


def test_curves_are_measured_once_shown_and_drawn(pictures, where, tmp_path, capsys):
    words = [str(pictures), "--frames", "0:4", "--rates", "0.2,0.4", "--codecs", "gsv,x264", *where]
    assert rd.main([*words, "--", *FEW]) == 0
    rows = rows_of(tmp_path)
    assert {row["codec"] for row in rows} == {"gsv", "x264"}
    ours = next(row for row in rows if row["codec"] == "gsv")
    (file,) = (tmp_path / "files").iterdir()
    assert int(ours["bytes"]) == file.stat().st_size
    assert float(ours["bpp"]) == pytest.approx(8 * file.stat().st_size / (4 * 176 * 192), abs=1e-6)
    assert (ours["rate"], ours["clip"], ours["frames"]) == ("--gaussians 30", "bar", "0:4")
    assert ours["options"].endswith("--threads 1 --keyint 144")
    assert float(ours["seconds"]) > 0
    assert str(tmp_path) not in (tmp_path / "points.csv").read_text(encoding="utf-8")

    capsys.readouterr()
    assert rd.main([*words, "--", *FEW]) == 0
    assert capsys.readouterr().out == ""
    assert rows_of(tmp_path) == rows

    curves = Table(tmp_path / "points.csv").curves()
    page = report.with_tables("<!-- table: rd -->\n<!-- end -->\n<!-- table: rd summary -->\n<!-- end -->\n", curves)
    assert "### bar, frames 0:4, 192x176" in page
    assert re.search(r"\| x264 medium( \| -){4} \| \d\d\.\d\d \|", page)
    (plot,) = report.draw_all(curves, tmp_path / "plots")
    drawn = plot.read_bytes()
    assert b"MS-SSIM" in drawn
    assert b"x264 medium" in drawn
    report.draw_all(curves, tmp_path / "plots")
    assert plot.read_bytes() == drawn

    assert rd.main([str(pictures), "--frames", "0:4", "--file", str(file), *where]) == 0
    measured = rows_of(tmp_path)[-1]
    assert measured["rate"] == f"file {file.name}"
    assert (measured["rgb_psnr"], measured["bpp"], measured["seconds"]) == (ours["rgb_psnr"], ours["bpp"], "")


def test_a_file_of_other_frames_is_refused(pictures, where, first_vector, capsys):
    assert rd.main([str(pictures), "--file", str(first_vector), *where]) == 1
    error = capsys.readouterr().err
    assert error.startswith("rd: ")
    assert "expected 6 frames of 192x176" in error


def test_what_gsv_refuses_is_said(pictures, where, capsys):
    assert rd.main([str(pictures), "--codecs", "gsv", *where, "--", "--shape-bits", "99", "--bpp", "1"]) == 1
    error = capsys.readouterr().err
    assert "--shape-bits 99" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        (rd, []),
        (rd, ["a.mp4", "--rates", "0"]),
        (rd, ["a.mp4", "--codecs", "vp8"]),
        (rd, ["a.mp4", "--frames", "5"]),
        (rd, ["a.mp4", "b.mp4", "--file", "x.gsv"]),
        (ablation, ["a.mp4", "--only", "x"]),
        (presets, ["a.mp4", "--only", "idle"]),
    ],
)
def test_wrong_arguments_end_with_code_2(tool, words, capsys):
    with pytest.raises(SystemExit) as ended:
        tool.main(words)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_an_ablation_encodes_the_baseline_and_the_variant(pictures, where, tmp_path):
    words = [str(pictures), "--frames", "0:4", "--only", "no carry-over,no windows", *where]
    assert ablation.main([*words, "--", *FEW, "--no-window"]) == 0  # the baseline has no windows already
    options = [row["options"].partition("--no-window ")[2] for row in rows_of(tmp_path)]
    assert options == ["--keyint 144", "--keyint 144 --keyint 1"]
    text = ablation.tables(Table(tmp_path / "points.csv").curves())
    assert "| no carry-over | `--keyint 1` |" in text


def test_presets_are_encoded_one_by_one(pictures, where, tmp_path):
    words = [str(pictures), "--frames", "0:2", "--only", "ultrafast,fast", *where]
    assert presets.main([*words, "--", *FEW]) == 0
    assert [row["options"].split()[1] for row in rows_of(tmp_path)] == ["ultrafast", "fast"]
