# SPDX-License-Identifier: MIT
"""Frames behind a filter: by its definition, in every view, on every engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gscodec.format.dequant import GopParameters, dequantise
from gscodec.format.errors import LimitError
from gscodec.format.limits import Limits
from gscodec.format.records import SequenceHeader
from gscodec.kernels import backends
from gscodec.kernels.reference_filter import filter_picture
from gscodec_cli.decoder.reconstruct import FILTER_BYTES, GopRenderer
from gscodec_cli.decoder.view import View
from tests.decoder.synthetic import make_gop, make_header

SIZE = 33, 21
ENGINES = [backend.name for backend in backends() if backend.available]
TOOLS = [("motion",), ("normalised", "detail", "residual", "window", "camera")]


def gop(tools: tuple[str, ...], **fields: int) -> tuple[GopParameters, SequenceHeader]:
    """A GoP of 40 Gaussians with a filter."""
    header = make_header(*SIZE, 4, max_gop_frames=4, **fields)
    return dequantise(make_gop(header, 0, 4, 40, tools=(*tools, "filter"))), header


@pytest.mark.parametrize("tools", TOOLS, ids=" ".join)
@pytest.mark.parametrize("backend", ENGINES)
def test_a_frame_goes_through_the_filter(backend, tools):
    params, header = gop(tools)
    bare = GopRenderer(replace(params, filter=None), header, backend="reference").colours(1.5)
    wanted = filter_picture(bare, params.filter)
    assert np.abs(wanted - bare).max() > 0.02
    renderer = GopRenderer(params, header, backend=backend)
    assert np.abs(renderer.colours(1.5) - wanted).max() < 1e-4
    rounded = np.clip(wanted, 0, 1).transpose(1, 2, 0) * 255
    assert np.abs(renderer.render(1.5) - rounded).max() < 0.51


@pytest.mark.parametrize("crop", [(0, 0, 9, 7), (5, 4, 20, 9), (24, 13, 9, 8), (2, 0, 31, 21)])
@pytest.mark.parametrize("tools", TOOLS, ids=" ".join)
def test_a_part_of_the_frame_is_as_in_the_whole(tools, crop):
    params, header = gop(tools)
    x, y, width, height = crop
    whole = GopRenderer(params, header).render(2)
    part = GopRenderer(params, header, view=View(SIZE, crop)).render(2)
    assert part.shape == (height, width, 3)
    assert np.abs(part.astype(int) - whole[y : y + height, x : x + width]).max() <= 1


def test_other_sizes_have_no_filter():
    params, header = gop(TOOLS[0])
    view = View((66, 42), (0, 0, 66, 42))
    bare = GopRenderer(replace(params, filter=None), header, view=view)
    np.testing.assert_array_equal(GopRenderer(params, header, view=view).render(1), bare.render(1))


def test_deep_frames_have_all_their_bits():
    params, header = gop(TOOLS[1], bit_depth=10)
    found = GopRenderer(params, header).render(0)
    assert found.dtype == np.uint16
    wanted = GopRenderer(params, header, backend="reference").render(0)
    assert np.abs(found.astype(int) - wanted).max() < 16


def test_memory_for_the_filter_is_counted():
    params, header = gop(TOOLS[0])
    bare = _asked(replace(params, filter=None), header)
    assert _asked(params, header) == bare + FILTER_BYTES * SIZE[0] * SIZE[1]


def _asked(params: GopParameters, header: SequenceHeader) -> int:
    with pytest.raises(LimitError) as caught:
        GopRenderer(params, header, limits=Limits(memory=1))
    return caught.value.asked
