# SPDX-License-Identifier: MIT
"""Parameters of one GoP and a frame position -> pixels (SPEC 7). Imports neither torch nor the encoder.

Numbers are float32 for the fast engine. With the engine `reference` everything stays in float64: that path defines the
picture.
"""

import math

import numpy as np

from gscodec.format.dequant import GopParameters
from gscodec.format.errors import Place
from gscodec.format.gop import GAUSSIAN_BYTES
from gscodec.format.limits import Limits
from gscodec.format.records import SequenceHeader
from gscodec.format.validate import covered_pixels_in_level
from gscodec.kernels import (
    Gaussians2D,
    covered_pixels,
    filter_picture,
    rasterize,
    reference,
    reference_filter,
    registry,
    render_rgb8,
)
from gscodec.kernels.reference_filter import REACH
from gscodec_cli.decoder.detail import Detail
from gscodec_cli.decoder.moving import MovingGaussians
from gscodec_cli.decoder.residual import Residual
from gscodec_cli.decoder.view import YCC_TO_RGB, View, make_view

FILTER_BYTES = 40  # of a drawn pixel, while it goes through the filter
DETAIL_BYTES = 48  # of a coded pixel, while the detail is made: symbols, coefficients, the picture
RESIDUAL_BYTES, VALUE_BYTES = 140, 90  # of a coded pixel, while a residual is drawn; of a coefficient other than 0
MOVED_BYTES = 12  # of a drawn pixel, for how far the Gaussians there have gone
PIXELS_PER_BYTE = 8  # the kernel lists a Gaussian, in 4 bytes, once for every 32 lines that it covers


