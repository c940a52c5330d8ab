# SPDX-License-Identifier: MIT
"""Where `gsv` begins and ends: interrupts are caught before anything large is imported."""

import contextlib
import os
import sys

from gscodec_cli.interrupts import catch_interrupts, was_interrupted


def main() -> None:
    """Run the program and leave with its exit code."""
    _fill_closed_streams()
    catch_interrupts()
    try:
        from gscodec_cli.main import run

        code = run(sys.argv[1:])
    except BaseException:
        if not was_interrupted():
            raise
        print("gsv: interrupted", file=sys.stderr)
        code = 130
    _leave(code)


def _fill_closed_streams() -> None:
    """Put something that can be neither read nor written where the caller has closed a standard stream.

    The next file that is opened would be in its place, and what is printed would be written into it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDONLY)) <= 2:
        if descriptor == 0:
            os.close(descriptor)
            os.open(os.devnull, os.O_WRONLY)
    os.close(descriptor)
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _leave(code: int) -> None:
    """End the process as it is.

    Everything is written by now. Taking the interpreter apart would only give the threads of torch and FFmpeg, which
    may hold its locks, and a late signal a chance to stop it.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
