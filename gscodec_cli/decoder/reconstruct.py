# SPDX-License-Identifier: MIT
"""Parameters of one GoP and a frame position -> Gaussians -> pixels (SPEC 7). Imports neither torch nor the encoder.

What does not depend on time is computed once per GoP, in float64, and kept in float32 for the fast engine. With the
engine `reference` everything stays in float64: that path defines the picture.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gscodec.format.dequant import GopParameters
from gscodec.format.errors import Place
from gscodec.format.gop import GAUSSIAN_BYTES
from gscodec.format.limits import Limits
from gscodec.format.records import (
    BLEND_NORMALISED,
    COLOUR_YCC,
    NORM_ENERGY,
    SHAPE_LOG,
    SequenceHeader,
)
from gscodec.format.validate import covered_pixels_in_level
from gscodec.kernels import (
    Gaussians2D,
    chol_to_conic,
    covered_pixels,
    rasterize,
    reference,
    registry,
    render_rgb8,
)
from gscodec_cli.decoder.camera import Camera
from gscodec_cli.decoder.detail import Detail, home_position
from gscodec_cli.decoder.field import prepare_field
from gscodec_cli.decoder.residual import Residual

# Rows: luma, red-blue, green-magenta axis of the orthonormal YCC space; rgb = ycc @ YCC_TO_RGB.
YCC_TO_RGB = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([[3], [2], [6]])
DETAIL_BYTES = 48  # of a coded pixel, while the detail is made: symbols, coefficients, the picture
RESIDUAL_BYTES, VALUE_BYTES = 140, 90  # of a coded pixel, while a residual is drawn; of a coefficient other than 0
MOVED_BYTES = 12  # of a drawn pixel, for how far the Gaussians there have gone
PIXELS_PER_BYTE = 8  # the kernel lists a Gaussian, in 4 bytes, once for every 32 lines that it covers
MIN_EXTENT, MAX_EXTENT, MAX_LOG = 2.0**-4, 2.0**14, 16.0


@dataclass(frozen=True)
class View:
    """What part of the picture to draw, and how large.

    `size` is (width, height) of the whole picture in output pixels; the Gaussians are drawn at that size, nothing is
    resampled. `crop` is (x, y, width, height) in output pixels inside it.
    """

    size: tuple[int, int]
    crop: tuple[int, int, int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the drawn array."""
        return self.crop[3], self.crop[2]


@dataclass(frozen=True)
class PreparedGop:
    """A GoP in the pixels of a view and in RGB, float32 arrays; `plan` evaluates its field.

    mean [N, 2], conic [N, 3], colour [N, 3], motion [N, K, 2], drift [N, 3], life [N, 3] (birth, death, centre) and its
    edge; scale [2] and matrix [3, 3] of what the field gives; `deep` frames have 16 bits; `detail` and `residual` are
    added to them.
    """

    mean: np.ndarray
    conic: np.ndarray
    colour: np.ndarray
    motion: np.ndarray | None
    drift: np.ndarray | None
    life: np.ndarray | None
    edge: float
    scale: np.ndarray
    matrix: np.ndarray
    plan: Any
    camera: Camera | None
    normalised: bool
    background: np.ndarray
    epsilon: float
    deep: bool
    detail: Detail | None
    residual: Residual | None


def make_view(
    header: SequenceHeader,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
) -> View:
    """The view for an asked size and crop; the whole picture at its coded size by default."""
    size = size or (header.width, header.height)
    return View(size, crop or (0, 0, *size))


def cholesky(params: GopParameters) -> np.ndarray:
    """[N, 3] float64 (l11, l21, l22) in coded pixels, clamped (SPEC 7.7)."""
    l11, l21, l22 = params.shape.astype(np.float64).T
    log = params.shape_type == SHAPE_LOG
    if log:
        l11, l22 = np.exp(np.clip(l11, -MAX_LOG, MAX_LOG)), np.exp(np.clip(l22, -MAX_LOG, MAX_LOG))
    l11, l22 = np.clip(l11, MIN_EXTENT, MAX_EXTENT), np.clip(l22, MIN_EXTENT, MAX_EXTENT)
    l21 = np.clip(l21 * l22 if log else l21, -MAX_EXTENT, MAX_EXTENT)
    return np.stack([l11, l21, l22], axis=1)


