# SPDX-License-Identifier: MIT
"""The tables of points: what is written is read back, and the later of two rows counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.points import COLUMNS, CurveName, Table


def test_what_is_written_is_read_back(point, tmp_path):
    path = tmp_path / "rd.csv"
    made = [point(0.1, 35.0), point(0.02, 30.0, ms_ssim=None), point(0.02, 29.0, codec="x264", rate="--crf 30")]
    made.append(replace(made[0], rate="file a.gsv", seconds=None, cpu_seconds=None))
    table = Table(path)
    for item in made:
        table.add(item)
    assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    read = Table(path)
    assert [read.find(item.curve, item.rate) for item in made] == made
    bpps = [[item.bpp for item in points] for points in read.curves().values()]
    assert bpps == [[0.02, 0.1, 0.1], [0.02]]


def test_the_later_row_counts_and_the_earlier_one_stays(point, tmp_path):
    table = Table(tmp_path / "rd.csv")
    table.add(point(0.1, 35.0))
    table.add(point(0.1, 36.0))
    again = Table(tmp_path / "rd.csv")
    assert again.find(point(0.1, 0.0).curve, "--bpp 0.1").rgb_psnr == 36
    assert len((tmp_path / "rd.csv").read_text(encoding="utf-8").splitlines()) == 3


def test_bpp_is_that_of_the_bytes(point):
    assert point(0.1, 35.0).bytes * 8 / 100_000 == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("options", "keyint"), [("--preset fast --keyint 32", 32), ("--keyint 144 --no-window --keyint 1", 1)]
)
def test_the_last_key_frame_distance_counts(options, keyint):
    assert CurveName("clip", "0:1", "gsv", options).keyint == keyint
