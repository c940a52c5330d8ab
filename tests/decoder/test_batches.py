# SPDX-License-Identifier: MIT
"""Batches on the GPU: the same bytes as frame by frame, one set of launches each, no wait, bounded memory."""

from __future__ import annotations

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec.format.errors import FormatError
from gscodec.kernels import backends
from gscodec_cli import VideoDecoder
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.device import (
    DEEP_PIXEL_BYTES,
    MOVED_BYTES,
    PIXEL_BYTES,
    RESIDUAL_PIXEL_BYTES,
    SPLAT_BYTES,
    DeviceDecoder,
)
from gscodec_cli.decoder.device_residual import BLOCK_BYTES, CODED_BYTES, STRETCHED_BYTES
from tests.decoder.synthetic import PAPER_FIELD, make_file, make_header

GPU = next(backend for backend in backends() if backend.name == "triton")
pytestmark = pytest.mark.skipif(not GPU.available, reason=f"the GPU engine cannot run: {GPU.reason}")
FRAMES = 7  # two GoPs, of 5 and 2
SIZE = 17, 15  # two tiles, one of them a column wide
TOOLS = [
    (),
    ("window", "motion"),
    ("window", "motion", "normalised", "camera"),
    ("field",),
    ("field", "normalised", "window", "motion", "drift", "log", "ycc", "energy", "camera"),
    ("detail", "normalised"),
    ("detail", "field", "normalised", "window", "motion", "camera"),
    ("still detail", "field", "normalised", "window", "motion", "camera"),
    ("residual", "motion"),
    ("residual", "detail", "normalised", "window"),
    ("filter", "motion"),
    ("filter", "residual", "detail", "normalised", "window"),
    ("repeats", "residual", "detail", "normalised", "window", "motion", "camera"),
]


def clip(*tools: str, gaussians: int = 40, **header: int) -> bytes:
    """A small file of two GoPs."""
    return make_file(make_header(*SIZE, FRAMES, max_gop_frames=5, **header), gaussians, tools)


def decoder_of(data: bytes) -> DeviceDecoder:
    """Draws with the GPU engine."""
    return DeviceDecoder(StreamDecoder(data, backend="triton"))


def one_by_one(data: bytes) -> np.ndarray:
    """All frames of a file, each a batch of its own, from the last to the first."""
    gpu = decoder_of(data)
    return np.stack([gpu.draw([k])[0].cpu().numpy() for k in range(FRAMES - 1, -1, -1)])[::-1]


@pytest.mark.parametrize("tools", TOOLS, ids=lambda tools: " ".join(tools) or "plain")
def test_every_frame_is_the_same_in_any_batch(tools, monkeypatch):
    data = clip(*tools)
    expected = one_by_one(data)
    in_order = np.concatenate([batch.cpu().numpy() for batch in decoder_of(data).batches(range(FRAMES), FRAMES - 1)])
    np.testing.assert_array_equal(in_order, expected)
    picked = np.random.default_rng(7).integers(0, FRAMES, 9).tolist()
    np.testing.assert_array_equal(decoder_of(data).draw(picked).cpu().numpy(), expected[picked])
    monkeypatch.setattr("gscodec_cli.decoder.device.MOST_FRAMES", 2)  # 2, 2, 1 and 2 frames
    np.testing.assert_array_equal(np.stack(list(decoder_of(data).host_frames(range(FRAMES), FRAMES - 1))), expected)


@pytest.mark.parametrize("tool", ["", "detail", "still detail", "residual", "filter"])
@pytest.mark.parametrize("gaussians", [0, 1])
def test_hardly_any_gaussians(gaussians, tool):
    data = clip("field", "window", "normalised", tool, gaussians=gaussians)
    np.testing.assert_array_equal(decoder_of(data).draw(range(FRAMES)).cpu().numpy(), one_by_one(data))


