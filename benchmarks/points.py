# SPDX-License-Identifier: MIT
"""Points of rate-distortion curves: what is kept of one encode, and the tables (CSV) they are kept in.

A table is only ever added to, so that curves can be completed over several runs and by several processes; of two rows
with the same key the later one counts.
"""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from benchmarks.common import RESULTS, append, provenance
from gscodec_cli.metrics.compare import Distortion


class CurveName(NamedTuple):
    """What all points of a curve have in common. `frames` is A:B, `options` are those of the encoder but its rate."""

    clip: str
    frames: str
    codec: str
    options: str

    @property
    def keyint(self) -> int:
        """Largest distance between key frames; of several the last one counts, as on a command line."""
        return int(self.options.rpartition("--keyint ")[2].split()[0])


@dataclass(frozen=True)
class Point:
    """One encode, measured. `rate` is the option that fixed its rate; PSNR in dB; `bytes` as bpp counts them.

    `seconds` is time on the clock, `cpu_seconds` that of all threads; both None for a file that was there before.
    """

    clip: str
    frames: str
    codec: str
    options: str
    rate: str
    size: str
    bytes: int
    bpp: float
    rgb_psnr: float
    rgb_psnr_min: float
    y_psnr: float
    ms_ssim: float | None
    seconds: float | None
    cpu_seconds: float | None
    commit: str
    dirty: int
    date: str
    machine: str
    cores: int

    @property
    def curve(self) -> CurveName:
        """The curve this point lies on."""
        return CurveName(self.clip, self.frames, self.codec, self.options)


COLUMNS = tuple(item.name for item in fields(Point))
_KINDS = {"int": int, "float": float, "str": str, "float | None": lambda text: float(text) if text else None}
_DIGITS = {"bpp": 6, "ms_ssim": 5, "seconds": 1, "cpu_seconds": 1}


class Table:
    """The points of one CSV file."""

    def __init__(self, path: Path | str) -> None:
        """Read `path`, a name in benchmarks/results or a whole path; a file that is not there holds no points."""
        self.path = RESULTS / path
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        rows = csv.DictReader(lines)
        found = [Point(**{item.name: _KINDS[str(item.type)](row[item.name]) for item in fields(Point)}) for row in rows]
        self._points = {(point.curve, point.rate): point for point in found}

    def find(self, curve: CurveName, rate: str) -> Point | None:
        """The point of a curve at a rate, or None."""
        return self._points.get((curve, rate))

    def add(self, point: Point) -> Point:
        """Write `point` behind the others."""
        row = {name: _text(name, value) for name, value in asdict(point).items()}
        append(str(self.path), COLUMNS, [row])
        self._points[point.curve, point.rate] = point
        return point

    def curves(self) -> dict[CurveName, list[Point]]:
        """All points by curve, those of a curve by rising bpp; curves in the order of the file."""
        found: dict[CurveName, list[Point]] = {}
        for point in self._points.values():
            found.setdefault(point.curve, []).append(point)
        return {name: sorted(points, key=lambda point: point.bpp) for name, points in found.items()}


def make_point(
    curve: CurveName,
    rate: str,
    shape: tuple[int, int, int],  # frames, height, width
    size: int,  # bytes
    found: Distortion,
    spent: tuple[float, float] | None,  # seconds by the clock and of all threads
    origin: dict[str, object] | None = None,
) -> Point:
    """A point measured by this code on this machine. `origin` is `provenance()` from before a long run."""
    frames, height, width = shape
    known = origin or provenance()
    return Point(
        **curve._asdict(),
        rate=rate,
        size=f"{width}x{height}",
        bytes=size,
        bpp=8 * size / (frames * height * width),
        rgb_psnr=found.psnr_rgb,
        rgb_psnr_min=found.psnr_rgb_min,
        y_psnr=found.psnr_y,
        ms_ssim=found.ms_ssim,
        seconds=spent[0] if spent else None,
        cpu_seconds=spent[1] if spent else None,
        **{name: known[name] for name in ("commit", "dirty", "date", "machine", "cores")},  # type: ignore[arg-type]
    )


def _text(name: str, value: object) -> object:
    """How a value stands in the table: floats with as many digits as mean something."""
    if value is None:
        return ""
    return f"{value:.{_DIGITS.get(name, 3)}f}" if isinstance(value, float) else value
