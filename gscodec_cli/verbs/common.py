# SPDX-License-Identifier: MIT
"""Option types and helpers that the verbs share. Imports no torch."""

import dataclasses
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, ClassVar

import click

from gscodec.format.limits import MAX_SIDE
from gscodec_cli.errors import MediaError, UsageError

_LIMIT_HELP = {
    "pixels": "pixels per frame",
    "frames": "frames",
    "gaussians": "Gaussians per GoP",
    "parameters": "numbers of one field",
    "chunk_bytes": "bytes in one chunk",
    "covered_pixels": "covered pixels per frame",
    "memory": "estimated bytes for one GoP",
}

MOST = 1e18  # of an amount


class FrameRange(click.ParamType):
    """`A:B`, frames A to B-1; either side may be left out. Gives (A, B or None)."""

    name = "A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        try:
            start, stop = int(first or 0), int(last) if last else None
        except ValueError:
            self.fail(f"{value}: expected A:B with whole numbers, such as 0:10", param, ctx)
        if not colon or start < 0 or (stop is not None and stop <= start):
            self.fail(f"{value}: expected A:B with 0 <= A < B, such as 0:10", param, ctx)
        return start, stop


class TimeRange(click.ParamType):
    """`A:B`, from A to before B in seconds after the first frame appears. Gives (A, B or None) as Fractions."""

    name = "A:B"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        first, colon, last = value.partition(":")
        try:
            begin, end = Fraction(first or 0), Fraction(last) if last else None
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value}: expected A:B in seconds, such as 1.5:3", param, ctx)
        if not colon or begin < 0 or (end is not None and end <= begin):
            self.fail(f"{value}: expected A:B with 0 <= A < B, such as 1.5:3", param, ctx)
        return begin, end


class Finite(click.FloatRange):
    """A number in a range, which `nan` is not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value} is not a number", param, ctx)
        return found


class Amount(click.ParamType):
    """A positive number with an optional unit. Gives the number of the smallest unit, `whole` or not."""

    units: ClassVar[dict[str, float]] = {}
    example = ""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        match = re.fullmatch(r"([0-9]*\.?[0-9]+)\s*([A-Za-z]*)", value.strip())
        if match is None or match[2] not in self.units or not 0 < float(match[1]) < MOST:
            self.fail(f"{value}: expected {self.example}", param, ctx)
        return float(match[1]) * self.units[match[2]]


class FileSize(Amount):
    """Bytes: `500000`, `500kB`, `1.5MB`, `2MiB`. Gives an int."""

    name = "BYTES"
    units: ClassVar[dict[str, float]] = {
        "": 1,
        "B": 1,
        "kB": 1e3,
        "KB": 1e3,
        "MB": 1e6,
        "GB": 1e9,
        "KiB": 2**10,
        "MiB": 2**20,
        "GiB": 2**30,
    }
    example = "bytes, such as 500000, 500kB or 1.5MB"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(super().convert(value, param, ctx))


class BitRate(Amount):
    """Bits per second: `300000`, `300k`, `1.5M`. Gives a float."""

    name = "RATE"
    units: ClassVar[dict[str, float]] = {"": 1, "k": 1e3, "K": 1e3, "M": 1e6}
    example = "bits per second, such as 300000, 300k or 1.5M"


def range_of(decoder: Any, frames: tuple[int, int | None] | None, time: tuple[Fraction, Fraction | None] | None) -> Any:
    """(start, stop) of what `--frames` or `--time` asks for. Raises UsageError, MediaError."""
    if time is None:
        return decoder.check_range(frames)
    if frames is not None:
        raise UsageError("--frames and --time: use one of them")
    seconds = decoder.timeline.end - decoder.timeline.begin
    if time[0] >= seconds:
        raise MediaError(f"{decoder.name}: the clip ends after {float(seconds):.3f} s, --time begins at {time[0]}")
    return decoder.timeline.frames_in(*time)


def ranges(spans: list[tuple[int, int]] | None) -> str:
    """Frame ranges in words: `10:20, 30:31`."""
    return ", ".join(f"{first}:{stop}" for first, stop in spans or ())


class FrameSize(click.ParamType):
    """`WxH` in pixels. Gives (width, height)."""

    name = "WxH"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """As it is written, not in capitals."""
        return self.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        width, _, height = value.lower().partition("x")
        try:
            size = int(width), int(height)
        except ValueError:
            self.fail(f"{value}: expected WxH, such as 640x360", param, ctx)
        if not all(1 <= side <= MAX_SIDE for side in size):
            self.fail(f"{value}: sides are 1 to {MAX_SIDE} pixels", param, ctx)
        return size


class Rate(click.ParamType):
    """Frames per second as a number or a fraction such as 30000/1001. Gives a Fraction."""

    name = "R"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, Fraction):
            return value
        try:
            rate = Fraction(value)
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value}: expected frames per second, such as 50 or 30000/1001", param, ctx)
        if not 0 < rate <= 1000:
            self.fail(f"{value}: expected more than 0 and at most 1000 frames per second", param, ctx)
        return rate.limit_denominator(100_000)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one `--limit-...` option per field of the decoder's limits; they arrive as keyword arguments `limit_...`."""
    from gscodec.format.limits import Limits

    for field in reversed(dataclasses.fields(Limits)):
        flag = f"--limit-{field.name.replace('_', '-')}"
        default = field.default
        help = f"Refuse files that ask for more: {_LIMIT_HELP[field.name]}."
        option = click.option(flag, type=click.IntRange(1), default=default, show_default=True, metavar="N", help=help)
        command = option(command)
    return command


def take_limits(options: dict[str, Any]) -> Any:
    """Remove the `limit_...` entries of `options` and return them as Limits."""
    from gscodec.format.limits import Limits

    return Limits(**{f.name: options.pop(f"limit_{f.name}") for f in dataclasses.fields(Limits)})


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Put the file's name before the message of a FormatError or LimitError of the block."""
    from gscodec.format.errors import FormatError, LimitError

    try:
        yield
    except (FormatError, LimitError) as error:
        error.file = path  # type: ignore[union-attr]
        raise


def note(text: str, *, quiet: bool = False) -> None:
    """Say something on standard error."""
    if not quiet:
        print(f"gsv: {text}", file=sys.stderr)


def print_json(value: Any) -> None:
    """Print one JSON object on standard output, keys in the order given."""
    print(json.dumps(value, indent=2, allow_nan=False))
