# SPDX-License-Identifier: MIT
"""Frames drawn by the GPU engine, in batches, are those of the CPU; in Triton's interpreter without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gscodec import kernels
from gscodec.format.container import ContainerReader
from gscodec.format.dequant import GopParameters, ResidualParameters, dequantise
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.limits import Limits
from gscodec.format.records import ResidualData, SequenceHeader
from gscodec.kernels import Engine, backends
from gscodec_cli import VideoDecoder
from gscodec_cli.decoder.device import DeviceGop
from gscodec_cli.decoder.device_residual import DeviceResidual
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.residual import Residual
from gscodec_cli.decoder.view import YCC_TO_RGB, View, make_view
from tests.conformance.generate import FOLDER, MANIFEST
from tests.conformance.pictures import errors, exact_frame
from tests.decoder.synthetic import make_file, make_gop, make_header, make_residual

GPU = next(backend for backend in backends() if backend.name == "triton")
pytestmark = pytest.mark.skipif(not GPU.available, reason=f"the GPU engine cannot run: {GPU.reason}")
GSV = str(Path(sys.executable).with_name("gsv"))
BLENDING = "normalised", "detail", "residual"
ALL_TOOLS = ("motion", "drift", "window", "log", "ycc", "energy", "field", "camera", *BLENDING)


@pytest.fixture
def proof():
    """Fails where another engine than the GPU's ran."""
    kernels.registry.remember(Engine("none"))
    yield
    assert kernels.last_engine() == Engine("triton", GPU.isa[0])


def clip(*tools: str, frames: int = 13, **header: int) -> bytes:
    """A small file of two GoPs."""
    return make_file(make_header(33, 21, frames, **header), 40, tools)


@pytest.mark.usefixtures("proof")
@pytest.mark.parametrize(
    "tools", [(), ALL_TOOLS, ("field",), ("camera",)], ids=["plain", "all tools", "field", "camera"]
)
def test_frames_are_those_of_the_cpu(tools):
    import torch

    data = clip(*tools)
    order = [12, 0, 11, 3, 9, 10, 3]
    with VideoDecoder(data, output="numpy") as cpu:
        expected, half = cpu.get_frames_at(order).data.astype(int), cpu.get_frame_between(2.5)
    with VideoDecoder(data, device="cuda") as gpu:
        found = gpu.get_frames_at(order).data
        assert isinstance(found, torch.Tensor)
        assert found.is_cuda == (GPU.isa[0] == "cuda")
        assert found.dtype == torch.uint8
        assert np.abs(found.cpu().numpy() - expected).max() <= 1
        np.testing.assert_array_equal(gpu[9].cpu(), found[4].cpu())
        between = gpu.get_frame_between(2.5).cpu().numpy().astype(int)
        assert np.abs(between - half).max() <= 1


@pytest.mark.usefixtures("proof")
def test_a_whole_clip_in_order_and_part_of_the_picture():
    data, options = (
        clip("window", "motion", "camera"),
        {"size": (50, 40), "crop": (7, 5, 21, 18), "dimension_order": "NHWC"},
    )
    expected = list(VideoDecoder(data, output="numpy", **options))
    frames = list(VideoDecoder(data, device="cuda", output="numpy", **options))
    assert len(frames) == 13
    assert all(isinstance(frame, np.ndarray) and frame.shape == (18, 21, 3) for frame in frames)
    assert max(np.abs(a.astype(int) - b).max() for a, b in zip(frames, expected, strict=True)) <= 1


@pytest.mark.usefixtures("proof")
def test_frames_of_more_than_eight_bits():
    data = clip("normalised", "window", frames=3, bit_depth=10)  # with detail: test_detail.py
    order = [2, 0, 1]
    with VideoDecoder(data, output="numpy") as cpu, VideoDecoder(data, device="cuda", output="numpy") as gpu:
        for expected, found in ((cpu[:], gpu[:]), (cpu.get_frames_at(order).data, gpu.get_frames_at(order).data)):
            assert found.dtype == np.uint16
            assert np.abs(found.astype(int) - expected).max() <= 65535 * 2**-14


