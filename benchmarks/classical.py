# SPDX-License-Identifier: MIT
"""x264, x265 and SVT-AV1 on the frames that gsv gets, through PyAV's encoders. Knows no tables and no options of ours.

RGB becomes yuv420p and comes back by the accurate Lanczos conversion of gscodec_cli.video, in the clip's own matrix.
What is counted is the elementary stream without the lines in which an encoder names itself and its settings. One
thread: no encoder then gives up quality for speed, and a row does not depend on the machine's cores.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from benchmarks.clips import Clip
from benchmarks.points import CurveName, Point, Table, make_point
from gscodec_cli.video.colour import to_rgb

os.environ.setdefault("SVT_LOG", "1")  # errors only; read when the library first encodes
NO_TEXT = "filter_units=remove_types=6"  # SEI (ITU-T H.264 table 7-1): at our settings only x264's text about itself


@dataclass(frozen=True)
class Codec:
    """An encoder at its usual setting. `crfs` go from the lowest rate to the highest."""

    encoder: str
    decoder: str
    preset: str
    crfs: tuple[int, ...]
    options: dict[str, str] = field(default_factory=dict)


CODECS = {
    "x264": Codec("libx264", "h264", "medium", tuple(range(50, 9, -4))),
    "x265": Codec(
        "libx265",
        "hevc",
        "medium",
        tuple(range(48, 7, -4)),
        {"x265-params": "log-level=none:info=0:pools=1:frame-threads=1"},
    ),
    "svt-av1": Codec("libsvtav1", "libdav1d", "6", tuple(range(62, 3, -6)), {"svtav1-params": "lp=1"}),
}


def curve_name(clip: Clip, codec: str, keyint: int) -> CurveName:
    """The curve of a codec on a clip, with at most `keyint` frames between key frames."""
    return CurveName(clip.name, clip.span, codec, f"--preset {CODECS[codec].preset} --keyint {keyint}")


def complete(table: Table, clip: Clip, codec: str, keyint: int, rates: list[float], again: bool) -> Iterator[Point]:
    """Add the points that make a codec's curve enclose `rates` (bpp); yields each one as it is measured.

    Of the points below the lowest rate the nearest is kept, and of those above the highest.
    """
    curve = curve_name(clip, codec, keyint)
    found = {} if again else {crf: table.find(curve, f"--crf {crf}") for crf in CODECS[codec].crfs}
    known = {crf: point for crf, point in found.items() if point and clip.knows(point)}
    below = [crf for crf, point in known.items() if point.bpp <= min(rates)]
    start = CODECS[codec].crfs.index(below[-1]) if below else 0
    waiting: Encode | None = None
    for crf in CODECS[codec].crfs[start:]:
        item = known.get(crf) or Encode(clip, curve, crf)
        encode, bpp = item if isinstance(item, Encode) else None, item.bpp
        if encode and bpp <= min(rates):
            waiting = encode
            continue
        yield from (table.add(new.measure()) for new in (waiting, encode) if new)
        waiting = None
        if bpp >= max(rates):
            return
    if waiting:
        yield table.add(waiting.measure())


class Encode:
    """One encode of a clip: made at once, measured when asked."""

    def __init__(self, clip: Clip, curve: CurveName, crf: int) -> None:
        self.clip, self.curve, self.crf = clip, curve, crf
        self.codec = CODECS[curve.codec]
        began = time.monotonic(), time.process_time()
        self.packets = list(self._packets(clip.frames_420))
        self.spent = time.monotonic() - began[0], time.process_time() - began[1]
        self.bytes = sum(packet.size for packet in self.packets)
        self.bpp = 8 * self.bytes / np.prod(clip.shape)

    def measure(self) -> Point:
        """Decode the packets and compare."""
        found = self.clip.distortion(self._decoded())
        return make_point(self.curve, f"--crf {self.crf}", self.clip.shape, self.bytes, found, self.spent)

    def _packets(self, frames: list[av.VideoFrame]) -> Iterator[av.Packet]:
        encoder = av.CodecContext.create(self.codec.encoder, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        _, encoder.height, encoder.width = self.clip.shape
        encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", self.clip.rate, 1 / self.clip.rate
        encoder.gop_size, encoder.thread_count = self.curve.keyint, 1
        encoder.options = {"crf": str(self.crf), "preset": self.codec.preset, **self.codec.options}
        packets = chain.from_iterable(encoder.encode(frame) for frame in [*frames, None])
        if self.codec.decoder != "h264":
            return packets
        text = av.BitStreamFilterContext(NO_TEXT, self.codec.decoder)
        return chain.from_iterable(text.filter(packet) for packet in [*packets, None])

    def _decoded(self) -> Iterator[np.ndarray]:
        decoder, reformatter = av.CodecContext.create(self.codec.decoder, "r"), VideoReformatter()
        assert isinstance(decoder, av.VideoCodecContext)
        for packet in [*self.packets, None]:
            for frame in decoder.decode(packet):
                yield to_rgb(frame, reformatter, self.clip.matrix, 0, None)
