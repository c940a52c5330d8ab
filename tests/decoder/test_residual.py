# SPDX-License-Identifier: MIT
"""The residual of a GoP: its pictures by the definition of the cosine transform, and frames with it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.fft import idctn
from scipy.ndimage import map_coordinates

from gscodec.format.dequant import GopParameters, ResidualParameters, dequantise
from gscodec.format.errors import LimitError
from gscodec.format.limits import Limits
from gscodec.format.records import SequenceHeader
from gscodec_cli.decoder import residual as module
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.residual import Residual, time_weights
from gscodec_cli.decoder.view import YCC_TO_RGB, View
from tests.decoder.synthetic import make_file, make_gop, make_header

SIZE = 44, 29  # neither side is whole blocks
FRAMES, GROUP = 7, 3  # the last group goes on beyond the GoP, and has nothing
ROWS, COLUMNS = 4, 6
SETS = [
    (),
    ("normalised",),
    ("normalised", "detail", "motion", "window"),
    ("normalised", "still detail", "motion", "drift", "window", "log", "ycc", "energy", "field", "camera"),
]


def gop(tools: tuple[str, ...], **header: int) -> tuple[GopParameters, SequenceHeader]:
    """A GoP of 40 Gaussians with a residual."""
    made = make_header(*SIZE, FRAMES, **header)
    return dequantise(make_gop(made, 0, FRAMES, 40, tools=(*tools, "residual"))), made


def cube(residual: ResidualParameters) -> np.ndarray:
    """[groups * GROUP, h, w, 3] RGB of the blocks by scipy, coefficients put where SPEC 6.22 says, one by one."""
    order = sorted(np.ndindex(GROUP, 8, 8), key=lambda f: (sum(f), f[0], f[1]))
    planes = []
    for index, values in zip(residual.index, residual.values, strict=True):
        blocks = np.zeros((3, ROWS, COLUMNS, GROUP, 8, 8))
        for where, value in zip(index.tolist(), values.tolist(), strict=True):
            block, number = divmod(where, 64 * GROUP)
            group, row, column = np.unravel_index(block, (3, ROWS, COLUMNS))
            blocks[(group, row, column, *order[number])] = value
        pixels = idctn(blocks, axes=(3, 4, 5), norm="ortho").transpose(0, 3, 1, 4, 2, 5)
        planes.append(pixels.reshape(3 * GROUP, 8 * ROWS, 8 * COLUMNS))
    return (np.stack(planes, -1) @ YCC_TO_RGB)[:, : SIZE[1], : SIZE[0]]


def view_of(residual: ResidualParameters, view: View | None = None, dtype: type = np.float64) -> Residual:
    """The residual as a renderer of `view` has it."""
    view = view or View(SIZE, (0, 0, *SIZE))
    return Residual(residual, FRAMES, YCC_TO_RGB, SIZE[::-1], view.size, view.crop, dtype)


def test_pictures_are_those_of_the_cosine_transform():
    residual = gop(())[0].residual
    drawn, wanted = view_of(residual), cube(residual)
    for t in range(FRAMES):
        found = drawn.at(t)
        if t // GROUP == 2:
            assert found is None or np.abs(found.transpose(1, 2, 0) - wanted[t]).max() < 1e-12
        else:
            assert np.abs(wanted[t]).max() > 0.1
            assert np.abs(found.transpose(1, 2, 0) - wanted[t]).max() < 1e-12


def test_a_group_without_coefficients_adds_nothing():
    residual = gop(())[0].residual
    first = [index < ROWS * COLUMNS * 64 * GROUP for index in residual.index]
    parts = zip(residual.index, residual.values, first, strict=True)
    index, values = zip(*[(index[keep], values[keep]) for index, values, keep in parts], strict=True)
    drawn = view_of(replace(residual, index=index, values=values))
    assert [drawn.at(t) is None for t in range(FRAMES)] == [False] * 3 + [True] * 4


@pytest.mark.parametrize(
    ("position", "group", "inside"), [(-0.5, 0, -0.5), (2.4, 0, 2.4), (2.5, 1, -0.5), (3, 1, 0), (6.5, 2, 0.5)]
)
def test_positions_between_frames_belong_to_a_group(position, group, inside):
    assert view_of(gop(())[0].residual).locate(position) == (group, inside)


def test_the_end_of_a_gop_belongs_to_its_last_group():
    residual = gop(())[0].residual
    drawn = Residual(residual, 6, YCC_TO_RGB, SIZE[::-1], SIZE, (0, 0, *SIZE), np.float64)
    assert drawn.locate(5.5) == (1, 2.5)


def test_cosines_in_time_are_orthonormal():
    basis = np.stack([time_weights(5, t) for t in range(5)])
    assert np.allclose(basis @ basis.T, np.eye(5))


@pytest.mark.parametrize("tools", SETS, ids=" ".join)
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_frames_are_those_without_it_and_it(tools, backend):
    params, header = gop(tools)
    plain = GopRenderer(replace(params, residual=None), header, backend=backend)
    whole = GopRenderer(params, header, backend=backend)
    wanted = cube(params.residual)
    changed = 0
    for t in range(FRAMES):
        expected = np.floor(np.clip(plain.colours(t).transpose(1, 2, 0) + wanted[t], 0, 1) * 255 + 0.5)
        drawn = whole.render(t)
        assert np.abs(drawn - expected).max() <= (0 if backend == "reference" else 1)
        changed += int((drawn != plain.render(t)).sum())
    assert changed > 1000


@pytest.mark.parametrize(
    "view", [View((88, 58), (10, 7, 51, 40)), View((22, 15), (0, 0, 22, 15))], ids=["large", "small"]
)
def test_a_view_looks_it_up_in_coded_pixels(view):
    residual = gop(())[0].residual
    x0, y0, width, height = view.crop
    x = (np.arange(width) + x0 + 0.5) * SIZE[0] / view.size[0] - 0.5
    y = (np.arange(height) + y0 + 0.5) * SIZE[1] / view.size[1] - 0.5
    at = np.meshgrid(y, x, indexing="ij")
    for t in (0, 4):
        planes = [map_coordinates(cube(residual)[t, ..., c], at, order=1, mode="nearest") for c in range(3)]
        assert np.abs(view_of(residual, view).at(t) - np.stack(planes)).max() < 1e-12


def test_deep_frames_have_it_in_sixteen_bits():
    params, header = gop(("normalised",), bit_depth=10)
    drawn = GopRenderer(params, header, backend="reference").render(1)
    plain = GopRenderer(replace(params, residual=None), header, backend="reference")
    expected = np.clip(plain.colours(1).transpose(1, 2, 0) + cube(params.residual)[1], 0, 1) * 65535
    assert drawn.dtype == np.uint16
    assert np.abs(drawn - expected).max() <= 0.5 + 1e-6


def test_what_is_not_finite_is_black():
    params, header = gop(("normalised",))
    values = tuple(np.full_like(part, 3e38) for part in params.residual.values)
    drawn = GopRenderer(replace(params, residual=replace(params.residual, values=values)), header).render(0)
    assert drawn.shape == (SIZE[1], SIZE[0], 3)


def test_memory_is_asked_for_before_it_is_taken():
    params, header = gop(("normalised",))
    with pytest.raises(LimitError, match="memory"):
        GopRenderer(params, header, limits=Limits(memory=module.PIXELS * 1000))


def test_a_file_is_read_with_less_memory_only_where_it_may(tmp_path):
    data = make_file(make_header(*SIZE, FRAMES), 40, ("normalised", "residual"))
    assert StreamDecoder(data).frame(3).shape == (SIZE[1], SIZE[0], 3)
    with pytest.raises(LimitError, match="memory"):
        StreamDecoder(data, limits=Limits(memory=40_000)).frame(3)
