# SPDX-License-Identifier: MIT
"""What a step of each kind of number costs the picture."""

import re

import numpy as np
import pytest

from benchmarks import precision
from gscodec.format.dequant import dequantise
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.main import run

FEW = ("--gaussians", "40", "--key-iterations", "3", "--joint-iterations", "6", "--tune-iterations", "3")
PARTS = ("mean", "shape", "colour", "motion", "birth", "death")


@pytest.fixture(scope="module")
def file(pictures, tmp_path_factory) -> str:
    """A short clip, hardly trained."""
    path = str(tmp_path_factory.mktemp("precision") / "bar.gsv")
    assert run(["encode", str(pictures), "-o", path, "--threads", "1", *FEW]) == 0
    return path


def test_each_kind_is_moved_alone_and_by_half_a_step_at_most(file):
    decoder = StreamDecoder(file)
    record = decoder.reader.read_gop(0)
    params = dequantise(record)
    kinds = {"mean": ["mean"], "motion": ["motion"], "birth, death": ["birth", "death"]}
    kinds |= {name: ["colour"] for name in precision.COLOURS}
    kinds |= {name: ["shape", "colour"] for name in precision.SHAPES}
    kinds[precision.SHAPES[1]] = ["shape"]  # does not change the norm
    seen = []
    for kind, step, _, moved in precision.all_moved(record, params):
        seen.append(kind)
        change = {name: np.abs(getattr(moved, name) - getattr(params, name)).max() for name in PARTS}
        assert [name for name in PARTS if change[name]] == sorted(kinds[kind], key=PARTS.index)
        assert 0.3 * step < change[kinds[kind][0]] <= 0.5001 * step
    assert seen == ["mean", *precision.SHAPES, *precision.COLOURS, "motion", "birth, death"]


def test_colours_hold_while_shapes_change(file):
    decoder = StreamDecoder(file)
    params = dequantise(decoder.reader.read_gop(0))
    larger = precision.with_shape(params, params.shape + np.array([0.2, 0, 0.4], np.float32))
    np.testing.assert_allclose(larger.colour, params.colour * np.exp(0.3), rtol=1e-5)


def test_a_table_for_each_file(file, capsys):
    assert precision.main([file]) == 0
    rows = re.findall(r"^\| (\S.*?) \| ([\d.]+) \| (\d+) \|$", capsys.readouterr().out, re.MULTILINE)
    assert [row[0] for row in rows[:4]] == ["mean", *precision.SHAPES]
    assert len(rows) == 9
    assert all(int(error) > 0 for _, _, error in rows[:7])
