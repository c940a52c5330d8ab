# SPDX-License-Identifier: MIT
"""Progress on standard error with rich; nothing where standard error is no terminal. Imports no torch."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def progress_bar(what: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """Show `what` with frames done, rate and time left; yields a function that advances by a number of frames."""
    if quiet or not sys.stderr.isatty():
        yield lambda _count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def encode_progress(frames: int, *, quiet: bool = False) -> Iterator[Callable[[Any], None] | None]:
    """Show where an encode stands; yields what the trainer reports its `Status` to, or None when quiet.

    On a terminal a live line with GoP, step, PSNR and bpp so far and time left; elsewhere one line per finished GoP.
    """
    if quiet:
        yield None
    elif not sys.stderr.isatty():
        yield _GopLines()
    else:
        with _live_bar(f"{frames} frames") as report:
            yield report


class _GopLines:
    """Prints a line when a GoP after the first is begun."""

    def __init__(self) -> None:
        self.gop = 0
        self.began = time.monotonic()

    def __call__(self, status: Any) -> None:
        if status.gop > self.gop:
            self.gop = status.gop
            seconds = time.monotonic() - self.began
            left = seconds / status.share * (1 - status.share) if status.share else 0.0
            print(f"gsv: GoP {status.gop} of {status.gops} done, {_so_far(status)}, {left:.0f} s left", file=sys.stderr)


def _so_far(status: Any) -> str:
    """PSNR and bpp of what is written, else of the training."""
    if status.bpp is None or status.decoded_psnr is None:
        return f"{status.psnr:.2f} dB in training"
    return f"{status.decoded_psnr:.2f} dB at {status.bpp:.4f} bpp so far"


@contextmanager
def _live_bar(title: str) -> Iterator[Callable[[Any], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    # Where the line is too long for the terminal the text is cut, never the time left.
    text = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"))
    columns = (text, BarColumn(bar_width=5), TimeRemainingColumn(compact=True), TextColumn("left"))
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as progress:
        task = progress.add_task(title, total=1.0)

        def report(status: Any) -> None:
            progress.update(task, completed=status.share, description=_line(status))

        yield report


def _line(status: Any) -> str:
    """GoP, step and PSNR of the training; behind it PSNR and bpp of what is already in the file."""
    line = f"GoP {status.gop + 1}/{status.gops} {status.stage} {status.step}/{status.steps} {status.psnr:.2f} dB"
    if status.bpp is None or status.decoded_psnr is None:
        return line
    return f"{line}, file {status.decoded_psnr:.2f} dB {status.bpp:.4f} bpp"
