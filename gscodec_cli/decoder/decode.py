# SPDX-License-Identifier: MIT
"""A .gsv stream -> frames in display order, from any frame on, at any time. Imports neither torch nor the encoder."""

import math
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from functools import cached_property
from threading import Lock

import numpy as np

from gscodec.format.dequant import dequantise
from gscodec.format.errors import FormatError
from gscodec.format.limits import MAX_SIDE, Limits
from gscodec.format.media import Media, read_media, read_packets
from gscodec.format.streams import PacketRecord
from gscodec.kernels import registry
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.source import Source, name_of, open_source
from gscodec_cli.decoder.timeline import Timeline
from gscodec_cli.decoder.view import make_view
from gscodec_cli.errors import MediaError, UsageError
from gscodec_cli.interrupts import stop_if_interrupted

KEPT_GOPS = 3
KEPT_TIMES = 256  # GoPs whose time stamps are kept
_NOTHING = "no GoP is whole, so there is nothing to show"


class StreamDecoder:
    """Random access to the frames of one file. Memory: the index and a few GoPs, whatever the clip's length.

    `source` is anything that `open_source` takes; `size` (width, height) and `crop` (x, y, width, height; output
    pixels) choose what is drawn. `keep_going`: damage is passed over, and a missing frame shows the last frame before
    it, or where there is none the first after it. A stream that is read front to back gives its frames in order only.
    Raises FormatError, LimitError, MediaError, UsageError, BackendError.
    """

    def __init__(
        self,
        source: Source,
        *,
        size: tuple[int, int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
        backend: str | None = None,
        threads: int = 0,
        limits: Limits | None = None,
        keep_going: bool = False,
    ) -> None:
        if threads < 0:
            raise UsageError(f"threads is {threads}, expected 0 (all cores) or more")
        if backend is not None:
            registry.select(backend)  # an engine that is asked for and not there is said before the file is read
        self.limits, self._keep_going = limits or Limits(), keep_going
        self.name = name_of(source)
        self.reader = open_source(source, self.limits, keep_going=keep_going)
        self._gops: OrderedDict[int, GopRenderer] = OrderedDict()
        self._closer = weakref.finalize(self, self.reader.close)
        self.header = self.reader.header
        self.resize(size, crop)
        self._backend, self._threads = backend, threads
        self._lock = Lock()  # of the reader's file position
        self._pts: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self.timeline = Timeline(self.header, self._stored_pts, self._last_duration)

    @property
    def frame_count(self) -> int:
        """Frames in the file."""
        return self.header.frame_count

    @property
    def file_bytes(self) -> int:
        """Size of the file."""
        return self.reader.size

    @property
    def counted_bytes(self) -> int:
        """Size of the file without sound and subtitles: what bpp is about."""
        return self.reader.size - self.reader.media_bytes

    @property
    def dtype(self) -> type[np.unsignedinteger]:
        """Type of the samples of a frame: uint8, or uint16 (white is 65535) for files of more than 8 bits."""
        return np.uint8 if self.header.bit_depth == 8 else np.uint16

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

    def last_left(self, start: int, stop: int) -> int:
        """Where to stop instead of `stop` in a damaged file: what is missing at the end is left out.

        Raises MediaError if nothing is left.
        """
        end = self.reader.end_frame
        if not self.reader.gop_count:
            raise MediaError(f"{self.name}: {_NOTHING}")
        if start >= end:
            raise MediaError(f"{self.name}: frames {start}:{stop} are missing, the last whole GoP ends at frame {end}")
        return min(stop, end)

    def verify(self) -> None:
        """Check every chunk and every GoP's header, also what drawing does not read, where that can be done ahead.

        Raises FormatError.
        """
        self.reader.verify_headers()

    @cached_property
    def media(self) -> Media:
        """The picture's metadata and the streams beside it. Raises FormatError, LimitError."""
        with self._lock:
            try:
                return read_media(self.reader)
            except FormatError:
                if not self._keep_going:
                    raise
                return Media()

    def packets(self, index: int) -> list[PacketRecord]:
        """The packets of `media.streams` before GoP `index`, or after the last one. Raises FormatError, LimitError."""
        count = len(self.media.streams)
        with self._lock:
            try:
                return read_packets(self.reader, index, count)
            except FormatError:
                if not self._keep_going:
                    raise
                return []

    def _last_duration(self) -> int:
        return self.media.picture.last_frame_duration if self.media.picture else 0

    def _stored_pts(self, frame: int) -> int:
        """Time stamp of `frame` in a file of irregular times; spread evenly over frames that are missing."""
        index = self.reader.gop_of_frame(frame)
        if not self.reader.gop_count:
            return self.header.start_pts
        entry = self.reader.gop_table[index]
        if entry.first_frame <= frame < entry.end_frame:
            return self._pts_of_gop(index)[frame - entry.first_frame]
        known = frame >= entry.end_frame
        before = (entry.end_frame - 1, self._pts_of_gop(index)[-1]) if known else (0, self.header.start_pts)
        if index + known >= self.reader.gop_count:
            return before[1] + frame - before[0]
        after = self.reader.gop_table[index + known].first_frame, self._pts_of_gop(index + known)[0]
        return before[1] + (after[1] - before[1]) * (frame - before[0]) // (after[0] - before[0])

    def _pts_of_gop(self, index: int) -> tuple[int, ...]:
        if index not in self._pts:
            with self._lock:
                header = self.reader.gop_header(index)
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
            dequantise(record),
            self.header,
            view=self.view,
            backend=self._backend,
            threads=self._threads,
            limits=self.limits,
        )

    def frame(self, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Draw frame `index` (0-based, display order): [height, width, 3] RGB of type `dtype`."""
        return self.frame_at_position(index, out)

    def frame_at_position(self, position: Fraction | float, out: np.ndarray | None = None) -> np.ndarray:
        """Draw a position between frames; whole numbers are the frames."""
        renderer, inside = self.enter(position)
        return renderer.render(inside, out)

    def enter(self, position: Fraction | float) -> tuple[GopRenderer, float]:
        """The renderer of the GoP that draws `position`, and the position inside it."""
        gop = self._gop_of(position)
        renderer = self.renderer(gop)
        return renderer, self._inside(position, gop, renderer)

    def _nearest(self, position: Fraction | float) -> int:
        return min(max(math.floor(position + Fraction(1, 2)), 0), self.frame_count - 1)

    def _gop_of(self, position: Fraction | float) -> int:
        """The GoP that draws `position`: that of the nearest frame, extended by at most half a frame at its ends."""
        gop = self.reader.gop_of_frame(self._nearest(position))
        if not self.reader.gop_count:
            raise MediaError(f"{self.name}: {_NOTHING}")
        return gop

    def _inside(self, position: Fraction | float, gop: int, renderer: GopRenderer) -> float:
        """The position in distinct frames of the GoP; its last frame for one that is missing behind it."""
        entry, nearest = self.reader.gop_table[gop], self._nearest(position)
        if nearest < entry.first_frame:
            return 0.0
        inside = (position if nearest < entry.end_frame else entry.end_frame - 1) - entry.first_frame
        return renderer.position(float(inside))

    def frames(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Draw frames start..stop-1 in order; only their GoPs are read."""
        return self.positions(range(start, stop), stop - 1)

    def positions(self, positions: Iterable[Fraction | float], last: Fraction | float) -> Iterator[np.ndarray]:
        """Draw rising frame positions, the last of which is `last`; a thread reads the next GoP while one is drawn.

        Ends where the last whole GoP of a damaged file or stream does.
        """
        before, picture = None, None
        for renderer, inside in self.entered(positions, last):
            if picture is not None and before == (renderer, inside):  # a repeat
                picture = picture.copy()
            else:
                before, picture = (renderer, inside), renderer.render(inside)
            yield picture

    def entered(
        self, positions: Iterable[Fraction | float], last: Fraction | float
    ) -> Iterator[tuple[GopRenderer, float]]:
        """For each of `positions`, as that method takes them, the renderer of its GoP and the position inside it."""
        pool = ThreadPoolExecutor(1, "gop-reader")
        try:
            ahead: Future[GopRenderer] | None = None
            current = -1
            for position in positions:
                stop_if_interrupted()
                gop = self._gop_of(position)
                if self._nearest(position) >= self.reader.end_frame:
                    return
                if gop != current:
                    if ahead is not None:
                        self._gops[current + 1] = ahead.result()
                    renderer, current = self.renderer(gop), gop
                    ahead = pool.submit(self._read, gop + 1) if self._is_next_wanted(gop, last) else None
                yield renderer, self._inside(position, gop, renderer)
        finally:  # waits for nothing: what is given up may end here while its thread needs a lock that we hold
            pool.shutdown(wait=False, cancel_futures=True)

    def _is_next_wanted(self, gop: int, last: Fraction | float) -> bool:
        """Whether to read GoP `gop` + 1 ahead. Never from a stream: nothing could break off the wait for its bytes."""
        if self.reader.sequential or gop + 1 >= self.reader.gop_count:
            return False
        return self.reader.gop_table[gop + 1].first_frame <= self._nearest(last)

    def close(self) -> None:
        """Close the file if the decoder opened it."""
        self._closer()


def _check_crop(crop: tuple[int, int, int, int] | None, size: tuple[int, int]) -> None:
    if crop is None:
        return
    x, y, width, height = crop
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > size[0] or y + height > size[1]:
        raise UsageError(f"crop {crop} is outside the picture of {size[0]}x{size[1]} pixels")
