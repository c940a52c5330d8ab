# SPDX-License-Identifier: MIT
"""A first look at a clip before anything is trained: where its scenes are cut, and how the bits should be shared.

x264 answers both: it begins a scene with a key frame, and at a constant quality its bits per picture say what each
stretch of the clip needs. Must not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from gscodec_cli.video.reader import VideoSource

CRF = 26.0
LONGEST_SIDE = 640  # px; larger pictures are surveyed at a fraction of their size
# Power of x264's bits per frame with which ours go: PSNR is a logarithm, which a share of any GoP's bits raises as
# much, and x264 needs next to nothing for what stays as it is, our Gaussians do (docs/decisions/019).
NEED_POWER = 0.3
X264 = (
    "keyint=infinite:min-keyint=8:scenecut=40:threads=1:bframes=0"
    # Without headers no text in which x264 names its settings, longer than a small picture, is in the first packet.
    ":repeat-headers=0"
    # Its macroblock tree for AVX-512 reads beyond narrow pictures, where anything may lie: sizes change now and then.
    ":cpu-independent=1"
)


@dataclass(frozen=True)
class Survey:
    """Bits x264 spent on every frame at a constant quality, and the frames that begin a scene (0 is one)."""

    bits: tuple[int, ...]
    scenes: tuple[int, ...]

    def novelty(self, span: range) -> float:
        """Bits of the frames `span` against the most that a picture of their scene took before them.

        That is the one that begins the scene, unless it is dark or blurred.
        """
        begin = max(scene for scene in self.scenes if scene <= span.start)
        return sum(self.bits[i] for i in span) / max(1, *self.bits[begin : max(span.start, begin + 1)])

    def weights(self, spans: Sequence[range]) -> list[float]:
        """Share of the bits, summing to 1, that each stretch of frames should have."""
        length = np.array([len(span) for span in spans], float)
        need = np.array([max(1, sum(self.bits[i] for i in span)) for span in spans]) / length
        bits = length * need**NEED_POWER
        shares: list[float] = (bits / bits.sum()).tolist()
        return shares


def survey(source: VideoSource, bpp: float | None, starts: Sequence[int] = ()) -> Survey:
    """Encode the clip with x264, in one thread so that the same clip gives the same answer everywhere.

    `starts`: frames that must begin anew, as those do that begin a GoP of ours. Near `bpp` bits per pixel where given.
    """
    found = _encode(source, CRF, starts)
    spent = sum(found.bits) / (len(source) * math.prod(_size(source)))
    if bpp is None or 0.7 < spent / bpp < 1.4:
        return found
    # Six steps of the quantiser halve or double the bits; a share need not be exact.
    return _encode(source, min(45.0, max(14.0, CRF + 6 * math.log2(spent / bpp))), starts)


def _size(source: VideoSource) -> tuple[int, int]:
    """(width, height) surveyed: even, at most LONGEST_SIDE, at least 16."""
    scale = min(1.0, LONGEST_SIDE / max(source.info.width, source.info.height))
    return tuple(max(16, round(side * scale / 2) * 2) for side in (source.info.width, source.info.height))  # type: ignore[return-value]


def _encode(source: VideoSource, crf: float, starts: Sequence[int]) -> Survey:
    coder = av.CodecContext.create("libx264", "w")
    width, height = _size(source)
    coder.width, coder.height, coder.pix_fmt = width, height, "yuv420p"
    coder.framerate = Fraction(25)
    coder.options = {
        "preset": "veryfast",
        "crf": f"{crf:.1f}",
        "forced-idr": "1",
        "x264-params": X264,
    }
    forced = frozenset(starts)
    bits, scenes = [], []
    for index, packet in enumerate(_packets(coder, source, (width, height), forced)):
        bits.append(8 * packet.size)
        if packet.is_keyframe and index not in forced:
            scenes.append(index)
    return Survey(tuple(bits), tuple(sorted({0, *scenes})))


def _packets(
    coder: av.VideoCodecContext, source: VideoSource, size: tuple[int, int], forced: frozenset[int]
) -> Iterator[av.Packet]:
    for index, (rgb, _) in enumerate(source):
        frame = av.VideoFrame.from_ndarray(_eight_bits(rgb), format="rgb24").reformat(*size, format="yuv420p")
        frame.pts = index
        frame.pict_type = av.video.frame.PictureType.I if index in forced else av.video.frame.PictureType.NONE
        yield from coder.encode(frame)
    yield from coder.encode(None)


def _eight_bits(rgb: np.ndarray) -> np.ndarray:
    return rgb if rgb.dtype == np.uint8 else (rgb >> 8).astype(np.uint8)
