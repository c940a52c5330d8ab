# SPDX-License-Identifier: MIT
"""What every writer of a clip shares: the clip's format, the options, the life of the target file. Imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from gscodec.format.picture import CHROMA_FORMATS, PictureMetadata
from gscodec.format.streams import PacketRecord, StreamInfo
from gscodec.format.tags import Tags
from gscodec_cli.output import OutputFile
from gscodec_cli.video.info import NOMINAL_RATE

DEFAULT_CRF = 12.0


@dataclass(frozen=True)
class ClipFormat:
    """What a clip to be written looks like.

    Colour fields are H.273 code points to tag the output with; `matrix_coefficients` 0 or 2 and `full_range` 2 are
    resolved by the writer. `frame_duration` is in ticks of `time_base` seconds, 0 when irregular. `frame_count` is
    exact. Frames are uint16 where `bit_depth` is more than 8. `picture` has the orientation, chroma format and HDR
    metadata to restore, `streams` describes the packets that will come, `tags` are those of the file.
    """

    width: int
    height: int
    frame_count: int
    time_base: Fraction
    frame_duration: int
    sar: Fraction = Fraction(1)
    colour_primaries: int = 2
    transfer_characteristics: int = 2
    matrix_coefficients: int = 2
    full_range: int = 2
    bit_depth: int = 8
    picture: PictureMetadata = field(default_factory=PictureMetadata)
    streams: tuple[StreamInfo, ...] = ()
    tags: Tags = field(default_factory=Tags)

    @property
    def chroma(self) -> str:
        """Chroma format of the source: 420, 422, 444, or another word."""
        return CHROMA_FORMATS[self.picture.source_chroma_format].replace(":", "")

    @property
    def rate(self) -> Fraction:
        """Nominal frames per second, in numbers that fit anywhere; 25 for irregular times."""
        if not self.frame_duration:
            return NOMINAL_RATE
        rate = (1 / (self.frame_duration * self.time_base)).limit_denominator(1_000_000)
        return rate if 0 < rate <= 1_000_000 else NOMINAL_RATE


@dataclass(frozen=True)
class WriteOptions:
    """How to write: `crf` 0..51 of x264 or x265, `lossless` RGB, `pixel_format` of these and y4m (None chooses)."""

    crf: float = DEFAULT_CRF
    lossless: bool = False
    pixel_format: str | None = None
    threads: int = 0
    overwrite: bool = False
    source: Path | None = None
    first_number: int = 0


class FrameWriter(ABC):
    """Takes frames in display order; the target appears when the block ends without an error."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    @abstractmethod
    def write(self, rgb: np.ndarray, pts: int, duration: int) -> None:
        """Write one frame [H, W, 3] shown at `pts` for `duration` ticks; the array must not change afterwards."""

    def write_packets(self, packets: Sequence[PacketRecord]) -> None:  # noqa: B027
        """Write packets of the clip's `streams`, before the frames of their time. Left out by files without sound."""


class FileWriter(FrameWriter):
    """Base of the writers of one file: `begin`, then `write` per frame, then `end` or, after a failure, `abandon`."""

    def __init__(self, target: str, options: WriteOptions) -> None:
        self.output = OutputFile(target, overwrite=options.overwrite, source=options.source)

    def __enter__(self) -> Self:
        self.output.__enter__()
        try:
            self.begin(self.output.file)
        except BaseException:
            self.output.discard()
            raise
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            try:
                self.end()
            except BaseException as failure:
                self.output.__exit__(type(failure), failure, None)
                raise
            self.output.__exit__(None, None, None)
            return
        try:
            self.abandon()
        finally:
            self.output.__exit__(kind, error, None)

    def begin(self, file: BinaryIO) -> None:
        """Write what comes before the first frame."""

    def end(self) -> None:
        """Write what comes after the last frame."""

    def abandon(self) -> None:
        """Release what is held when the block failed; never raises."""
