# SPDX-License-Identifier: MIT
"""A .gsv stream -> frames in display order, from any frame on, at any time. Imports neither torch nor the encoder."""

import math
import os
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from threading import Lock
from typing import BinaryIO

import numpy as np

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import dequantise
from gscodec.format.gop import read_gop_header
from gscodec.format.limits import MAX_SIDE, Limits
from gscodec.kernels import registry
from gscodec_cli.decoder.reconstruct import GopRenderer, make_view
from gscodec_cli.decoder.timeline import Timeline
from gscodec_cli.errors import MediaError, UsageError

KEPT_GOPS = 3
KEPT_TIMES = 256  # GoPs whose time stamps are kept


class StreamDecoder:
    """Random access to the frames of one file. Memory: the index and a few GoPs, whatever the clip's length.

    `source` is a path, a seekable binary file or the bytes of a file; `size` (width, height) and `crop` (x, y, width,
    height; output pixels) choose what is drawn. Raises FormatError, LimitError, MediaError, UsageError, BackendError.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO | bytes,
        *,
        size: tuple[int, int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
        backend: str | None = None,
        threads: int = 0,
        limits: Limits | None = None,
    ) -> None:
        if threads < 0:
            raise UsageError(f"threads is {threads}, expected 0 (all cores) or more")
        if backend is not None:
            registry.select(backend)  # an engine that is asked for and not there is said before the file is read
        self.limits = limits or Limits()
        self.name = str(source) if isinstance(source, str | os.PathLike) else "stream"
        self.reader = _open(source, self.limits)
        self._gops: OrderedDict[int, GopRenderer] = OrderedDict()
        self._closer = weakref.finalize(self, self.reader.close)
        self.header = self.reader.header
        self.resize(size, crop)
        self._backend, self._threads = backend, threads
        self._lock = Lock()  # of the reader's file position
        self._pts: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        first_frames = [entry.first_frame for entry in self.reader.gop_table]
        self.timeline = Timeline(self.header, first_frames, self._pts_of_gop)

    @property
    def frame_count(self) -> int:
        """Frames in the file."""
        return self.header.frame_count

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return self.reader.size

    def resize(self, size: tuple[int, int] | None, crop: tuple[int, int, int, int] | None = None) -> None:
        """Draw at `size` (width, height; None for the coded size), and of that only `crop`, from now on.

        Raises UsageError for sides that no file has, more pixels than the limits allow or a crop outside the picture.
        """
        size = size or (self.header.width, self.header.height)
        if not all(1 <= side <= MAX_SIDE for side in size):
            raise UsageError(f"size is {size[0]}x{size[1]}, sides are 1 to {MAX_SIDE} pixels")
        _check_crop(crop, size)
        pixels = crop[2] * crop[3] if crop else size[0] * size[1]
        if pixels > self.limits.pixels:
            allowed = f"the limit is {self.limits.pixels}; raise it with --limit-pixels"
            raise UsageError(f"frames of {size[0]}x{size[1]} have {pixels} pixels, {allowed}")
        self.view = make_view(self.header, size, crop)
        self._gops.clear()

    def check_range(self, frames: tuple[int, int | None] | None) -> tuple[int, int]:
        """Resolve (A, B or None) against the file. Raises MediaError for frames that are not there."""
        start, stop = frames or (0, None)
        stop = self.frame_count if stop is None else stop
        if not 0 <= start < stop <= self.frame_count:
            there = f"{self.frame_count} frames (0:{self.frame_count})"
            raise MediaError(f"{self.name}: frames {start}:{stop} are outside the clip's {there}")
        return start, stop

    def verify(self) -> None:
        """Check every chunk and every GoP's header, also what drawing does not read. Raises FormatError."""
        self.reader.verify_headers()

    def _pts_of_gop(self, index: int) -> tuple[int, ...]:
        if index not in self._pts:
            with self._lock:
                chunk = self.reader.gop_chunk(index)
                payload = self.reader.payload(chunk, f"GoP {index}")
            header = read_gop_header(
                payload, self.header, self.limits, offset=chunk.payload_offset, chunk=f"GoP {index}"
            )
            self._remember_pts(index, header.pts)
        return self._pts[index]

    def _remember_pts(self, index: int, pts: tuple[int, ...] | None) -> None:
        if pts is not None:  # only files with irregular times store them
            self._pts[index] = pts
            while len(self._pts) > KEPT_TIMES:
                self._pts.popitem(last=False)

    def renderer(self, index: int) -> GopRenderer:
        """The renderer of GoP `index`; the last few are kept."""
        found = self._gops.get(index)
        if found is None:
            found = self._gops[index] = self._read(index)
        self._gops.move_to_end(index)
        while len(self._gops) > KEPT_GOPS:
            self._gops.popitem(last=False)
        return found

    def _read(self, index: int) -> GopRenderer:
        with self._lock:
            record = self.reader.read_gop(index)
        self._remember_pts(index, record.pts)
        return GopRenderer(
            dequantise(record, self.header),
            self.header,
            view=self.view,
            backend=self._backend,
            threads=self._threads,
            limits=self.limits,
        )

    def frame(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Draw frame `index` (0-based, display order): [height, width, 3] uint8 RGB."""
        return self.frame_at_position(index, out)

    def frame_at_position(self, position: Fraction | float, out: np.ndarray | None = None) -> np.ndarray:
        """Draw a position between frames; whole numbers are the frames."""
        gop = self._gop_of(position)
        return self.renderer(gop).render(self._inside(position, gop), out)

    def _gop_of(self, position: Fraction | float) -> int:
        """The GoP that draws `position`: that of the nearest frame, extended by at most half a frame at its ends."""
        nearest = math.floor(position + Fraction(1, 2))
        return self.reader.gop_of_frame(min(max(nearest, 0), self.frame_count - 1))

    def _inside(self, position: Fraction | float, gop: int) -> float:
        return float(position - self.reader.gop_table[gop].first_frame)

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Draw frames start..stop-1 in order; only their GoPs are read."""
        return self.positions(range(start, stop), stop - 1)

    def positions(self, positions: Iterable[Fraction | float], last: Fraction | float) -> Iterator[np.ndarray]:
        """Draw rising frame positions, the last of which is `last`; a thread reads the next GoP while one is drawn."""
        last_gop = self._gop_of(last)
        with ThreadPoolExecutor(1, "gop-reader") as pool:
            ahead: Future[GopRenderer] | None = None
            current = -1
            for position in positions:
                gop = self._gop_of(position)
                if gop != current:
                    if ahead is not None:
                        self._gops[current + 1] = ahead.result()
                    renderer, current = self.renderer(gop), gop
                    ahead = pool.submit(self._read, gop + 1) if gop < last_gop else None
                yield renderer.render(self._inside(position, gop))

    def close(self) -> None:
        """Close the file if the decoder opened it."""
        self._closer()


def _open(source: str | os.PathLike[str] | BinaryIO | bytes, limits: Limits) -> ContainerReader:
    try:
        return ContainerReader(source, limits)
    except OSError as error:
        name = source if isinstance(source, str | os.PathLike) else "stream"
        raise MediaError(f"{name}: cannot be read: {error.strerror or error}") from None


def _check_crop(crop: tuple[int, int, int, int] | None, size: tuple[int, int]) -> None:
    if crop is None:
        return
    x, y, width, height = crop
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > size[0] or y + height > size[1]:
        raise UsageError(f"crop {crop} is outside the picture of {size[0]}x{size[1]} pixels")