@pytest.mark.parametrize(
    "name",
    [
        "tiny.gsv",
        "empty_and_one.gsv",
        "lives.gsv",
        "drift.gsv",
        "shaken.gsv",
        "detailed.gsv",
        "residual_blocks.gsv",
        "filtered.gsv",
        "repeated.gsv",
    ],
)
def test_pictures_stay_within_the_bounds_of_the_specification(name):
    from gscodec.kernels.triton.splats import bin_splats

    reader, entry = ContainerReader((FOLDER / name).read_bytes()), json.loads(MANIFEST.read_text())["files"][name]
    for index, gop in enumerate(entry["gops"]):
        params = dequantise(reader.read_gop(index))
        device = DeviceGop(GopRenderer(params, reader.header, backend="triton"))
        positions = list(map(params.position, range(params.frame_count)))
        splats = device.splats(positions)
        bins = bin_splats(splats, (reader.header.height, reader.header.width))
        images = np.clip(device.colours(splats, bins, positions).cpu().numpy().astype(np.float64), 0, 1)
        for image, position, bound in zip(images, positions, gop["frames"], strict=True):
            peak, rms = errors(image.transpose(1, 2, 0), exact_frame(params, reader.header, position))
            assert peak <= bound["peak"]
            assert rms <= bound["rms"]


