# SPDX-License-Identifier: MIT
"""`VideoDecoder`: frames of a .gsv file as arrays, as torchcodec's class of that name. Imports torch only if asked.

decoder = VideoDecoder("clip.gsv")
decoder[0], decoder[-1], decoder[10:20:2], len(decoder), decoder.metadata
decoder.get_frame_played_at(1.5).data
"""

import operator
import os
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, BinaryIO, Literal, Self

import numpy as np

from gscodec.format.faults import Fault
from gscodec.format.limits import Limits
from gscodec.format.records import PROFILES
from gscodec.kernels import BackendError, registry
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.device import DeviceDecoder
from gscodec_cli.decoder.frames import Frame, FrameBatch, VideoMetadata
from gscodec_cli.errors import BackendMissingError, UsageError

Output = Literal["auto", "numpy", "torch"]


class VideoDecoder:
    """Any frame of a .gsv file, in any order, at any size, as an array.

    source: path, seekable binary file or bytes. size: (width, height) the picture is drawn at (not resampled), the
    coded size by default. crop: (x, y, width, height) in pixels of that picture. dimension_order: `NCHW` as torchcodec,
    or `NHWC`. device: `cpu`; `cuda`, which draws frames in batches and leaves them in the GPU's memory as torch
    tensors, unless output is `numpy`; `auto`, the GPU where there is one. threads: 0 for all cores. output: `torch`
    tensors, `numpy` arrays, or `auto`: torch if the program has imported it. backend: a kernel engine, in place of
    device. limits: what a file may ask for. keep_going: open also what is damaged or unfinished. `missing_frames` and
    `faults` then say what is lost; a missing frame shows the last one before it, at the beginning the first one after
    it, and the clip ends with its last frame that is whole.

    Memory does not depend on the length of the clip. Not safe for several threads at once; open one decoder in each.
    Raises FormatError, LimitError, MediaError, UsageError, BackendError, BackendMissingError.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | BinaryIO | bytes,
        *,
        size: tuple[int, int] | None = None,
        crop: tuple[int, int, int, int] | None = None,
        dimension_order: Literal["NCHW", "NHWC"] = "NCHW",
        device: str = "cpu",
        threads: int = 0,
        output: Output = "auto",
        backend: str | None = None,
        limits: Limits | None = None,
        keep_going: bool = False,
    ) -> None:
        if device != "cpu" and backend is not None:
            raise UsageError(f"device={device!r}, backend={backend!r}: use one of them")
        on_device = _backend_of(device)
        if dimension_order not in ("NCHW", "NHWC"):
            raise UsageError(f"dimension_order is {dimension_order!r}, expected 'NCHW' or 'NHWC'")
        self._torch = _torch_module("torch" if on_device and output == "auto" else output)
        self._channels_first = dimension_order == "NCHW"
        engine = on_device or backend
        drawn: dict[str, Any] = {"size": size, "crop": crop, "backend": engine, "threads": threads}
        self._decoder = StreamDecoder(source, **drawn, limits=limits, keep_going=keep_going)
        count = self._decoder.frame_count
        self._count = self._decoder.last_left(0, count) if keep_going else count
        self._gpu = DeviceDecoder(self._decoder) if on_device else None
        self._timeline = self._decoder.timeline

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, key: int | slice) -> Any:
        """Frame data of an index (negative counts from the end) or a batch for a slice."""
        if isinstance(key, slice):
            return self._batch(range(*key.indices(len(self))))
        return self._data(self._index(key))

    def __iter__(self) -> Iterator[Any]:
        """Frame data in display order; the next GoP is read while one is drawn."""
        if self._gpu:
            for batch in self._gpu.batches(range(len(self)), len(self) - 1):
                yield from self._from_gpu(batch)
            return
        for rgb in self._decoder.frames(0, len(self)):
            yield self._wrap(self._ordered(rgb))

    def get_frame_at(self, index: int) -> Frame:
        """The frame with this index; negative ones count from the end. Raises IndexError."""
        index = self._index(index)
        duration = float(self._timeline.duration(index) * self._timeline.time_base)
        return Frame(self._data(index), self._timeline.seconds(index), duration)

    def get_frames_at(self, indices: Sequence[int]) -> FrameBatch:
        """The frames with these indices, in the order given; each GoP is read once. Raises IndexError."""
        return self._frame_batch([self._index(index) for index in indices])

    def get_frames_in_range(self, start: int, stop: int, step: int = 1) -> FrameBatch:
        """Frames start, start + step, ... before stop, as `range` counts. Raises IndexError, UsageError."""
        if step < 1:
            raise UsageError(f"step is {step}, expected at least 1")
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"frames {start}:{stop} are outside the clip's {len(self)} frames")
        return self._frame_batch(range(start, stop, step))

    def get_frame_played_at(self, seconds: float) -> Frame:
        """The frame on screen at `seconds` of the clip's own time. Raises IndexError outside the clip."""
        return self.get_frame_at(self._played_at(seconds))

    def get_frames_played_at(self, seconds: Sequence[float]) -> FrameBatch:
        """The frames on screen at these times. Raises IndexError outside the clip."""
        return self._frame_batch([self._played_at(s) for s in seconds])

    def get_frames_played_in_range(self, start_seconds: float, stop_seconds: float) -> FrameBatch:
        """The frames on screen at some time in start <= t < stop. Raises IndexError outside the clip."""
        if stop_seconds < start_seconds:
            raise UsageError(f"stop_seconds {stop_seconds} is before start_seconds {start_seconds}")
        if stop_seconds == start_seconds:
            return self._frame_batch([])
        first = self._played_at(start_seconds)
        if stop_seconds > float(self._end):
            raise IndexError(f"{stop_seconds} s is after the clip's end at {float(self._end)} s")
        last = self._timeline.frame_at(stop_seconds)
        return self._frame_batch(range(first, last + (self._timeline.seconds(last) < stop_seconds)))

    def get_frame_between(self, position: float) -> Any:
        """Data of the picture at a position between frames: 2.5 lies halfway from frame 2 to 3. Raises IndexError."""
        if not 0 <= position <= len(self) - 1:
            raise IndexError(f"position {position} is outside 0..{len(self) - 1}")
        if self._gpu:
            return self._from_gpu(self._gpu.draw([position]))[0]
        return self._wrap(self._ordered(self._decoder.frame_at_position(position)))

    @property
    def missing_frames(self) -> tuple[range, ...]:
        """The frames that damage has cost, in display order, those after the last whole one included."""
        return tuple(range(*span) for span in self._decoder.reader.missing())

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every damaged place of a file opened with keep_going; `str` of one is a line such as `gsv verify` prints."""
        return tuple(getattr(self._decoder.reader, "faults", ()))

    @property
    def metadata(self) -> VideoMetadata:
        """Properties of the clip."""
        header, view, line = self._decoder.header, self._decoder.view, self._timeline
        seconds = self._end - line.begin
        bits, counted = 8 * self._decoder.file_bytes, 8 * self._decoder.counted_bytes
        return VideoMetadata(
            width=view.crop[2],
            height=view.crop[3],
            coded_width=header.width,
            coded_height=header.height,
            num_frames=len(self),
            begin_stream_seconds=float(line.begin),
            end_stream_seconds=float(self._end),
            duration_seconds=float(seconds),
            average_fps=float(len(self) / seconds) if len(self) > 1 or header.frame_duration else None,
            pixel_aspect_ratio=Fraction(header.sar_num, header.sar_den),
            bit_rate=bits / float(seconds),
            bits_per_pixel=counted / (len(self) * header.width * header.height),
            codec="gsv",
            profile=PROFILES[header.profile],
            num_gops=self._decoder.reader.gop_count,
            colour_primaries=header.colour_primaries,
            transfer_characteristics=header.transfer_characteristics,
            matrix_coefficients=header.matrix_coefficients,
            full_range=header.full_range,
        )

    def close(self) -> None:
        """Close the file; the decoder cannot be used afterwards."""
        self._decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def _end(self) -> Fraction:
        """Seconds at which the last frame that is there ends."""
        return self._timeline.pts(len(self)) * self._timeline.time_base

    def _index(self, index: int) -> int:
        index = operator.index(index)
        if not -len(self) <= index < len(self):
            raise IndexError(f"frame {index} is outside the clip's {len(self)} frames")
        return index % len(self)

    def _played_at(self, seconds: float) -> int:
        begin, end = float(self._timeline.begin), float(self._end)
        if not begin <= seconds < end:
            raise IndexError(f"{seconds} s is outside the clip, which is shown from {begin} s to before {end} s")
        return self._timeline.frame_at(seconds)

    def _ordered(self, rgb: np.ndarray) -> np.ndarray:
        """Frames [..., H, W, 3] in the asked order; a view, nothing is copied."""
        return np.moveaxis(rgb, -1, -3) if self._channels_first else rgb

    def _from_gpu(self, batch: Any) -> Any:
        """A batch [N, H, W, 3] on the device in the asked order, there or as a numpy array."""
        ordered = batch.permute(0, 3, 1, 2) if self._channels_first else batch
        return ordered if self._torch is not None else ordered.cpu().numpy()

    def _data(self, index: int) -> Any:
        if self._gpu:
            return self._from_gpu(self._gpu.draw([index]))[0]
        return self._wrap(self._ordered(self._decoder.frame(index)))

    def _wrap(self, array: np.ndarray) -> Any:
        return array if self._torch is None else self._torch.from_numpy(array)

    def _batch(self, indices: Sequence[int]) -> Any:
        """Data of several frames in the order given, drawn in display order so that each GoP is read once."""
        if self._gpu:
            return self._from_gpu(self._gpu.draw(list(indices)))
        data = np.empty((len(indices), *self._decoder.view.shape, 3), self._decoder.dtype)
        for place in sorted(range(len(indices)), key=lambda k: indices[k]):
            self._decoder.frame(indices[place], data[place])
        return self._wrap(self._ordered(data))

    def _frame_batch(self, indices: Sequence[int]) -> FrameBatch:
        base = self._timeline.time_base
        pts = np.array([self._timeline.seconds(i) for i in indices], np.float64)
        duration = np.array([float(self._timeline.duration(i) * base) for i in indices], np.float64)
        return FrameBatch(self._batch(indices), self._wrap(pts), self._wrap(duration))


def _backend_of(device: str) -> str | None:
    try:
        backend, why = registry.backend_of_device(device)
    except BackendError as error:
        raise BackendMissingError(f"device={device!r}: {error}") from None
    if why:
        registry.tell_once(f"drawing on the CPU: {why}")
    return backend


def _torch_module(output: str) -> Any:
    """The torch module where tensors are wanted, else None."""
    if output not in ("auto", "numpy", "torch"):
        raise UsageError(f"output is {output!r}, expected 'auto', 'numpy' or 'torch'")
    if output == "numpy":
        return None
    if output == "auto":
        return sys.modules.get("torch")
    try:
        import torch
    except ImportError:
        raise BackendMissingError("output='torch' needs torch: install gscodec[encode]") from None
    return torch