class GopRenderer:
    """Draws any position among the distinct frames of one GoP. Reads no files; safe to use from one thread at a time.

    `backend` and `threads` are those of the kernels. Raises LimitError before drawing a frame whose Gaussians cover
    more pixels than `limits` allow, FormatError where the file's level does not allow it, BackendError for an engine
    that cannot run.

    `position` says where a position among all frames of the GoP lies. `moving` are its Gaussians; `detail` and
    `residual` are added to them; `filter` has the weights [3, 12] of what all of it goes through, `canvas` is what is
    drawn for that, around `view`. `deep` frames have 16 bits; `background` and `epsilon` are those of normalised
    blending.
    """

    def __init__(
        self,
        params: GopParameters,
        header: SequenceHeader,
        *,
        view: View | None = None,
        backend: str | None = None,
        threads: int = 0,
        limits: Limits | None = None,
    ) -> None:
        self.position, self.distinct_count = params.position, params.distinct_count
        self.view = view or make_view(header)
        self.filter = params.filter if self.view.size == (header.width, header.height) else None
        self.canvas = self.view if self.filter is None else self.view.widened(REACH)
        self._backend, self._threads = backend, threads
        self._exact = registry.select(backend).name == "reference"
        dtype = np.float64 if self._exact else np.float32
        self.background, self.epsilon = np.asarray(params.background, np.float32), params.blend_epsilon
        self.deep = header.bit_depth > 8
        self._level, self._limits = header.level, limits or Limits()
        # Drawing larger than coded is the caller's wish: the file answers for the work at its own size.
        self._enlarged = max(1.0, self.view.size[0] * self.view.size[1] / (header.width * header.height))
        self._place = Place(chunk=f"GoP of frames {params.first_frame}:{params.first_frame + params.frame_count}")
        size = (header.width, header.height)
        self._bytes = _bytes_of(params, math.prod(size), math.prod(self.canvas.shape))
        self._limits.check("memory", self._bytes)
        self.moving = MovingGaussians(params, header, self.canvas, dtype, threads, backend)
        self.detail: Detail | None = None
        if params.detail is not None:
            place = size, self.view.size, self.canvas.crop[:2]
            self.detail = Detail.of(params.detail, params.detail_moving, YCC_TO_RGB, *place, dtype)
        self.residual: Residual | None = None
        if params.residual is not None:
            seen = size[::-1], self.view.size, self.canvas.crop
            self.residual = Residual(params.residual, params.distinct_count, YCC_TO_RGB, *seen, dtype)

    def render(self, position: float, out: np.ndarray | None = None) -> np.ndarray:
        """Draw what is at `position`: [height, width, 3] RGB of the view, into `out` when given.

        uint8, or uint16 (white is 65535) where the file has more than 8 bits per component.
        """
        (g, gone), size = self._placed(position), self.canvas.shape
        self.check_work(covered_pixels(g.mean, g.conic, size))
        if not self.in_one_step:
            return self._rounded(self._colours(position, g, gone), out)
        if self._exact:
            drawn = reference.render_rgb8(g.mean, g.conic, g.feature, size, self.background, self.epsilon)
            return _copy_into(out, drawn)
        return render_rgb8(
            g.mean,
            g.conic,
            g.feature,
            size,
            background=self.background,
            epsilon=self.epsilon,
            threads=self._threads,
            backend=self._backend,
            out=out,
        )

    @property
    def in_one_step(self) -> bool:
        """Whether frames are rounded as their Gaussians are drawn: there is nothing between the two."""
        return not (self.detail or self.residual or self.deep or self.filter is not None)

    def colours(self, position: float) -> np.ndarray:
        """[3, height, width] of the frame at `position`, not clamped or rounded, of the engine's type."""
        return self._colours(position, *self._placed(position))

    def _placed(self, position: float) -> tuple[Gaussians2D, np.ndarray | None]:
        """The Gaussians at `position`, and how far they have gone where the detail moves with them."""
        if self.detail is not None and self.detail.moving:
            return self.moving.displaced(position)
        return self.moving.at(position), None

    def _colours(self, position: float, g: Gaussians2D, gone: np.ndarray | None) -> np.ndarray:
        """[3, height, width] of Gaussians at `position` with all that changes them; `gone`: see `_placed`."""
        drawn = self.sums(g, g.feature)
        if self.detail is not None:
            shift = None if gone is None else self.sums(g, gone)[:2]
            blending = self.background, self.epsilon, self._threads, self._backend
            drawn = self.detail.blend(drawn, shift, *blending)
        elif self.moving.normalised:
            drawn = self.blended(drawn)
        missing = None if self.residual is None else self.residual.at(position)
        whole = drawn if missing is None else drawn + missing
        return whole if self.filter is None else self._filtered(whole)

    def _filtered(self, image: np.ndarray) -> np.ndarray:
        """[3, height, width] of the view, from what is drawn around it too."""
        assert self.filter is not None
        if self._exact:
            found = reference_filter.filter_picture(image, self.filter)
        else:
            found = filter_picture(image, self.filter, threads=self._threads, backend=self._backend)
        rows, columns = self.view.inside(self.canvas)
        return found[:, rows, columns]

    def check_work(self, drawn: int) -> None:
        """Raise LimitError or FormatError where a frame whose Gaussians cover `drawn` pixels is not to be drawn."""
        covered = int(drawn / self._enlarged)
        self._limits.check("covered_pixels", covered)
        covered_pixels_in_level(self._place, covered, self._level)
        self._limits.check("memory", self._bytes + drawn // PIXELS_PER_BYTE)

    def sums(self, g: Gaussians2D, feature: np.ndarray) -> np.ndarray:
        """[C, height, width] `feature` [n, C] of Gaussians, drawn and summed; of their own type."""
        if self._exact:
            return reference.rasterize(g.mean, g.conic, feature, self.canvas.shape)
        return rasterize(g.mean, g.conic, feature, self.canvas.shape, threads=self._threads, backend=self._backend)

    def blended(self, drawn: np.ndarray) -> np.ndarray:
        """[3, height, width] colours of sums [4, height, width] under normalised blending."""
        colours: np.ndarray = drawn[:3] + self.epsilon * self.background[:, None, None]
        return colours / (drawn[3] + self.epsilon)

    def _rounded(self, image: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """[height, width, 3] uint8 or uint16 of colours [3, height, width], which are changed; into `out` if given."""
        white, dtype = (65535, np.uint16) if self.deep else (255, np.uint8)
        np.clip(image, 0, 1, out=image)
        if np.isnan(image.max()):
            image[np.isnan(image)] = 0
        image *= white
        image += 0.5
        return _copy_into(out, image.astype(dtype).transpose(1, 2, 0))


def _copy_into(out: np.ndarray | None, drawn: np.ndarray) -> np.ndarray:
    if out is None:
        return np.ascontiguousarray(drawn)
    out[:] = drawn
    return out


def _bytes_of(params: GopParameters, coded: int, drawn: int) -> int:
    """Memory to draw a GoP of so many `coded` pixels as so many `drawn` ones."""
    inputs = 0 if params.field is None else params.field.grid2.width  # of each Gaussian, kept from frame to frame
    total = params.gaussian_count * (GAUSSIAN_BYTES + 4 * inputs) + 16 * drawn
    if params.filter is not None:
        total += FILTER_BYTES * drawn
    if params.detail is not None:
        total += DETAIL_BYTES * coded + MOVED_BYTES * drawn
    if params.residual is not None:
        total += RESIDUAL_BYTES * coded + VALUE_BYTES * sum(map(len, params.residual.values))
    return total
