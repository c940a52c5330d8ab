# SPDX-License-Identifier: MIT
"""Parameters of one GoP and a frame position -> Gaussians in pixels of a view (SPEC 7.2 to 7.8).

What does not depend on time is computed once per GoP, in float64. Imports neither torch nor the encoder.
"""

from typing import Any

import numpy as np

from gscodec.format.dequant import GopParameters
from gscodec.format.records import BLEND_NORMALISED, COLOUR_YCC, NORM_ENERGY, SHAPE_LOG, SequenceHeader
from gscodec.kernels import Gaussians2D, chol_to_conic
from gscodec_cli.decoder.camera import Camera
from gscodec_cli.decoder.detail import home_position
from gscodec_cli.decoder.field import prepare_field
from gscodec_cli.decoder.view import YCC_TO_RGB, View

MIN_EXTENT, MAX_EXTENT, MAX_LOG = 2.0**-4, 2.0**14, 16.0


def cholesky(params: GopParameters) -> np.ndarray:
    """[N, 3] float64 (l11, l21, l22) in coded pixels, clamped (SPEC 7.7)."""
    l11, l21, l22 = params.shape.astype(np.float64).T
    log = params.shape_type == SHAPE_LOG
    if log:
        l11, l22 = np.exp(np.clip(l11, -MAX_LOG, MAX_LOG)), np.exp(np.clip(l22, -MAX_LOG, MAX_LOG))
    l11, l22 = np.clip(l11, MIN_EXTENT, MAX_EXTENT), np.clip(l22, MIN_EXTENT, MAX_EXTENT)
    l21 = np.clip(l21 * l22 if log else l21, -MAX_EXTENT, MAX_EXTENT)
    return np.stack([l11, l21, l22], axis=1)


