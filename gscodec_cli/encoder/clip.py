# SPDX-License-Identifier: MIT
"""Which clip an encode reads, so that another process, another machine or a later run opens the very same frames.

Must not import torch or the verbs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

from gscodec_cli.errors import MediaError
from gscodec_cli.video.images import is_pattern, list_pictures
from gscodec_cli.video.reader import VideoSource, open_video

SAMPLES, SAMPLE_BYTES = 16, 1 << 16  # of every file, spread over it: a long clip is told apart without reading it all


@dataclass(frozen=True)
class ClipName:
    """Frames [first, stop) of the clip at an absolute path, scaled to `size` (width, height) where that is given."""

    path: str = field(compare=False)
    frames: tuple[int, int]
    size: tuple[int, int] | None
    content: str

    @classmethod
    def of(cls, source: VideoSource) -> ClipName:
        """The name of an open clip. Raises MediaError."""
        frames = (source.frames.start, source.frames.stop)
        return cls(str(Path(source.path).absolute()), frames, source.size, _content(source.path))

    def open(self) -> VideoSource:
        """Open the clip. MediaError if it is not the one that was named."""
        source = open_video(self.path, frames=self.frames, size=self.size)
        if ClipName.of(source) != self:
            raise MediaError(f"{self.path}: is not the clip that the encode began with")
        return source


def _content(path: str) -> str:
    """A digest of the lengths of a clip's files and of pieces of each."""
    several = is_pattern(path) or Path(path).is_dir()
    found = hashlib.sha256()
    try:
        for file in list_pictures(path) if several else [Path(path)]:
            size = file.stat().st_size
            found.update(size.to_bytes(8, "little"))
            with file.open("rb") as data:
                for place in sorted({i * max(0, size - SAMPLE_BYTES) // (SAMPLES - 1) for i in range(SAMPLES)}):
                    data.seek(place)
                    found.update(data.read(SAMPLE_BYTES))
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror})") from None
    return found.hexdigest()