def gop_with_residual(tools: tuple[str, ...], bit_depth: int) -> tuple[GopParameters, SequenceHeader]:
    """Nine frames in five groups, of which the second and the last have no coefficients."""
    header = make_header(33, 21, 9, bit_depth=bit_depth)
    made = make_residual(np.random.default_rng(5), header, 9, frames=2)
    of_group = 3 * 5 * 64 * 2  # blocks of 33 x 21 pixels, frames of a group
    kept = [index // of_group != 1 for index in made.index]
    parts = [[part[there] for part, there in zip(p, kept, strict=True)] for p in (made.index, made.values)]
    record = replace(make_gop(header, 0, 9, 30, tools=tools), residual=ResidualData(2, made.steps, *map(tuple, parts)))
    return dequantise(record), header


def drawn_together(params: GopParameters, header: SequenceHeader, positions: list[float], view: View) -> np.ndarray:
    """Frames of one batch on the device."""
    import torch

    device, dtype = kernels.registry.triton().default_device(), torch.uint8 if header.bit_depth == 8 else torch.uint16
    out = torch.empty(len(positions), *view.shape, 3, dtype=dtype, device=device)
    DeviceGop(GopRenderer(params, header, view=view, backend="triton")).begin(positions).draw(out)
    return out.cpu().numpy()


@pytest.mark.parametrize(
    ("tools", "bit_depth", "size", "crop"),
    [
        ((), 8, None, None),
        (("normalised",), 10, (50, 40), (7, 5, 21, 18)),
        (("motion", "normalised", "detail"), 8, None, (3, 4, 30, 17)),
        (("normalised", "still detail"), 8, (33, 9), None),
        (("motion",), 10, (20, 21), None),
    ],
    ids=["sums", "part of a larger picture, 10 bits", "part, detail", "lower, still detail", "narrower, 10 bits"],
)
def test_a_residual_in_one_batch_of_several_groups(tools, bit_depth, size, crop):
    params, header = gop_with_residual(tools, bit_depth)
    view, positions = make_view(header, size, crop), [-0.5, 0, 1, 1.25, 2, 2.75, 3.5, 4, 5, 6, 7, 7.5, 8, 8.5]
    reference = GopRenderer(params, header, view=view, backend="reference")
    expected = np.stack([reference.render(position) for position in positions]).astype(int)
    found = drawn_together(params, header, positions, view)
    assert np.abs(found - expected).max() <= (1 if bit_depth == 8 else 65535 * 2**-13)
    bare = drawn_together(replace(params, residual=None), header, positions, view).astype(int)
    white = 255 if bit_depth == 8 else 65535
    for position, difference in zip(positions, np.abs(found - bare), strict=True):
        empty = 1.5 <= position < 3.5 or position >= 7.5  # the second group and the last
        assert difference.max() == 0 if empty else difference.max() > white / 10


def test_a_residual_of_more_places_than_float32_has_integers():
    import torch

    side, count, nothing = 2400, 300 * 300, np.zeros(0, np.int64)
    values = np.random.default_rng(3).normal(0, 1, count).astype(np.float32)  # of the first frequency across
    parts = (np.arange(count) * 64 + 1, nothing, nothing), (values, nothing, nothing)
    view = (side, side), (side, side), (0, 0, side, side)
    residual = Residual(ResidualParameters(1, *parts), 1, YCC_TO_RGB, *view, np.float32)
    colours = torch.zeros(1, 3, side, side, device=kernels.registry.triton().default_device())
    DeviceResidual(residual, colours.device).add(colours, [0])
    assert np.abs(colours[0].cpu().numpy() - residual.at(0)).max() < 1e-6


@pytest.mark.usefixtures("proof")
def test_a_gop_without_gaussians():
    data = (FOLDER / "empty_and_one.gsv").read_bytes()
    expected = VideoDecoder(data, output="numpy")[:].astype(int)
    assert np.abs(VideoDecoder(data, device="cuda", output="numpy")[:] - expected).max() <= 1


def test_work_is_checked_before_it_is_done():
    gpu = VideoDecoder(clip(), device="cuda", limits=Limits(covered_pixels=1000))
    with pytest.raises(LimitError, match="covered"):
        gpu[0]
    with pytest.raises(FormatError) as caught:
        VideoDecoder((FOLDER / "x_C-6.5-16.gsv").read_bytes(), device="cuda")[0]
    assert caught.value.code == "C-6.5-16"


def run_cli(*arguments: str, interpret: bool) -> subprocess.CompletedProcess[str]:
    """`gsv` in a process of its own, without a GPU to be seen."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "TRITON_INTERPRET": str(int(interpret))}
    return subprocess.run([GSV, *arguments], capture_output=True, text=True, env=environment, check=False, timeout=120)


def test_the_command_draws_on_the_device_it_is_told(tmp_path):
    source = tmp_path / "clip.gsv"
    source.write_bytes(clip("motion", frames=3))
    result = run_cli("decode", str(source), "-o", str(tmp_path / "gpu.npy"), "--device", "cuda", interpret=True)
    assert result.returncode == 0, result.stderr
    assert "on the GPU" in result.stderr
    assert run_cli("decode", str(source), "-o", str(tmp_path / "cpu.npy"), interpret=True).returncode == 0
    assert np.abs(np.load(tmp_path / "gpu.npy").astype(int) - np.load(tmp_path / "cpu.npy")).max() <= 1


def test_the_engines_are_listed_with_what_they_run_on_or_lack():
    lines = run_cli("info", "--engines", interpret=True).stdout.splitlines()
    assert "triton     ready  interpreter" in lines
    assert lines[-1].startswith("tinycudann ")
    missing = next(
        line for line in run_cli("info", "--engines", interpret=False).stdout.splitlines() if "triton" in line
    )
    assert missing.startswith("triton     not available: ")
    assert "GPU" in missing or "driver" in missing


def test_a_device_that_is_not_there(tmp_path):
    source = tmp_path / "clip.gsv"
    source.write_bytes(clip(frames=3))
    result = run_cli("decode", str(source), "-o", str(tmp_path / "a.npy"), "--device", "cuda", interpret=False)
    assert result.returncode == 4
    assert result.stderr.count("\n") == 1
    assert "GPU" in result.stderr or "driver" in result.stderr
    result = run_cli("decode", str(source), "-o", str(tmp_path / "a.npy"), "--device", "auto", interpret=False)
    assert result.returncode == 0
    assert result.stderr.count("drawing on the CPU: ") == 1
