# SPDX-License-Identifier: MIT
"""Errors of the program and the exit codes they end in. Imports no torch, no encoder.

Every message is one line: what, where, found, expected, what to do.
"""

from gscodec.format.errors import GsvError

EXIT_OK = 0
EXIT_BAD_INPUT = 1
EXIT_USAGE = 2
EXIT_LIMIT = 3
EXIT_BACKEND = 4
EXIT_INTERRUPTED = 130


class CliError(GsvError):
    """Base of the errors the program raises itself; `exit_code` is what the process ends with."""

    exit_code = EXIT_BAD_INPUT


class MediaError(CliError):
    """A video or picture cannot be read: not a video, no video stream, zero frames, damaged, frames out of range."""


class OutputError(CliError):
    """The output cannot be written: no such folder, not writable, disk full."""


class UsageError(CliError):
    """The command or call asks for something that makes no sense."""

    exit_code = EXIT_USAGE


class BackendMissingError(CliError):
    """A device, engine or package that was asked for is not there."""

    exit_code = EXIT_BACKEND


def exit_code_of(error: BaseException) -> int:
    """Return the exit code for `error`: 1 bad input or output, 2 usage, 3 limit, 4 backend, 130 interrupted."""
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, CliError):
        return error.exit_code
    from gscodec.format.errors import LimitError
    from gscodec.kernels.errors import BackendError

    if isinstance(error, LimitError):
        return EXIT_LIMIT
    return EXIT_BACKEND if isinstance(error, BackendError) else EXIT_BAD_INPUT