def test_paper_field_in_batches():
    header = make_header(*SIZE, 2, profile=0, level=2, max_gop_frames=2)
    data = make_file(header, 30, ("field",), field_layout=PAPER_FIELD)
    gpu = decoder_of(data)
    together = gpu.draw([0, 1]).cpu().numpy()
    np.testing.assert_array_equal(together, np.stack([gpu.draw([k])[0].cpu().numpy() for k in range(2)]))
    expected = VideoDecoder(data, output="numpy", dimension_order="NHWC")[:].astype(int)
    assert np.abs(together - expected).max() <= 1


ALL = "field", "motion", "window", "normalised", "camera"
MOVING = ["_forward", "sub", "mul", "nan_to_num", "constant_pad_nd", "_forward", "_detail"]
# Three frequencies in time, three kinds of sums, blocks into pictures, which are added.
RESIDUAL = ["new_zeros", *["mul", "index_add_"] * 3, *["mul", *["addcmul_"] * 7] * 2, "mul", *["addcmul_"] * 2]
RESIDUAL += ["new_zeros", "index_put_", "add_"]
FILTER = ["_filter"]
ROUNDING = ["clamp", "nan_to_num", "mul", "add", "_to_copy", "_to_copy", "copy_"]


@pytest.mark.parametrize(
    ("tools", "drawing"),
    [
        (ALL, ["_forward"]),
        ((), ["_forward"]),
        ((*ALL, "detail"), [*MOVING, *ROUNDING]),
        ((*ALL, "still detail"), ["_forward", "zeros_like", "_detail", *ROUNDING]),
        (("residual",), ["_forward", *RESIDUAL, *ROUNDING]),
        ((*ALL, "detail", "residual"), [*MOVING, *RESIDUAL, *ROUNDING]),
        (("filter",), ["_forward", *FILTER, *ROUNDING]),
    ],
    ids=["all", "plain", "detail", "still detail", "residual", "all with residual", "filter"],
)
def test_a_batch_starts_what_a_frame_starts_and_waits_for_nothing(tools, drawing):
    from tests.kernels.launches import started

    gpu = decoder_of(clip(*tools))
    gpu.draw([0])  # what is constant is sent once
    lists = []
    for count in (1, 2, 5):
        with started() as names:
            gpu.draw(range(count))
        lists.append(names)
    assert lists[0] == lists[1] == lists[2]
    kernels = ["_encode", "_heads"] * ("field" in tools) + ["_place", "_boxes", "cumsum", "sum", "cat"]
    binning = ["_pairs", "sort", "arange", "searchsorted", "index"]
    assert lists[0] == [*kernels, *binning, *drawing]


