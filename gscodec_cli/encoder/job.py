# SPDX-License-Identifier: MIT
"""A GoP to be encoded: its frames, what it is predicted from, and what a training of it takes and gives as a file.

Everything is measured on the record that would be written. Must not import the verbs.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gscodec.format.dequant import dequantise
from gscodec.format.gop import write_gop
from gscodec.format.limits import LEVELS
from gscodec.format.records import DetailData, GopRecord, ResidualData, SequenceHeader
from gscodec.format.residual import residual_bytes
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.encoder.camera import Scene, scene_of
from gscodec_cli.encoder.carry import Reference
from gscodec_cli.encoder.compression import Compression
from gscodec_cli.encoder.export import export_gop
from gscodec_cli.encoder.home import tensor_of
from gscodec_cli.encoder.rate import Cost
from gscodec_cli.encoder.repeats import repeats_of
from gscodec_cli.encoder.tools import Tools
from gscodec_cli.encoder.trainer import Trainer
from gscodec_cli.metrics.psnr import psnr


@dataclass
class Job:
    """A GoP to be encoded.

    shown: its frames `span`, [F, H, W, 3] uint8 or uint16. pts: their times where the header has none. allowed: bits
    it may take, where bits are asked for. reference: what it is predicted from, if so. tools: that it may use.

    repeats: those of its frames that are not coded; pictures: [T, H, W, 3] the others.
    """

    header: SequenceHeader
    threads: int
    seed: int
    span: range
    shown: NDArray
    pts: tuple[int, ...] | None
    allowed: float | None
    reference: Reference | None
    tools: InitVar[Tools]
    repeats: tuple[int, ...] = field(init=False)
    pictures: NDArray = field(init=False)
    scene: Scene | None = field(init=False)  # how the picture moves, as far as that is known
    frames: Tensor = field(init=False)  # [T, 3, H, W] where they are trained
    _counted: tuple[ResidualData | None, int] = field(default=(None, 0), init=False)  # a residual and its bits

    def __post_init__(self, tools: Tools) -> None:
        self.repeats = repeats_of(self.shown) if tools.repeats else ()
        self.pictures = np.delete(self.shown, self.repeats, axis=0) if self.repeats else self.shown
        self.scene = scene_of(self.pictures, self._picture_before(), tools)
        self.frames = planes(self.pictures)
        # Before some of them go a GoP has more Gaussians than it will have, more than the level may hold.
        self._unbound = replace(self.header, level=max(LEVELS))

    def _picture_before(self) -> NDArray | None:
        """The last frame of the GoP before, decoded: where the camera of a predicted GoP goes on from."""
        return None if self.before is None else self.renderer(self.before).render(self.before.distinct_count - 1)

    @property
    def samples(self) -> int:
        """Pixels of all its pictures."""
        return self.pictures[..., 0].size

    @property
    def before(self) -> GopRecord | None:
        """The GoP that it is predicted from."""
        return self.reference.record if self.reference else None

    @property
    def detail_before(self) -> DetailData | None:
        """The detail of that GoP."""
        return self.before.detail if self.before else None

    def record(self, trainer: Trainer) -> GopRecord:
        """The GoP as it is trained now."""
        compression = trainer.compression or Compression(trainer.model, trainer.generator)
        camera = trainer.scene.camera if trainer.scene else None
        record = export_gop(compression, self.span.start, self.pts, self.before, camera)
        return replace(
            record,
            frame_count=len(self.shown),
            repeats=self.repeats,
            detail=trainer.detail,
            residual=trainer.residual,
            filter=trainer.filter,
        )

    def renderer(self, record: GopRecord) -> GopRenderer:
        """What draws a record of this clip."""
        return GopRenderer(dequantise(record), self.header, threads=self.threads)

    def cost(self, trainer: Trainer) -> Cost:
        """What the GoP takes as it is trained now."""
        record = replace(self.record(trainer), residual=None)
        _, bits = write_gop(record, self._unbound, self.before)
        more = self._residual_bits(trainer.residual)
        return Cost(bits.total + more, bits.fixed + more, trainer.model.load)

    def _residual_bits(self, residual: ResidualData | None) -> int:
        """Bits of a residual. Those of the last one are kept: a GoP is counted often while its residual stays."""
        if residual is None:
            return 0
        if residual is not self._counted[0]:
            self._counted = residual, 8 * residual_bytes(self.header, len(self.pictures), residual)
        return self._counted[1]

    def psnr(self, trainer: Trainer) -> float:
        """PSNR of the GoP as it is trained now, in dB: the mean of its decoded frames'."""
        return float(np.mean(self.psnrs(self.record(trainer))))

    def psnrs(self, record: GopRecord) -> list[float]:
        """PSNR of each decoded frame of a record of this GoP, in dB."""
        renderer, found = self.renderer(record), list[float]()
        for number, picture in enumerate(self.shown):
            if number not in self.repeats:
                drawn = renderer.render(renderer.position(number))
            found.append(psnr(drawn, picture))
        return found


def planes(pictures: NDArray) -> Tensor:
    """Pictures [T, H, W, 3] as frames [T, 3, H, W] where they are trained."""
    return tensor_of(pictures).permute(0, 3, 1, 2).contiguous()
