# SPDX-License-Identifier: MIT
"""Where things in the picture go: optical flow of a GoP's frames, and the paths of points through it.

A Gaussian that starts on its path need not find it by gradients, which see no further than its own extent. The flow is
OpenCV's dense inverse search (Kroeger et al., ECCV 2016). Knows frames and points, not Gaussians.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

STRIDE = 2  # px between the places where the flow is kept: it is no finer
LOST, LOST_SHARE = 1.0, 0.1  # px, and px per px of motion, by which there and back may miss a point that is followed
START_WEIGHT = 8.0  # of the place where a point was seen, against each other place on its path
FAR = 4.0  # px from a line; what is further off is as bad
LEAST_SIDE = 16  # px; smaller frames have no flow

Floats = NDArray[np.float32]
Half = NDArray[np.float16]


@dataclass(frozen=True)
class Lines:
    """Straight paths of n points: at `place` [n, 2] px at `time` [n], velocity [n, 2] px a frame, and the frames
    `first` to `last` [n] in which the point could be followed.
    """

    place: Floats
    time: Floats
    velocity: Floats
    first: Floats
    last: Floats

    def middle(self) -> Floats:
        """[n, 2] px: the places half way between `first` and `last`."""
        middle = (self.first + self.last) / 2 - self.time
        return (self.place + self.velocity * middle[:, None]).astype(np.float32)

    def at_frames(self, frames: int) -> Floats:
        """[n, T, 2] px: the places in frames 0 to T - 1."""
        times = (np.arange(frames) - self.time[:, None]).astype(np.float32)
        return (self.place[:, None] + self.velocity[:, None] * times[..., None]).astype(np.float32)


class Flow:
    """Optical flow between neighbouring frames [T, H, W, 3] uint8 or uint16, there and back.

    `before` [H, W, 3]: the frame before the first, if there is one. `entering` has the flow into every frame from the
    one before it, None where there is none.
    """

    def __init__(self, pictures: NDArray, before: NDArray | None = None) -> None:
        self.frames, self.size = len(pictures), (int(pictures.shape[1]), int(pictures.shape[2]))
        cv2.setNumThreads(1)  # the result depends on their number
        grey = [_grey(picture) for picture in pictures]
        pairs = list(pairwise(grey))
        self.ahead = [_flow(a, b) for a, b in pairs]
        self.back = [_flow(b, a) for a, b in pairs]
        first = None if before is None else _flow(_grey(before), grey[0])
        self.entering: list[Half | None] = [first, *self.ahead]

    def paths(self, start: NDArray[np.int64], place: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Where points are that were seen at frame `start` [n], `place` [n, 2] px: [n, T, 2] px, and [n, T] whether
        they could be followed to there.
        """
        path = np.repeat(place[:, None].astype(np.float32), self.frames, axis=1)
        seen = np.zeros((len(place), self.frames), bool)
        seen[np.arange(len(place)), start] = True
        for now in range(self.frames - 1):
            self._step(path, seen, np.flatnonzero(start <= now), now, now + 1)
        for now in range(self.frames - 1, 0, -1):
            self._step(path, seen, np.flatnonzero(start >= now), now, now - 1)
        return path, seen

    def _step(self, path: Floats, seen: NDArray[np.bool_], moving: NDArray[np.int64], now: int, then: int) -> None:
        """Follow the points `moving` from frame `now` to `then`."""
        flow, reverse = self.ahead[min(now, then)], self.back[min(now, then)]
        if then < now:
            flow, reverse = reverse, flow
        motion = _sample(flow, path[moving, now])
        there = path[moving, now] + motion
        miss = np.linalg.norm(motion + _sample(reverse, there), axis=1)
        inside = ((there >= 0) & (there < self.size[::-1])).all(1)
        path[moving, then] = there
        seen[moving, then] = seen[moving, now] & inside & (miss < LOST + LOST_SHARE * np.linalg.norm(motion, axis=1))


def lines_along(path: Floats, seen: NDArray[np.bool_], start: NDArray[np.int64]) -> Lines:
    """Lines by least squares through paths [n, T, 2] where points were seen, first of all at frames `start` [n]."""
    count, frames = seen.shape
    rows, times = np.arange(count), np.arange(frames, dtype=np.float32)
    weight = seen.astype(np.float32)
    weight[rows, start] = START_WEIGHT
    time, place, velocity = _regression(path, weight, times)
    first, last = seen.argmax(1), frames - 1 - seen[:, ::-1].argmax(1)
    return Lines(place, time, velocity, first.astype(np.float32), last.astype(np.float32))


def straight_error(path: Floats, seen: NDArray[np.bool_]) -> float:
    """Mean distance in px of paths [n, T, 2] from the lines closest to them, where they were seen."""
    times = np.arange(path.shape[1], dtype=np.float32)
    time, place, velocity = _regression(path, seen.astype(np.float32), times)
    lines = Lines(place, time, velocity, time, time).at_frames(path.shape[1])
    return float(np.minimum(np.linalg.norm(path - lines, axis=2), FAR)[seen].mean())


def _regression(path: Floats, weight: Floats, times: Floats) -> tuple[Floats, Floats, Floats]:
    """Middle time [n], place there [n, 2] and velocity [n, 2] of weighted least squares."""
    total = weight.sum(1)
    time = np.einsum("nt,t->n", weight, times) / total
    place = np.einsum("nt,ntc->nc", weight, path) / total[:, None]
    offset = weight * (times - time[:, None])
    spread = (offset * (times - time[:, None])).sum(1)
    velocity = np.einsum("nt,ntc->nc", offset, path - place[:, None]) / np.maximum(spread, 1e-3)[:, None]
    return time.astype(np.float32), place.astype(np.float32), velocity.astype(np.float32)


def _grey(picture: NDArray) -> NDArray[np.uint8]:
    if picture.dtype != np.uint8:
        picture = (picture >> 8).astype(np.uint8)
    found: NDArray[np.uint8] = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY))
    return found


def _flow(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> Half:
    """[h, w, 2] px from picture `a` to `b`, at every STRIDE-th pixel."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found: Floats = search.calc(a, b, None)  # type: ignore[call-overload]
    return found[::STRIDE, ::STRIDE].astype(np.float16)


def _sample(flow: Half, place: Floats) -> Floats:
    """The flow at places [n, 2] px, that of the nearest point that is kept."""
    last = np.array(flow.shape[1::-1]) - 1
    column, row = np.clip(place / STRIDE, 0, last).astype(np.int64).T
    return flow[row, column].astype(np.float32)