class MovingGaussians:
    """The Gaussians of a GoP, at any frame position, in the pixels of a view. Safe to use from one thread at a time.

    mean [N, 2], conic [N, 3], colour [N, 3] in RGB, motion [N, K, 2], drift [N, 3], life [N, 3] (birth, death, centre)
    and its edge; scale [2] and matrix [3, 3] of what the field gives, which `plan` evaluates.
    """

    def __init__(
        self, params: GopParameters, header: SequenceHeader, view: View, dtype: Any, threads: int, backend: str | None
    ) -> None:
        """`dtype`: of what is drawn, float32 or float64; `backend` and `threads` are those of the kernels."""
        self.distinct_count, self._view, self._dtype, self._threads = params.distinct_count, view, dtype, threads
        self.normalised = params.blend_mode == BLEND_NORMALISED
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is not drawn
            self._prepare_geometry(params, np.array(view.size) / (header.width, header.height))
            self._prepare_colour(params, YCC_TO_RGB if params.colour_space == COLOUR_YCC else np.eye(3))
            self._prepare_time(params)
        self.plan: Any = None
        if params.field is not None:
            self.plan = prepare_field(params, (header.width, header.height), threads, backend)
        self._home: np.ndarray | None = None  # means in the frame of the detail

    def _prepare_geometry(self, params: GopParameters, scale: np.ndarray) -> None:
        chol = cholesky(params)
        self._norm = np.sqrt(np.pi * chol[:, :1] * chol[:, 2:]) if params.colour_norm == NORM_ENERGY else 1.0
        self.conic = self._cast(chol_to_conic(chol * scale[[0, 1, 1]]))
        self.mean: np.ndarray = self._cast(params.mean * scale - self._view.crop[:2])
        self.motion = None if params.motion is None else self._cast(params.motion * scale)
        self.camera = None
        if params.camera is not None:
            self.camera = Camera(params.camera, scale, np.array(self._view.size) / 2 - self._view.crop[:2])
        self.scale: Any = scale.astype(self._dtype)

    def _prepare_colour(self, params: GopParameters, matrix: np.ndarray) -> None:
        self.colour = self._cast(params.colour / self._norm @ matrix)
        self.drift = None if params.drift is None else self._cast(params.drift / self._norm @ matrix)
        self.matrix: Any = matrix.astype(self._dtype)

    def _prepare_time(self, params: GopParameters) -> None:
        self.life, self.edge = None, 1.0
        if params.birth is not None and params.death is not None and params.edge is not None:
            birth, death, last = self._cast(params.birth), self._cast(params.death), params.distinct_count - 1
            self.life = np.stack([birth, death, (np.clip(birth, 0, last) + np.clip(death, 0, last)) / 2], 1)
            self.edge = params.edge

    def _cast(self, values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values, dtype=self._dtype)

    @np.errstate(over="ignore", invalid="ignore")
    def at(self, position: float, *, keep_all: bool = False) -> Gaussians2D:
        """The Gaussians at `position` (0..distinct_count-1 are the distinct frames) in pixels of the view.

        Positions between frames are drawn too, up to half a frame beyond the first and the last (SPEC 7.7).
        Those whose window weight is 0 are left out unless `keep_all`. float32, or float64 for the engine `reference`.
        """
        return self._at(position, keep_all)[0]

    def _at(self, position: float, keep_all: bool) -> tuple[Gaussians2D, slice | np.ndarray]:
        """Those of `at`, and which of all they are."""
        weight, active = self._window(position, keep_all)
        mean, colour = self.mean[active], self.colour[active]
        if self.motion is not None or self.drift is not None:
            tau = self._tau(position, active)
            if self.motion is not None:
                mean = mean + _polynomial(self.motion[active], tau)
            if self.drift is not None:
                colour = colour + self.drift[active] * tau
        if self.plan is not None:
            dmean, dcolour = self.plan.evaluate((position + 0.5) / self.distinct_count, threads=self._threads)
            mean = mean + dmean[active].astype(self._dtype) * self.scale
            colour = colour + dcolour[active].astype(self._dtype) @ self.matrix
        if self.camera is not None:
            mean = self.camera.move(mean, position)
        return Gaussians2D(mean, self.conic[active], self._feature(colour, weight)), active

    @np.errstate(over="ignore", invalid="ignore")
    def displaced(self, position: float) -> tuple[Gaussians2D, np.ndarray]:
        """The Gaussians at `position`, and [n, 3] features that draw how far they have gone from the GoP's home frame.

        Features are x and y in px of the view times the weight, and the weight; 0 of a Gaussian that is not drawn
        because something is not finite (SPEC 7.8). Normalised blending only.
        """
        if self._home is None:
            self._home = self.at(home_position(self.distinct_count), keep_all=True).mean
        g, active = self._at(position, False)
        weight = g.feature[:, 3:]
        features = np.concatenate([(g.mean - self._home[active]) * weight, weight], axis=1)
        features[~np.isfinite(g.feature).all(1)] = 0
        return g, features

    def _window(self, position: float, keep_all: bool) -> tuple[np.ndarray | None, slice | np.ndarray]:
        """Weights [n, 1] of the Gaussians that live at `position` and which they are; (None, all) without windows."""
        if self.life is None:
            return None, slice(None)
        birth, death, _ = self.life.T
        # Nothing fades in the half frames around a GoP (SPEC 7.7).
        inside = min(max(position, 0), self.distinct_count - 1)
        rise = np.clip((inside - birth) / self.edge + 0.5, 0, 1)
        weight = rise * np.clip((death - inside) / self.edge + 0.5, 0, 1)
        if keep_all or weight.all():
            return weight[:, None], slice(None)
        active = np.flatnonzero(weight)
        return weight[active, None], active

    def _tau(self, position: float, active: slice | np.ndarray) -> Any:
        """Time in half GoPs from the centre of each Gaussian's life, [n, 1], or one number without windows."""
        if self.life is None:
            return self._dtype(2 * position / self.distinct_count)
        return 2 / self.distinct_count * (position - self.life[active, 2:])

    def _feature(self, colour: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
        if weight is not None:
            colour = colour * weight
        if not self.normalised:
            return colour
        return np.concatenate([colour, np.ones((len(colour), 1), self._dtype) if weight is None else weight], axis=1)


def _polynomial(motion: np.ndarray, tau: Any) -> np.ndarray:
    """Displacement [n, 2] of motion coefficients [n, K, 2]: sum over k = 1..K of coefficient times tau^k."""
    total = motion[:, -1]
    for degree in range(motion.shape[1] - 2, -1, -1):
        total = motion[:, degree] + total * tau
    return total * tau