class GopRenderer:
    """Draws any frame position of one GoP. Reads no files; safe to use from one thread at a time.

    `backend` and `threads` are those of the kernels. Raises LimitError before drawing a frame whose Gaussians cover
    more pixels than `limits` allow, FormatError where the file's level does not allow it, BackendError for an engine
    that cannot run.
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
        self.frame_count = params.frame_count
        self.view = view or make_view(header)
        self._backend, self._threads = backend, threads
        self._exact = registry.select(backend).name == "reference"
        self._dtype = np.float64 if self._exact else np.float32
        self._normalised = params.blend_mode == BLEND_NORMALISED
        self._background = np.asarray(params.background, np.float32)
        self._epsilon = params.blend_epsilon
        self._deep = header.bit_depth > 8
        self._level, self._limits = header.level, limits or Limits()
        # Drawing larger than coded is the caller's wish: the file answers for the work at its own size.
        self._enlarged = max(1.0, self.view.size[0] * self.view.size[1] / (header.width * header.height))
        self._place = Place(chunk=f"GoP of frames {params.first_frame}:{params.first_frame + params.frame_count}")
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not drawn
            self._prepare_geometry(params, np.array(self.view.size) / (header.width, header.height))
            self._prepare_colour(params, _colour_matrix(params))
            self._prepare_time(params)
        size = (header.width, header.height)
        inputs = 0 if params.field is None else params.field.grid2.width  # of each Gaussian, kept from frame to frame
        self._bytes = params.gaussian_count * (GAUSSIAN_BYTES + 4 * inputs) + 16 * math.prod(self.view.shape)
        if params.detail is not None:
            self._bytes += DETAIL_BYTES * math.prod(size) + MOVED_BYTES * math.prod(self.view.shape)
        if params.residual is not None:
            self._bytes += RESIDUAL_BYTES * math.prod(size) + VALUE_BYTES * sum(map(len, params.residual.values))
        self._limits.check("memory", self._bytes)
        self._plan = prepare_field(params, size, threads, backend) if params.field else None
        self._home: np.ndarray | None = None  # means in the frame of the detail
        self._detail: Detail | None = None
        if params.detail is not None:
            place = size, self.view.size, self.view.crop[:2]
            self._detail = Detail.of(params.detail, params.detail_moving, YCC_TO_RGB, *place, self._dtype)
        self._residual: Residual | None = None
        if params.residual is not None:
            seen = size[::-1], self.view.size, self.view.crop
            self._residual = Residual(params.residual, params.frame_count, YCC_TO_RGB, *seen, self._dtype)

    def _prepare_geometry(self, params: GopParameters, scale: np.ndarray) -> None:
        chol = cholesky(params)
        self._norm = np.sqrt(np.pi * chol[:, :1] * chol[:, 2:]) if params.colour_norm == NORM_ENERGY else 1.0
        self._conic = self._cast(chol_to_conic(chol * scale[[0, 1, 1]]))
        self._mean = self._cast(params.mean * scale - self.view.crop[:2])
        self._motion = None if params.motion is None else self._cast(params.motion * scale)
        self._camera = None
        if params.camera is not None:
            self._camera = Camera(params.camera, scale, np.array(self.view.size) / 2 - self.view.crop[:2])
        self._scale: Any = scale.astype(self._dtype)

    def _prepare_colour(self, params: GopParameters, matrix: np.ndarray) -> None:
        self._colour = self._cast(params.colour / self._norm @ matrix)
        self._drift = None if params.drift is None else self._cast(params.drift / self._norm @ matrix)
        self._matrix: Any = matrix.astype(self._dtype)

    def _prepare_time(self, params: GopParameters) -> None:
        self._birth = self._death = self._centre = None
        if params.birth is not None and params.death is not None and params.edge is not None:
            self._edge = params.edge
            self._birth, self._death = self._cast(params.birth), self._cast(params.death)
            last = params.frame_count - 1
            self._centre = (np.clip(self._birth, 0, last) + np.clip(self._death, 0, last)) / 2

    def _cast(self, values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values, dtype=self._dtype)

    @np.errstate(over="ignore", invalid="ignore")
    def gaussians(self, position: float, *, keep_all: bool = False) -> Gaussians2D:
        """The Gaussians at frame position `position` (0..frame_count-1 are the frames) in pixels of the view.

        Positions between frames are drawn too, up to half a frame beyond the first and the last (SPEC 7.7).
        Those whose window weight is 0 are left out unless `keep_all`. float32, or float64 for the engine `reference`.
        """
        return self._gaussians(position, keep_all)[0]

    def _gaussians(self, position: float, keep_all: bool) -> tuple[Gaussians2D, slice | np.ndarray]:
        """Those of `gaussians`, and which of all they are."""
        weight, active = self._window(position, keep_all)
        mean, colour = self._mean[active], self._colour[active]
        if self._motion is not None or self._drift is not None:
            tau = self._tau(position, active)
            if self._motion is not None:
                mean = mean + _polynomial(self._motion[active], tau)
            if self._drift is not None:
                colour = colour + self._drift[active] * tau
        if self._plan is not None:
            dmean, dcolour = self._plan.evaluate((position + 0.5) / self.frame_count, threads=self._threads)
            mean = mean + dmean[active].astype(self._dtype) * self._scale
            colour = colour + dcolour[active].astype(self._dtype) @ self._matrix
        if self._camera is not None:
            mean = self._camera.move(mean, position)
        return Gaussians2D(mean, self._conic[active], self._feature(colour, weight)), active

    @np.errstate(over="ignore", invalid="ignore")
    def displaced(self, position: float) -> tuple[Gaussians2D, np.ndarray]:
        """The Gaussians at `position`, and [n, 3] features that draw how far they have gone from the GoP's home frame.

        Features are x and y in px of the view times the weight, and the weight; 0 of a Gaussian that is not drawn
        because something is not finite (SPEC 7.8). Normalised blending only.
        """
        if self._home is None:
            self._home = self.gaussians(home_position(self.frame_count), keep_all=True).mean
        g, active = self._gaussians(position, False)
        weight = g.feature[:, 3:]
        features = np.concatenate([(g.mean - self._home[active]) * weight, weight], axis=1)
        features[~np.isfinite(g.feature).all(1)] = 0
        return g, features

    def _window(self, position: float, keep_all: bool) -> tuple[np.ndarray | None, slice | np.ndarray]:
        """Weights [n, 1] of the Gaussians that live at `position` and which they are; (None, all) without windows."""
        if self._birth is None or self._death is None:
            return None, slice(None)
        inside = min(max(position, 0), self.frame_count - 1)  # nothing fades in the half frames around a GoP (SPEC 7.7)
        rise = np.clip((inside - self._birth) / self._edge + 0.5, 0, 1)
        weight = rise * np.clip((self._death - inside) / self._edge + 0.5, 0, 1)
        if keep_all or weight.all():
            return weight[:, None], slice(None)
        active = np.flatnonzero(weight)
        return weight[active, None], active

    def _tau(self, position: float, active: slice | np.ndarray) -> Any:
        """Time in half GoPs from the centre of each Gaussian's life, [n, 1], or one number without windows."""
        if self._centre is None:
            return self._dtype(2 * position / self.frame_count)
        return 2 / self.frame_count * (position - self._centre[active, None])

    def _feature(self, colour: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        if weight is not None:
            colour = colour * weight
        if not self._normalised:
            return colour
        return np.concatenate([colour, np.ones((len(colour), 1), self._dtype) if weight is None else weight], axis=1)

    def render(self, position: float, out: np.ndarray | None = None) -> np.ndarray:
        """Draw the frame at `position`: [height, width, 3] RGB of the view, into `out` when given.

        uint8, or uint16 (white is 65535) where the file has more than 8 bits per component.
        """
        (g, gone), size = self._placed(position), self.view.shape
        self.check_work(covered_pixels(g.mean, g.conic, size))
        if self._detail is not None or self._residual is not None or self._deep:
            return self._rounded(self._colours(position, g, gone), out)
        if self._exact:
            drawn = reference.render_rgb8(g.mean, g.conic, g.feature, size, self._background, self._epsilon)
            return _copy_into(out, drawn)
        return render_rgb8(
            g.mean,
            g.conic,
            g.feature,
            size,
            background=self._background,
            epsilon=self._epsilon,
            threads=self._threads,
            backend=self._backend,
            out=out,
        )

    def colours(self, position: float) -> np.ndarray:
        """[3, height, width] of the frame at `position`, not clamped or rounded; float32, or float64 as `gaussians`."""
        return self._colours(position, *self._placed(position))

    def _placed(self, position: float) -> tuple[Gaussians2D, np.ndarray | None]:
        """The Gaussians at `position`, and the features of `displaced` where the detail moves with them."""
        if self._detail is not None and self._detail.moving:
            return self.displaced(position)
        return self.gaussians(position), None

    def _colours(self, position: float, g: Gaussians2D, gone: np.ndarray | None) -> np.ndarray:
        """[3, height, width] of Gaussians at `position` with detail and residual; `gone`: features of `displaced`."""
        drawn = self.sums(g, g.feature)
        if self._detail is not None:
            shift = None if gone is None else self.sums(g, gone)[:2]
            blending = self._background, self._epsilon, self._threads, self._backend
            drawn = self._detail.blend(drawn, shift, *blending)
        elif self._normalised:
            drawn = self.blended(drawn)
        missing = None if self._residual is None else self._residual.at(position)
        return drawn if missing is None else drawn + missing

    def check_work(self, drawn: int) -> None:
        """Raise LimitError or FormatError where a frame whose Gaussians cover `drawn` pixels is not to be drawn."""
        covered = int(drawn / self._enlarged)
        self._limits.check("covered_pixels", covered)
        covered_pixels_in_level(self._place, covered, self._level)
        self._limits.check("memory", self._bytes + drawn // PIXELS_PER_BYTE)

    def prepared(self) -> PreparedGop:
        """What does not depend on the time, for renderers on other devices."""
        life = None
        if self._birth is not None and self._death is not None and self._centre is not None:
            life = np.stack([self._birth, self._death, self._centre], 1)
        arrays = self._mean, self._conic, self._colour, self._motion, self._drift, life
        blending = self._normalised, self._background, self._epsilon
        edge = 1.0 if life is None else self._edge
        of_field = self._scale, self._matrix, self._plan
        return PreparedGop(*arrays, edge, *of_field, self._camera, *blending, self._deep, self._detail, self._residual)

    def sums(self, g: Gaussians2D, feature: np.ndarray) -> np.ndarray:
        """[C, height, width] `feature` [n, C] of Gaussians, drawn and summed; of their own type."""
        if self._exact:
            return reference.rasterize(g.mean, g.conic, feature, self.view.shape)
        return rasterize(g.mean, g.conic, feature, self.view.shape, threads=self._threads, backend=self._backend)

    @property
    def epsilon(self) -> float:
        """Weight of the background under normalised blending."""
        return self._epsilon

    def blended(self, drawn: np.ndarray) -> np.ndarray:
        """[3, height, width] colours of sums [4, height, width] under normalised blending."""
        colours: np.ndarray = drawn[:3] + self._epsilon * self._background[:, None, None]
        return colours / (drawn[3] + self._epsilon)

    def _rounded(self, image: np.ndarray, out: np.ndarray | None) -> np.ndarray:
        """[height, width, 3] uint8 or uint16 of colours [3, height, width], which are changed; into `out` if given."""
        white, dtype = (65535, np.uint16) if self._deep else (255, np.uint8)
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


def _polynomial(motion: np.ndarray, tau: Any) -> np.ndarray:
    """Displacement [n, 2] of motion coefficients [n, K, 2]: sum over k = 1..K of coefficient times tau^k."""
    total = motion[:, -1]
    for degree in range(motion.shape[1] - 2, -1, -1):
        total = motion[:, degree] + total * tau
    return total * tau


def _colour_matrix(params: GopParameters) -> np.ndarray:
    return YCC_TO_RGB if params.colour_space == COLOUR_YCC else np.eye(3)
