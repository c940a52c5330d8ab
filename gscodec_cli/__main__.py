# SPDX-License-Identifier: MIT
"""Where `gsv` begins and ends: interrupts are caught before anything large is imported."""

import contextlib
import os
import sys

from gscodec_cli.interrupts import catch_interrupts, was_interrupted


def main() -> None:
    """Run the program and leave with its exit code."""
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
