# SPDX-License-Identifier: MIT
"""Frames drawn on a GPU, many at once, as torch tensors or for the host. Imports torch when a decoder is made."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from gscodec.kernels import registry
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.reconstruct import GopRenderer

MOST_FRAMES = 16  # in a batch
BATCH_PIXELS = 1 << 24  # in a batch, unless one frame has more
KEPT_GOPS = 3


class DeviceGop:
    """The Gaussians of one GoP in the GPU's memory."""

    def __init__(self, renderer: GopRenderer) -> None:
        """Copy what `renderer` has prepared; its engine must be `triton`."""
        from gscodec.kernels.triton.place import Moving

        self._renderer, self._prepared = renderer, renderer.prepared()
        gop = self._prepared
        arrays = gop.mean, gop.conic, gop.colour, gop.motion, gop.drift, gop.life
        matrix, self._background = _send(gop.matrix), _send(gop.background)
        scale = float(gop.scale[0]), float(gop.scale[1])
        centre = (0.0, 0.0) if gop.camera is None else (float(gop.camera.centre[0]), float(gop.camera.centre[1]))
        frames = renderer.frame_count
        mean, conic, colour, motion, drift, life = map(_send, arrays)
        parts = mean, conic, colour, motion, drift, life
        self._moving = Moving(*parts, gop.edge, frames, scale, matrix, gop.normalised, centre)

    def splats(self, positions: Sequence[float]) -> Any:
        """The Gaussians at frame positions inside the GoP, `gscodec.kernels.triton.splats.Splats` of as many frames."""
        import torch

        from gscodec.kernels.triton.place import place

        field, plan = None, self._prepared.plan
        if plan is not None:
            field = plan.device_plan.evaluate([(p + 0.5) / self._renderer.frame_count for p in positions])
        when = torch.tensor(positions, dtype=torch.float32).to(self._background.device)
        camera = self._prepared.camera
        maps = None if camera is None else _send(np.stack([camera.at(position) for position in positions]))
        return place(self._moving, when, field, maps)

    def draw(self, positions: Sequence[float], out: Any) -> None:
        """Draw frame positions inside the GoP into `out` [B, height, width, 3], a tensor on the device.

        Waits once for the device, to know the work before it is done. Raises LimitError, FormatError.
        """
        import torch

        from gscodec.kernels.triton.binning import bin_pairs, boxes_of
        from gscodec.kernels.triton.raster import rasterize, render_rgb8

        registry.select("triton")
        gop, size, splats = self._prepared, self._renderer.view.shape, self.splats(positions)
        boxes = boxes_of(splats.mean, splats.conic, splats.feature, size)
        pairs = boxes.end[-1:] if len(boxes.end) else boxes.end.new_zeros(1)
        *work, room = torch.cat([boxes.pixels.view(len(positions), splats.counts[0]).sum(1), pairs]).tolist()
        for drawn in work:
            self._renderer.check_work(drawn)
        bins = bin_pairs(boxes, splats.mean, splats.conic, splats.counts, size, room)
        if gop.deep:
            _round_deep(rasterize(splats, bins), self._background, gop, out)
        else:
            render_rgb8(splats, bins, self._background, gop.epsilon, out)


class DeviceDecoder:
    """Draws the frames of a `StreamDecoder`, whose engine must be `triton`, in batches."""

    def __init__(self, decoder: StreamDecoder) -> None:
        """Raises BackendError where there is no GPU."""
        import torch

        self._torch, self._decoder = torch, decoder
        self._device = registry.triton().default_device()
        self._dtype = torch.uint8 if decoder.dtype is np.uint8 else torch.uint16
        self._gops: dict[int, DeviceGop] = {}  # by the identity of their renderers, which they hold on to

    def draw(self, positions: Sequence[Fraction | float]) -> Any:
        """[n, height, width, 3] uint8 or uint16 tensor on the device: frame positions in any order."""
        order = sorted(range(len(positions)), key=lambda k: positions[k])
        out = self._empty(len(positions))
        entered = (self._decoder.enter(positions[k]) for k in order)
        begin = 0
        for gop, inside in self._batches(entered):
            places = order[begin : begin + len(inside)]
            begin += len(inside)
            if places == list(range(places[0], places[0] + len(places))):
                gop.draw(inside, out[places[0] : places[0] + len(places)])
                continue
            part = self._empty(len(places))
            gop.draw(inside, part)
            out[self._torch.tensor(places, device=self._device)] = part
        return out

    def batches(self, positions: Iterable[Fraction | float], last: Fraction | float) -> Iterator[Any]:
        """Rising positions, the last of which is `last`: tensors [n, height, width, 3] on the device."""
        for gop, inside in self._batches(self._decoder.entered(positions, last)):
            out = self._empty(len(inside))
            gop.draw(inside, out)
            yield out

    def host_frames(self, positions: Iterable[Fraction | float], last: Fraction | float) -> Iterator[np.ndarray]:
        """Rising positions as numpy frames [height, width, 3]; while one batch is used, the next is drawn and sent."""
        waiting: tuple[Any, Any] | None = None
        sender = self._torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        for batch in self.batches(positions, last):
            sent = self._send_home(batch, sender)
            if waiting is not None:
                yield from self._arrived(*waiting)
            waiting = sent
        if waiting is not None:
            yield from self._arrived(*waiting)

    def _send_home(self, batch: Any, sender: Any) -> tuple[Any, Any]:
        """Start copying a batch into page-locked memory on a stream of its own; returns it and when it is there."""
        if sender is None:
            return batch, None
        torch = self._torch
        target = torch.empty(batch.shape, dtype=batch.dtype, pin_memory=True)
        sender.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(sender):
            target.copy_(batch, non_blocking=True)
            batch.record_stream(sender)
            done = torch.cuda.Event()
            done.record(sender)
        return target, done

    @staticmethod
    def _arrived(batch: Any, done: Any) -> Iterator[np.ndarray]:
        if done is not None:
            done.synchronize()
        yield from batch.numpy()

    def _batches(self, entered: Iterable[tuple[GopRenderer, float]]) -> Iterator[tuple[DeviceGop, list[float]]]:
        most = max(1, min(MOST_FRAMES, BATCH_PIXELS // math.prod(self._decoder.view.shape)))
        for _, group in itertools.groupby(entered, key=lambda pair: id(pair[0])):
            while part := list(itertools.islice(group, most)):
                yield self._gop(part[0][0]), [inside for _, inside in part]

    def _gop(self, renderer: GopRenderer) -> DeviceGop:
        found = self._gops.pop(id(renderer), None) or DeviceGop(renderer)
        self._gops[id(renderer)] = found  # the latest is last
        while len(self._gops) > KEPT_GOPS:
            self._gops.pop(next(iter(self._gops)))
        return found

    def _empty(self, count: int) -> Any:
        return self._torch.empty(count, *self._decoder.view.shape, 3, dtype=self._dtype, device=self._device)


def _send(array: np.ndarray | None) -> Any:
    if array is None:
        return None
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32)).to(registry.triton().default_device())


def _round_deep(image: Any, background: Any, gop: Any, out: Any) -> None:
    """Sums [B, C, H, W] into `out` [B, H, W, 3] uint16, white 65535, as `GopRenderer` rounds them."""
    import torch

    if gop.normalised:
        image = (image[:, :3] + gop.epsilon * background[:, None, None]) / (image[:, 3:] + gop.epsilon)
    scaled = torch.nan_to_num(image.clamp(0, 1)) * 65535 + 0.5
    out.copy_(scaled.to(torch.int32).permute(0, 2, 3, 1).to(torch.uint16))