def test_a_residual_adds_nothing_in_one_place_twice_at_once():
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Indices(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func._schema.name == "aten::index_add_":
                added.append(args[2])
            return func(*args, **(kwargs or {}))

    gpu, added = decoder_of(clip("residual")), []
    with Indices():
        gpu.draw(range(FRAMES))
    assert all(len(index.unique()) == len(index) for index in added)
    of_group = torch.cat(added[:3])
    assert len(of_group.unique()) < len(of_group)  # there are such places


def test_a_batch_holds_no_more_than_its_share_of_memory(monkeypatch):
    of_frame = 17 * 15 * PIXEL_BYTES + 40 * SPLAT_BYTES
    monkeypatch.setattr("gscodec_cli.decoder.device.BATCH_BYTES", 3 * of_frame - 1)
    monkeypatch.setattr("gscodec_cli.decoder.device.PAIR_BYTES", 0)
    gpu = decoder_of(clip())
    assert [len(batch) for batch in gpu.batches(range(FRAMES), FRAMES - 1)] == [2, 2, 1, 2]
    assert sum(1 for _ in gpu.host_frames(range(FRAMES), FRAMES - 1)) == FRAMES
    deep = decoder_of(clip(bit_depth=10))
    fit = (3 * of_frame - 1) // (17 * 15 * DEEP_PIXEL_BYTES + 40 * SPLAT_BYTES)
    assert len(next(deep.batches(range(FRAMES), FRAMES - 1))) == max(1, fit)
    of_frame = 17 * 15 * DEEP_PIXEL_BYTES + 40 * (SPLAT_BYTES + MOVED_BYTES)
    monkeypatch.setattr("gscodec_cli.decoder.device.BATCH_BYTES", 4 * of_frame - 1)
    gpu = decoder_of(clip("normalised", "detail"))
    assert [len(batch) for batch in gpu.batches(range(FRAMES), FRAMES - 1)] == [3, 2, 2]


@pytest.mark.parametrize(
    ("size", "crop", "stretched"),
    [((17, 15), (0, 0, 17, 15), 0), ((17, 600), (4, 0, 2, 600), 600 * 17 + 600 * 2)],
    ids=["coded size", "high and narrow"],
)
def test_memory_for_a_residual_is_counted(size, crop, stretched, monkeypatch):
    data = clip("residual", gaussians=4)
    index = ContainerReader(data).read_gop(0).residual.index
    blocks = len(np.unique(np.concatenate(index) // (64 * 3)))  # all in one group
    of_frame = crop[2] * crop[3] * RESIDUAL_PIXEL_BYTES + 4 * SPLAT_BYTES
    of_frame += blocks * BLOCK_BYTES + 24 * 16 * CODED_BYTES + stretched * STRETCHED_BYTES
    assert of_frame > crop[2] * crop[3] * DEEP_PIXEL_BYTES + 4 * SPLAT_BYTES  # as much as for rounding, at the least
    for room, frames in ((3 * of_frame, 3), (3 * of_frame - 1, 2)):
        monkeypatch.setattr("gscodec_cli.decoder.device.BATCH_BYTES", room)
        gpu = DeviceDecoder(StreamDecoder(data, backend="triton", size=size, crop=crop))
        assert len(next(gpu.batches(range(FRAMES), FRAMES - 1))) == frames


@pytest.mark.parametrize(
    ("tools", "times"),
    [
        ((), 1),
        (("normalised", "detail"), 2),  # also how far Gaussians have gone
        (("normalised", "still detail"), 1),
        (("residual",), 1),
    ],
    ids=["plain", "detail", "still detail", "residual"],
)
def test_a_batch_of_too_many_pairs_is_drawn_in_parts(tools, times, monkeypatch):
    from gscodec.kernels.triton import raster

    data, name = clip("window", "field", *tools), "rasterize" if tools else "render_rgb8"
    expected = decoder_of(data).draw(range(FRAMES)).cpu().numpy()
    drawn, draw = [], getattr(raster, name)
    monkeypatch.setattr(raster, name, lambda *given: drawn.append(given[1].frames) or draw(*given))
    monkeypatch.setattr("gscodec_cli.decoder.device.PAIR_BYTES", 1 << 30)
    np.testing.assert_array_equal(decoder_of(data).draw(range(FRAMES)).cpu().numpy(), expected)
    assert drawn == [1] * FRAMES * times


def test_the_next_batch_is_begun_before_one_is_drawn(monkeypatch):
    from gscodec_cli.decoder import device

    done = []
    begin, draw = device.DeviceGop.begin, device.Batch.draw
    monkeypatch.setattr(device, "MOST_FRAMES", 3)
    monkeypatch.setattr(device.DeviceGop, "begin", lambda gop, p: done.append(f"begin {p[0]:g}") or begin(gop, p))
    monkeypatch.setattr(device.Batch, "draw", lambda b, out: done.append(f"draw {b.positions[0]:g}") or draw(b, out))
    assert sum(len(batch) for batch in decoder_of(clip()).batches(range(FRAMES), FRAMES - 1)) == FRAMES
    assert done == ["begin 0", "begin 3", "draw 0", "begin 0", "draw 3", "draw 0"]


@pytest.mark.parametrize("host", [False, True], ids=["on the GPU", "on the host"])
def test_frames_before_damage_are_given(host):
    data = bytearray(clip("motion"))
    data[ContainerReader(bytes(data)).gop_table[1].offset + 40] ^= 1
    gpu, frames = decoder_of(bytes(data)), 0
    parts = gpu.host_frames(range(FRAMES), FRAMES - 1) if host else gpu.batches(range(FRAMES), FRAMES - 1)
    with pytest.raises(FormatError):
        for part in parts:
            frames += 1 if host else len(part)
    assert frames == 5
