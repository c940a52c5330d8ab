# SPDX-License-Identifier: MIT
"""How the whole picture moves in a GoP: found in the optical flow, rounded to what the stream holds (SPEC 6.20).
Training goes on from there.

Knows frames and flow, not Gaussians.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gscodec.format.dequant import camera_values
from gscodec.format.records import CameraData
from gscodec_cli.decoder.camera import Camera, shift_of
from gscodec_cli.encoder.flow import LEAST_SIDE, STRIDE, Floats, Flow, Lines, lines_along, straight_error
from gscodec_cli.encoder.tools import Tools

OFFSET_BITS = 6  # an offset, or a slope at the border of the picture, is rounded to 1/64 px
ROUNDS = 12  # of reweighted least squares
SPARSE = 4  # the flow is looked at in every fourth place that is kept
SAMPLES = 16  # px between points that tell whether a camera makes paths straighter
WORTH = 0.9  # of the error without a camera that is left with one, at most


@dataclass(frozen=True)
class Scene:
    """What is known of how the picture moves in a GoP before anything is trained."""

    flow: Flow
    camera: CameraData | None

    def lines(
        self,
        start: NDArray[np.int64],
        place: Floats,
        reach: float,
        bend: Callable[[Floats], Floats] | None = None,
    ) -> Lines:
        """The lines closest to the paths, before the camera moves them, of points seen at frames `start` [n], `place`
        [n, 2] px, for `reach` frames to either side at most. `bend`: what a field adds to means [n, 2], [n, T, 2] px.
        """
        path, seen = self.flow.paths(start, place)
        seen &= np.abs(np.arange(self.flow.frames) - start[:, None]) <= reach
        path = steadied(path, self.camera, self.flow.size)
        lines = lines_along(path, seen, start)
        return lines if bend is None else lines_along(path - bend(lines.middle()), seen, start)


def scene_of(pictures: NDArray, before: NDArray | None, tools: Tools) -> Scene | None:
    """The scene of a GoP's pictures [T, H, W, 3], `before` [H, W, 3] the one before them.

    None where the tools do not move Gaussians, or the pictures are too small to tell.
    """
    if not tools.motion_degree or len(pictures) + (before is not None) < 2 or min(pictures.shape[1:3]) < LEAST_SIDE:
        return None
    flow = Flow(pictures, before)
    return Scene(flow, camera_of(flow) if tools.camera else None)


def camera_of(flow: Flow) -> CameraData | None:
    """The camera of a GoP, or None where points do not move along straighter lines with one."""
    camera = coded_camera(_composed([_robust(steps, flow.size) for steps in flow.entering]), flow.size)
    return camera if _is_worth_it(camera, flow) else None


def coded_camera(maps: NDArray, size: tuple[int, int]) -> CameraData:
    """Maps [T, 2, 3] of all frames of `size` (height, width), as lines_of gives them, rounded to what is coded."""
    slope_bits = math.ceil(math.log2(max(size))) - 1 + OFFSET_BITS
    scale = 2.0 ** np.array([OFFSET_BITS] * 2 + [slope_bits] * 4)
    values = np.concatenate([maps[:, :, 0], maps[:, :, 1:].reshape(-1, 4)], axis=1) * scale
    return CameraData(OFFSET_BITS, slope_bits, np.rint(values).clip(-(1 << 24), 1 << 24).astype(np.int64))


def lines_of(camera: CameraData, size: tuple[int, int]) -> Floats:
    """[T, 2, 3] maps of all frames of `size` (height, width): a place p goes to p + map @ (1, p - centre)."""
    moving = Camera(camera_values(camera), np.ones(2), np.array(size[::-1]) / 2)
    return np.stack([moving.at(frame) for frame in range(len(camera.values))]).astype(np.float32)


def moved_by(camera: CameraData, frame: int, place: Floats, size: tuple[int, int]) -> Floats:
    """Places [n, 2] px where the camera takes them in a frame."""
    line, centre = lines_of(camera, size)[frame], np.array(size[::-1], np.float32) / 2
    moved: Floats = place + shift_of(line, place - centre)
    return moved


def steadied(path: Floats, camera: CameraData | None, size: tuple[int, int]) -> Floats:
    """Paths [n, T, 2] px as they are before the camera moves them."""
    if camera is None:
        return path
    lines, centre = lines_of(camera, size), np.array(size[::-1]) / 2
    rest = path - centre - lines[:, :, 0]
    back = np.linalg.inv(lines[:, :, 1:] + np.eye(2))
    still = back[..., 0] * rest[..., :1] + back[..., 1] * rest[..., 1:] + centre
    return still.astype(np.float32)


def _is_worth_it(camera: CameraData, flow: Flow) -> bool:
    if not camera.values.any():
        return False
    height, width = flow.size
    rows, columns = np.mgrid[SAMPLES // 2 : height : SAMPLES, SAMPLES // 2 : width : SAMPLES]
    place = np.stack([columns.ravel(), rows.ravel()], 1).astype(np.float32)
    path, seen = flow.paths(np.full(len(place), flow.frames // 2), place)
    return straight_error(steadied(path, camera, flow.size), seen) < WORTH * straight_error(path, seen)


def _composed(steps: list[NDArray]) -> NDArray:
    """[T, 2, 3] maps of the frames, as in decoder.camera, from the step [2, 3] into each frame."""
    total, found = np.eye(3), []
    for step in steps:
        homogeneous = np.eye(3)
        homogeneous[:2, 2] += step[:, 0]
        homogeneous[:2, :2] += step[:, 1:]
        total = homogeneous @ total
        found.append(np.concatenate([total[:2, 2:], total[:2, :2] - np.eye(2)], axis=1))
    return np.array(found)


def _robust(flow: NDArray | None, size: tuple[int, int]) -> NDArray:
    """[2, 3] (offset, slopes) that most of a flow [h, w, 2] follows: what moves by itself is not the camera."""
    if flow is None:
        return np.zeros((2, 3))
    rows, columns = np.mgrid[0 : flow.shape[0] : SPARSE, 0 : flow.shape[1] : SPARSE]
    motion = flow[rows, columns].reshape(-1, 2).astype(np.float64)
    place = np.stack([columns.ravel(), rows.ravel()], 1) * STRIDE + 0.5 - np.array(size[::-1]) / 2
    design = np.concatenate([np.ones((len(place), 1)), place / max(size)], axis=1)
    weight = np.ones(len(place))
    fitted = np.zeros((3, 2))
    for _ in range(ROUNDS):
        # einsum, since how a matrix product rounds may depend on the number of threads
        weighted = design * weight[:, None]
        gram, right = np.einsum("ni,nj->ij", weighted, design), np.einsum("ni,nj->ij", weighted, motion)
        fitted = np.linalg.solve(gram + 1e-6 * np.eye(3), right)
        miss = np.linalg.norm(motion - np.einsum("ni,ij->nj", design, fitted), axis=1)
        weight = 1 / (1 + (miss / max(float(np.median(miss)), 1e-6)) ** 2) ** 2
    return fitted.T / np.array([1, max(size), max(size)])
