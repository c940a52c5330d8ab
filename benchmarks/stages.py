# SPDX-License-Identifier: MIT
"""The stages that `engines.py` times: the same inputs for every engine, and what each stage costs at the least."""

from __future__ import annotations

import itertools
import sys
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from common import cpu_name

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' synthetic files

from gscodec import kernels
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.device import DeviceDecoder
from tests.decoder.synthetic import PAPER_FIELD, make_file, make_header

Call = Callable[[], object]
PAIRS = 10.25  # Gaussians that touch a pixel: what a trained frame of Bunny has
HIDDEN, FREQUENCIES = 128, 6
ONCE = ("bits of mixtures", "optimiser", "one frame")  # whatever the number of frames
BATCHES, IN_A_ROW = 4, ("batches in a row", "batches to the host")


@dataclass(frozen=True)
class Stage:
    """A call that does `frames` frames, and what one frame cannot do without: bytes moved, float operations."""

    name: str
    call: Call
    frames: int
    bytes: float
    operations: float


@dataclass(frozen=True)
class Inputs:
    """Made-up Gaussians, field and pictures of one size."""

    width: int
    height: int
    count: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}, {self.count} Gaussians"

    @cached_property
    def splats(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean, conic, feature of Gaussians whose supports hold PAIRS pixels per pixel of the frame."""
        rng = np.random.default_rng(1)
        mean = (rng.random((self.count, 2)) * [self.width, self.height]).astype(np.float32)
        shape = rng.normal(0, [0.4, 0.5, 0.4], (self.count, 3))
        chol = np.stack([np.exp(shape[:, 0]), shape[:, 1], np.exp(shape[:, 2])], 1)
        area = 2 * kernels.constants.CUTOFF * np.pi * float((chol[:, 0] * chol[:, 2]).sum())
        chol *= np.sqrt(1.02 * self.pairs / area)  # about 2 % lies outside the frame
        return mean, kernels.chol_to_conic(chol).astype(np.float32), rng.random((self.count, 3), np.float32) * 0.1

    @property
    def pixels(self) -> int:
        """Of a frame."""
        return self.width * self.height

    @property
    def pairs(self) -> float:
        """Pixels that Gaussians touch, all together."""
        return PAIRS * self.pixels

    @cached_property
    def field(self) -> kernels.FieldWeights:
        """The field of the profile stgv, with random weights."""
        rng = np.random.default_rng(2)
        grid2, grid3 = kernels.HashGeometry.growing(2, 2, 10, 8), kernels.HashGeometry.growing(3, 4, 10, 8)

        def normal(*shape: int) -> np.ndarray:
            return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

        layers = normal(HIDDEN, 60), normal(HIDDEN), normal(HIDDEN, HIDDEN), normal(HIDDEN)
        heads = normal(2, HIDDEN), normal(2), normal(3, HIDDEN), normal(3)
        tables = normal(grid2.total_entries, 2), normal(grid3.total_entries, 4)
        return kernels.FieldWeights(*layers, *heads, grid2, tables[0], grid3, tables[1], (0.9375,) * 3, FREQUENCIES)

    @cached_property
    def points(self) -> np.ndarray:
        """[N, 3] coordinates in 0..1."""
        return np.random.default_rng(3).random((self.count, 3), np.float32)

    def normal(self, *shape: int) -> np.ndarray:
        """Random numbers, as gradients are."""
        return np.random.default_rng(4).standard_normal(shape, np.float32)

    def clip(self, frames: int) -> bytes:
        """A file of one GoP with the paper's field."""
        header = make_header(self.width, self.height, frames, level=2, profile=0, max_gop_frames=frames)
        spread = 0.5 * np.log(self.pairs / self.count / (9 * np.pi)) - 0.25
        options = {"log_extent": (spread, 0.5), "gain": 0.1, "field_layout": PAPER_FIELD}
        return make_file(header, self.count, ("field",), **options)


class Stages(ABC):
    """What both kinds of engines share: the list of stages with their least costs."""

    def __init__(self, inputs: Inputs, name: str, device: str, frames: int) -> None:
        self.inputs, self.name, self.device, self.frames = inputs, name, device, frames

    @abstractmethod
    def calls(self) -> Iterator[tuple[str, Call]]:
        """Names of stages, as `least_cost` has them, and their calls."""

    def wait(self) -> None:  # noqa: B027
        """Until everything that was called is done."""

    @abstractmethod
    def peaks(self) -> tuple[Call, float, Call, float]:
        """A copy and the bytes it moves, a float32 matrix product and its operations."""

    def all(self) -> Iterator[Stage]:
        """The stages, one after the other."""
        counts = dict.fromkeys(ONCE, 1) | dict.fromkeys(IN_A_ROW, BATCHES * self.frames)
        for name, call in self.calls():
            yield Stage(name, call, counts.get(name, self.frames), *least_cost(name, self.inputs))


def least_cost(name: str, inputs: Inputs) -> tuple[float, float]:
    """(bytes, operations) that one frame of a stage needs, whoever does it."""
    count, pixels, pairs, field = inputs.count, inputs.pixels, inputs.pairs, inputs.field
    grid2, grid3 = field.geometry2, field.geometry3
    network = 2.0 * count * (HIDDEN * field.input_count + HIDDEN * HIDDEN + 5 * HIDDEN)
    hashed = 2.0 * count * (grid2.width * 4 + grid3.width * 8)
    look_up = 2.0 * count * grid3.width * 8
    splat = 32.0 * count  # mean, conic, feature
    forward, backward = 20.0 * pairs, 46.0 * pairs  # operations of the inner loops, an exponential counted as four
    costs = {
        "binning": (splat, 60.0 * count),
        "rasterise forward": (splat + 12 * pixels, forward),
        "rasterise backward": (2 * splat + 12 * pixels, backward),
        "render rgb8": (splat + 3 * pixels, forward),
        "loss and gradient": (2 * splat + 3 * pixels, forward + backward),
        "hash 3D forward": (count * (12 + 4 * grid3.width), look_up),
        "hash 3D backward": (count * (12 + 4 * grid3.width), look_up),
        "field train forward": (count * 28.0, network + hashed),
        "field train backward": (count * 28.0, 2 * (network + hashed)),
        "field evaluate": (count * (28.0 + 4 * HIDDEN), network - 2.0 * count * HIDDEN * grid2.width + look_up),
        "windows and motion": (count * 88.0, 40.0 * count),
        "bits of mixtures": (count * 24.0, 300.0 * count),
        "optimiser": (28.0 * 8 * count, 12.0 * 8 * count),
        "transfer to host": (3.0 * pixels, 0.0),
        "whole frame": (splat + 3 * pixels, network + forward),
    }
    costs |= dict.fromkeys(("one frame", *IN_A_ROW), costs["whole frame"])
    return costs[name]


class CpuStages(Stages):
    """The engine `cpu`."""

    def __init__(self, inputs: Inputs, threads: int) -> None:
        super().__init__(inputs, "cpu", cpu_name(), 1)
        self.options = {"threads": threads, "backend": "cpu"}

    def peaks(self) -> tuple[Call, float, Call, float]:
        source, target = np.ones(1 << 24, np.float32), np.empty(1 << 24, np.float32)
        side = np.ones((2048, 2048), np.float32)
        return lambda: np.copyto(target, source), 2.0 * source.nbytes, lambda: side @ side, 2.0 * 2048**3

    def calls(self) -> Iterator[tuple[str, Call]]:
        inputs, options, splats = self.inputs, self.options, self.inputs.splats
        size, weights = (inputs.height, inputs.width), inputs.field
        grad = inputs.normal(3, *size)
        target, background = np.zeros((3, *size), np.uint8), np.zeros(3, np.float32)
        yield "rasterise forward", lambda: kernels.rasterize(*splats, size, **options)
        yield "rasterise backward", lambda: kernels.rasterize_backward(*splats, grad, **options)
        yield "render rgb8", lambda: kernels.render_rgb8(*splats, size, **options)
        yield "loss and gradient", lambda: kernels.splat_loss(*splats, background, target, **options)
        points, grid, table = inputs.points, weights.geometry3, weights.table3
        slopes, heads = inputs.normal(inputs.count, grid.width), inputs.normal(inputs.count, 5)
        yield "hash 3D forward", lambda: kernels.hash_encode(points, table, grid, **options)
        yield "hash 3D backward", lambda: kernels.hash_encode_backward(points, table, grid, slopes, **options)
        xy, dmean, dcolour = points[:, :2].copy(), heads[:, :2].copy(), heads[:, 2:].copy()
        yield "field train forward", lambda: kernels.field_forward(weights, xy, 0.4, **options)
        yield "field train backward", lambda: kernels.field_backward(weights, xy, 0.4, dmean, dcolour, **options)
        plan = kernels.FieldPlan(weights, xy, **options)
        yield "field evaluate", lambda: plan.evaluate(0.4, threads=self.options["threads"])
        mixture = inputs.normal(3, 3), inputs.normal(3, 3), inputs.normal(3, 3)
        yield "bits of mixtures", lambda: kernels.mixture_bits(points, np.ones(3), *mixture, **options)
        params = inputs.normal(8 * inputs.count)
        adam = kernels.Adam([params], [1e-3], **options)
        yield "optimiser", lambda: adam.step([params])
        decoder = StreamDecoder(inputs.clip(10), backend="cpu", threads=self.options["threads"])
        numbers = itertools.cycle(range(10))
        yield "whole frame", lambda: decoder.frame(next(numbers))


class GpuStages(Stages):
    """The engine `triton`: tensors that stay on the device, several frames per call."""

    def __init__(self, inputs: Inputs, batch: int) -> None:
        import torch

        self.torch, self.home = torch, kernels.registry.triton().default_device()
        on_gpu = self.home.type == "cuda"
        device = torch.cuda.get_device_name(self.home) if on_gpu else f"interpreter on {cpu_name()}"
        kernels.registry.select("triton")
        super().__init__(inputs, "triton", device, batch)

    def wait(self) -> None:
        if self.home.type == "cuda":
            self.torch.cuda.synchronize(self.home)

    def send(self, *arrays: np.ndarray) -> list[Any]:
        """The arrays as tensors on the device."""
        return [self.torch.from_numpy(np.ascontiguousarray(array)).to(self.home) for array in arrays]

    def batch(self, array: np.ndarray) -> Any:
        """One array for every frame of the batch."""
        return self.send(array)[0].expand(self.frames, *array.shape).contiguous()

    def peaks(self) -> tuple[Call, float, Call, float]:
        large, side = (1 << 28, 8192) if self.home.type == "cuda" else (1 << 22, 256)
        source = self.torch.ones(large, device=self.home)
        target, square = self.torch.empty_like(source), self.torch.ones(side, side, device=self.home)
        return lambda: target.copy_(source), 8.0 * large, lambda: square @ square, 2.0 * side**3

    def calls(self) -> Iterator[tuple[str, Call]]:
        yield from self.drawing()
        yield from self.fields()
        yield from self.training()
        yield from self.decoding()
        yield "transfer to host", self.transfer()

    def decoding(self) -> Iterator[tuple[str, Call]]:
        """Frames as a decoder draws them: a batch, one alone, batches one after the other, and those to the host."""
        count = BATCHES * self.frames
        decoder = DeviceDecoder(StreamDecoder(self.inputs.clip(count), backend="triton"), self.frames)
        numbers = itertools.cycle(range(count))
        yield "whole frame", lambda: decoder.draw(range(self.frames))
        yield "one frame", lambda: decoder.draw([next(numbers)])
        yield "batches in a row", lambda: deque(decoder.batches(range(count), count - 1), 0)
        yield "batches to the host", lambda: deque(decoder.host_frames(range(count), count - 1), 0)

    def drawing(self) -> Iterator[tuple[str, Call]]:
        """Binning, drawing and its gradients."""
        from gscodec.kernels.triton import raster, splats

        batch = splats.Splats.of(*map(self.batch, self.inputs.splats))
        size = (self.inputs.height, self.inputs.width)
        room = int(splats.bin_splats(batch, size).total)
        bins = splats.bin_splats(batch, size, room)
        grad, background = self.batch(self.inputs.normal(3, *size)), self.torch.zeros(3, device=self.home)
        target = self.batch(np.zeros((3, *size), np.uint8))
        yield "binning", lambda: splats.bin_splats(batch, size, room)
        yield "rasterise forward", lambda: raster.rasterize(batch, bins)
        yield "rasterise backward", lambda: raster.rasterize_backward(batch, bins, grad)
        yield "render rgb8", lambda: raster.render_rgb8(batch, bins)
        yield "loss and gradient", lambda: raster.splat_loss(batch, bins, background, target)

    def fields(self) -> Iterator[tuple[str, Call]]:
        """Hash encoding, the field, windows and motion."""
        from gscodec.kernels.triton import field, hashing, place

        inputs, weights = self.inputs, self.inputs.field
        xy, table = self.send(inputs.points[:, :2], weights.table3)
        grid, times = weights.geometry3, self.torch.linspace(0, 1, self.frames, device=self.home)
        (slopes,) = self.send(inputs.normal(self.frames * inputs.count, grid.width))
        yield "hash 3D forward", lambda: hashing.hash_encode(xy, table, grid, times)
        yield "hash 3D backward", lambda: hashing.hash_encode_backward(xy, table, grid, slopes, times)
        model = field.Field.of(weights, self.home)
        seen = field.field_forward(model, xy, times)[1]
        (dheads,) = self.send(inputs.normal(self.frames, inputs.count, 5))
        yield "field train forward", lambda: field.field_forward(model, xy, times)
        yield "field train backward", lambda: field.field_backward(model, seen, dheads)
        plan = field.FieldPlan(model, xy)
        when = [k / max(1, self.frames - 1) for k in range(self.frames)]
        yield "field evaluate", lambda: plan.evaluate(when)
        mean, conic, colour, matrix = self.send(*inputs.splats, np.eye(3, dtype=np.float32))
        motion, life = self.send(inputs.normal(inputs.count, 2, 2), np.tile(np.float32([-2, 99, 5]), (inputs.count, 1)))
        moving = place.Moving(mean, conic, colour, motion, None, life, 1.5, 10, (1.0, 1.0), matrix, True)
        moved = plan.evaluate(when)
        yield "windows and motion", lambda: place.place(moving, times * 9, moved)

    def training(self) -> Iterator[tuple[str, Call]]:
        """What a step does besides."""
        from gscodec.kernels.triton import mixture, optimiser

        inputs = self.inputs
        x, *parts = self.send(inputs.points, *(inputs.normal(3, 3) for _ in range(3)))
        step = self.torch.ones(3, device=self.home)
        adam = self.send(*(np.abs(inputs.normal(8 * inputs.count)) for _ in range(4)))
        yield "bits of mixtures", lambda: mixture.mixture_bits(x, step, *parts)
        yield "optimiser", lambda: optimiser.adam_step(*adam, 1e-3, 0.9, 0.99, 1e-15, 10)

    def transfer(self) -> Call:
        """A batch of 8-bit frames into page-locked memory."""
        shape = self.frames, self.inputs.height, self.inputs.width, 3
        pinned = self.home.type == "cuda"
        there = self.torch.zeros(shape, dtype=self.torch.uint8, device=self.home)
        here = self.torch.empty(shape, dtype=self.torch.uint8, pin_memory=pinned)
        return lambda: here.copy_(there, non_blocking=True)
