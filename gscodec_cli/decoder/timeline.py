# SPDX-License-Identifier: MIT
"""When each frame is shown: ticks, seconds, and which frame is shown at a time (SPEC 6.4, 6.5). Imports no torch."""

from collections.abc import Callable
from fractions import Fraction

from gscodec.format.records import SequenceHeader

NOMINAL_SECONDS = Fraction(1, 25)  # how long a single frame without a duration is shown


class Timeline:
    """Time stamps of all frames of a file.

    Regular ones follow from the header. Irregular ones are stored in the GoPs: `stored_pts(frame)` must return that of
    a frame, and is asked only for the frames that are needed (a search asks for about log2 of their number).
    `last_duration` returns how long the last frame is shown, in ticks, or 0 where the file does not say.
    """

    def __init__(
        self, header: SequenceHeader, stored_pts: Callable[[int], int], last_duration: Callable[[], int] = int
    ) -> None:
        self.time_base = Fraction(header.time_base_num, header.time_base_den)
        self.frame_count = header.frame_count
        self._duration = header.frame_duration
        self._start = header.start_pts
        self._stored_pts, self._said_duration = stored_pts, last_duration

    def pts(self, frame: int) -> int:
        """Ticks at which `frame` appears; `frame_count` gives the end of the last one."""
        if frame >= self.frame_count:
            return self.pts(self.frame_count - 1) + self._last_duration()
        if self._duration:
            return self._start + frame * self._duration
        return self._stored_pts(frame) if frame else self._start

    def _last_duration(self) -> int:
        """As long as the file says, or as the frame before it."""
        last = self.frame_count - 1
        if said := self._said_duration():
            return said
        if self._duration:
            return self._duration
        if last == 0:
            return max(1, round(NOMINAL_SECONDS / self.time_base))
        return self.pts(last) - self.pts(last - 1)

    def duration(self, frame: int) -> int:
        """Ticks for which `frame` is shown."""
        return self.pts(frame + 1) - self.pts(frame)

    def seconds(self, frame: int) -> float:
        """Seconds at which `frame` appears."""
        return float(self.pts(frame) * self.time_base)

    @property
    def begin(self) -> Fraction:
        """Seconds at which the first frame appears."""
        return self.pts(0) * self.time_base

    @property
    def end(self) -> Fraction:
        """Seconds at which the last frame ends."""
        return self.pts(self.frame_count) * self.time_base

    def frames_in(self, begin: Fraction, end: Fraction | None) -> tuple[int, int]:
        """Frames [a, b) on screen at some time from `begin` to before `end`, in seconds after the first appears."""
        first = self.frame_at(self.begin + begin)
        if end is None:
            return first, self.frame_count
        last = self.frame_at(self.begin + end)
        return first, max(first, last - (self.pts(last) * self.time_base >= self.begin + end)) + 1

    def frame_at(self, seconds: Fraction | float) -> int:
        """The frame shown at `seconds`: the last one that has appeared by then, 0 before the first.

        A float is compared with the frames' float seconds, so that `seconds(i)` always finds frame i.
        """
        exact = isinstance(seconds, Fraction)
        low, high = 0, self.frame_count
        while high - low > 1:
            middle = (low + high) // 2
            begin = self.pts(middle) * self.time_base
            low, high = (middle, high) if (begin if exact else float(begin)) <= seconds else (low, middle)
        return low

    def position_at(self, seconds: Fraction) -> Fraction:
        """Frame position (a fraction between frames) at `seconds`."""
        frame = self.frame_at(seconds)
        return frame + (seconds / self.time_base - self.pts(frame)) / self.duration(frame)
