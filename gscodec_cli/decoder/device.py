# SPDX-License-Identifier: MIT
"""Frames drawn on a GPU, many at once, as torch tensors or for the host. Imports torch when a decoder is made."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gscodec.format.errors import GsvError
from gscodec.kernels import registry
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.detail import home_position
from gscodec_cli.decoder.device_residual import DeviceResidual
from gscodec_cli.decoder.reconstruct import GopRenderer

MOST_FRAMES = 16  # in a batch
BATCH_BYTES = 1 << 29  # of the GPU's memory for the Gaussians and pictures of a batch, and as much for its pairs
SPLAT_BYTES, PAIR_BYTES = 76, 56  # of a Gaussian in a frame, without its field; of a pair while they are sorted
# Of a pixel of a frame; those of more than 8 bits, or with detail, residual or filter, are rounded in several steps.
PIXEL_BYTES, DEEP_PIXEL_BYTES = 3, 80
RESIDUAL_PIXEL_BYTES = 28  # of a pixel, for colours and what they are made of, while the residual is added
MOVED_BYTES = 36  # of a Gaussian in a frame, to draw how far it has gone for the detail
KEPT_GOPS = 3


class DeviceGop:
    """The Gaussians of one GoP in the GPU's memory."""

    def __init__(self, renderer: GopRenderer) -> None:
        """Copy what `renderer` draws; its engine must be `triton`."""
        from gscodec.kernels.triton.place import Moving
        from gscodec.kernels.triton.transfer import send

        self.renderer, self._device = renderer, registry.triton().default_device()
        gop, detail = renderer.moving, renderer.detail
        picture = None if detail is None else detail.picture
        of_each = gop.mean, gop.conic, gop.colour, gop.motion, gop.drift, gop.life
        arrays = *of_each, gop.matrix, renderer.background, picture
        sent = iter(send([array for array in arrays if array is not None], self._device))
        parts: Any = tuple(None if array is None else next(sent) for array in arrays)
        mean, conic, colour, motion, drift, life, matrix, self.background, self._picture = parts
        scale = float(gop.scale[0]), float(gop.scale[1])
        centre = (0.0, 0.0) if gop.camera is None else (float(gop.camera.centre[0]), float(gop.camera.centre[1]))
        over_time = motion, drift, life, gop.edge, renderer.distinct_count
        self._moving = Moving(mean, conic, colour, *over_time, scale, matrix, gop.normalised, centre)
        self._home = None  # means [N, 2] in the frame of the detail
        self._residual = None if renderer.residual is None else DeviceResidual(renderer.residual, self._device)
        self._filter = None if renderer.filter is None else send([renderer.filter], self._device)[0]
        if detail is not None and detail.moving:
            self._home = self.splats([home_position(renderer.distinct_count)], endless=True).mean

    @property
    def frames_that_fit(self) -> int:
        """Frames of a batch for which there is memory, at least one."""
        pixels = math.prod(self.renderer.canvas.shape)
        of_frame = pixels * (PIXEL_BYTES if self.renderer.in_one_step else DEEP_PIXEL_BYTES)
        if self._residual is not None:
            of_frame = max(of_frame, pixels * RESIDUAL_PIXEL_BYTES + self._residual.frame_bytes)
        of_frame += len(self.renderer.moving.mean) * (SPLAT_BYTES + MOVED_BYTES * (self.renderer.detail is not None))
        plan = self.renderer.moving.plan
        if plan is not None:
            of_frame += plan.device_plan.frame_bytes
        return max(1, BATCH_BYTES // of_frame)

    def splats(self, positions: Sequence[float], *, endless: bool = False) -> Any:
        """The Gaussians at frame positions inside the GoP, `gscodec.kernels.triton.splats.Splats` of as many frames.

        `endless`: also those whose windows are closed, with weights that say nothing.
        """
        from gscodec.kernels.triton.place import place
        from gscodec.kernels.triton.transfer import send

        plan, camera = self.renderer.moving.plan, self.renderer.moving.camera
        arrays = [np.array(positions, np.float32)]
        if camera is not None:
            arrays.append(np.stack([camera.at(position) for position in positions]))
        if plan is not None:
            arrays += plan.device_plan.inputs([(p + 0.5) / self.renderer.distinct_count for p in positions])
        when, *sent = send(arrays, self._device)
        maps = None if camera is None else sent.pop(0)
        moving = replace(self._moving, edge=math.inf) if endless else self._moving  # no time is far from their ends
        return place(moving, when, plan.device_plan.heads(*sent) if plan is not None else None, maps)

    def with_detail(self, splats: Any, bins: Any) -> Any:
        """Colours [B, 3, height, width] float32 of Gaussians in their bins with the detail, which the GoP must have."""
        import torch

        from gscodec.kernels.triton.detail import blend_detail
        from gscodec.kernels.triton.raster import rasterize

        detail, of_frame = self.renderer.detail, (len(splats.counts), splats.counts[0], 2)
        assert detail is not None
        drawn = rasterize(splats, bins)
        if detail.moving:
            gone = (splats.mean.view(of_frame) - self._home).view(-1, 2) * splats.feature[:, 3:]
            feature = torch.nn.functional.pad(torch.nan_to_num(gone, 0.0, 0.0, 0.0), (0, 1))
            moved = rasterize(replace(splats, feature=feature), bins)
        else:
            moved = torch.zeros_like(drawn[:, :2])
        blending = self.background, self.renderer.epsilon
        return blend_detail(drawn, moved, self._picture, *blending, detail.ratio, detail.corner)

    def colours(self, splats: Any, bins: Any, positions: Sequence[float]) -> Any:
        """Colours [B, 3, height, width] float32 of Gaussians in their bins at B positions, and all that is added."""
        from gscodec.kernels.triton.filter import filter_picture
        from gscodec.kernels.triton.raster import rasterize

        if self.renderer.detail is not None:
            found = self.with_detail(splats, bins)
        else:
            found = rasterize(splats, bins)
            if self.renderer.moving.normalised:
                found = _blended(found, self.background, self.renderer.epsilon)
        if self._residual is not None:
            self._residual.add(found, positions)
        if self._filter is None:
            return found
        rows, columns = self.renderer.view.inside(self.renderer.canvas)
        return filter_picture(found, self._filter)[..., rows, columns]

    def draw(self, splats: Any, bins: Any, positions: Sequence[float], out: Any) -> None:
        """Draw Gaussians in their bins at B positions into `out` [B, height, width, 3] uint8 or uint16."""
        from gscodec.kernels.triton.raster import render_rgb8

        if self.renderer.in_one_step:
            render_rgb8(splats, bins, self.background, self.renderer.epsilon, out)
        else:
            _round(self.colours(splats, bins, positions), out)

    def begin(self, positions: Sequence[float]) -> Batch:
        """Start to find out where the Gaussians are at frame positions inside the GoP; waits for nothing."""
        import torch

        from gscodec.kernels.triton.binning import boxes_of
        from gscodec.kernels.triton.transfer import fetch

        registry.select("triton")
        splats = self.splats(positions)
        boxes = boxes_of(splats.mean, splats.conic, splats.feature, self.renderer.canvas.shape)
        pairs = boxes.end[-1:] if len(boxes.end) else boxes.end.new_zeros(1)
        work = torch.cat([boxes.pixels.view(len(positions), splats.counts[0]).sum(1), pairs])
        return Batch(self, positions, splats, boxes, fetch(work))


@dataclass(frozen=True)
class Batch:
    """Frames of one GoP, of which is known, or will be once it arrives from the device, how much work they are."""

    gop: DeviceGop
    positions: Sequence[float]
    splats: Any
    boxes: Any
    work: Any  # `gscodec.kernels.triton.transfer.Fetched` of [B + 1] int64: covered pixels of each, pairs of all

    def __len__(self) -> int:
        return len(self.positions)

    def draw(self, out: Any) -> None:
        """Draw into `out` [B, height, width, 3], a tensor on the device.

        Waits until the work is known, before it is done. Raises LimitError, FormatError.
        """
        from gscodec.kernels.triton.binning import bin_pairs

        *work, room = self.work.wait().tolist()
        for drawn in work:
            self.gop.renderer.check_work(drawn)
        if len(work) > 1 and room * PAIR_BYTES > BATCH_BYTES:
            for part in (slice(0, len(work) // 2), slice(len(work) // 2, None)):
                self.gop.begin(self.positions[part]).draw(out[part])
            return
        splats, size = self.splats, self.gop.renderer.canvas.shape
        bins = bin_pairs(self.boxes, splats.mean, splats.conic, splats.counts, size, room)
        self.gop.draw(splats, bins, self.positions, out)


class DeviceDecoder:
    """Draws the frames of a `StreamDecoder`, whose engine must be `triton`, in batches."""

    def __init__(self, decoder: StreamDecoder, most_frames: int = 0) -> None:
        """Batches of at most `most_frames`, 0 for the usual number. Raises BackendError where there is no GPU."""
        import torch

        self._most_frames = most_frames or MOST_FRAMES
        self._torch, self._decoder = torch, decoder
        self._device = registry.triton().default_device()
        self._dtype = torch.uint8 if decoder.dtype is np.uint8 else torch.uint16
        self._gops: dict[int, DeviceGop] = {}  # by the identity of their renderers, which they hold on to

    def draw(self, positions: Sequence[Fraction | float]) -> Any:
        """[n, height, width, 3] uint8 or uint16 tensor on the device: frame positions in any order."""
        from gscodec.kernels.triton.transfer import send_indices

        order = sorted(range(len(positions)), key=lambda k: positions[k])
        out, begin = self._empty(len(positions)), 0
        for batch in self._begun(self._decoder.enter(positions[k]) for k in order):
            places = order[begin : begin + len(batch)]
            begin += len(batch)
            if places == list(range(places[0], places[0] + len(places))):
                batch.draw(out[places[0] : places[0] + len(places)])
                continue
            part = self._empty(len(places))
            batch.draw(part)
            rows, bytes_ = send_indices(places, self._device), self._torch.uint8  # torch puts no uint16 anywhere
            out.view(bytes_).index_copy_(0, rows, part.view(bytes_))
        return out

    def batches(self, positions: Iterable[Fraction | float], last: Fraction | float) -> Iterator[Any]:
        """Rising positions, the last of which is `last`: tensors [n, height, width, 3] on the device."""
        for batch in self._begun(self._decoder.entered(positions, last)):
            out = self._empty(len(batch))
            batch.draw(out)
            yield out

    def host_frames(self, positions: Iterable[Fraction | float], last: Fraction | float) -> Iterator[np.ndarray]:
        """Rising positions as numpy frames [height, width, 3]; while one batch is used, the next is drawn and sent."""
        from gscodec.kernels.triton.transfer import fetch

        sender = self._torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        for fetched in _behind(fetch(batch, sender) for batch in self.batches(positions, last)):
            yield from fetched.wait().numpy()

    def _begun(self, entered: Iterable[tuple[GopRenderer, float]]) -> Iterator[Batch]:
        """Batches to be drawn; while one is, the work of the next is found out, so that the GPU never waits for us."""
        batches = (gop.begin(inside) for gop, inside in self._batches(entered))
        # The next part of a stream may be a long time coming, and nothing could break off the wait.
        return batches if self._decoder.reader.sequential else _behind(batches)

    def _batches(self, entered: Iterable[tuple[GopRenderer, float]]) -> Iterator[tuple[DeviceGop, list[float]]]:
        gop: DeviceGop | None = None
        part: list[float] = []
        try:
            for renderer, inside in entered:
                if gop is not None and part and renderer is not gop.renderer:
                    yield gop, part
                    part = []
                gop = self._gop(renderer)
                part.append(inside)
                if len(part) == min(self._most_frames, gop.frames_that_fit):
                    yield gop, part
                    part = []
        except GsvError:  # damage: what comes before it is shown
            if gop is not None and part:
                yield gop, part
            raise
        if gop is not None and part:
            yield gop, part

    def _gop(self, renderer: GopRenderer) -> DeviceGop:
        found = self._gops.pop(id(renderer), None) or DeviceGop(renderer)
        self._gops[id(renderer)] = found  # the latest is last
        while len(self._gops) > KEPT_GOPS:
            self._gops.pop(next(iter(self._gops)))
        return found

    def _empty(self, count: int) -> Any:
        return self._torch.empty(count, *self._decoder.view.shape, 3, dtype=self._dtype, device=self._device)


def _behind(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, each given once the next has been made, or could not be for damage."""
    waiting: list[Any] = []
    try:
        for item in items:
            waiting.append(item)
            if len(waiting) > 1:
                yield waiting.pop(0)
    except GsvError:
        yield from waiting
        raise
    yield from waiting


def _blended(image: Any, background: Any, epsilon: float) -> Any:
    """Colours [B, 3, H, W] of sums [B, 4, H, W] under normalised blending."""
    return (image[:, :3] + epsilon * background[:, None, None]) / (image[:, 3:] + epsilon)


def _round(image: Any, out: Any) -> None:
    """Colours [B, 3, H, W] into `out` [B, H, W, 3] uint8 or uint16, full scale, as `GopRenderer` rounds them."""
    import torch

    white = 255 if out.dtype == torch.uint8 else 65535
    scaled = torch.nan_to_num(image.clamp(0, 1)) * white + 0.5
    out.copy_(scaled.to(torch.int32).permute(0, 2, 3, 1).to(out.dtype))
