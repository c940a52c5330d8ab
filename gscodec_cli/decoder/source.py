# SPDX-License-Identifier: MIT
"""Opens what a decoder reads from: a file, a pipe, a URL, what is left of a damaged file. Imports no torch."""

import io
import os
import stat
import sys
from typing import Any, BinaryIO

from gscodec.format.container import ContainerReader
from gscodec.format.limits import Limits
from gscodec.format.salvage import SalvagedReader
from gscodec.format.sequential import SequentialReader
from gscodec.format.source import GopSource
from gscodec_cli.errors import BackendMissingError, MediaError, UsageError
from gscodec_cli.interrupts import wait_for_bytes

STDIN = "-"
REMOTE_BLOCK = 1 << 16  # bytes asked of a server at once

Source = str | os.PathLike[str] | BinaryIO | bytes | GopSource


def name_of(source: Source) -> str:
    """What messages call a source."""
    if isinstance(source, str | os.PathLike):
        return "standard input" if source == STDIN else str(source)
    return "stream"


def open_source(source: Source, limits: Limits, *, keep_going: bool = False) -> GopSource:
    """The GoPs of `source`.

    `source` is a path, `-` for standard input, a URL (needs fsspec), a seekable binary file, the bytes of a file or a
    GopSource, which is returned as it is. Standard input and named pipes are read front to back. `keep_going`: what is
    damaged is passed over. Raises MediaError, UsageError, BackendMissingError, FormatError, LimitError.
    """
    if isinstance(source, GopSource):
        return source
    try:
        file = _file(source)
        if file is not None:
            return SequentialReader(file, limits, lenient=keep_going)
        opened = _remote(source) if isinstance(source, str) and "://" in source else source
        return SalvagedReader(opened, limits) if keep_going else ContainerReader(opened, limits)
    except OSError as error:
        raise MediaError(f"{name_of(source)}: cannot be read: {error.strerror or error}") from None


def _file(source: str | os.PathLike[str] | BinaryIO | bytes) -> BinaryIO | None:
    """The file to read front to back, or None where `source` can be entered anywhere."""
    if source == STDIN:
        if sys.stdin.isatty():
            raise UsageError("-: standard input is a terminal; pipe a .gsv file into it")
        return _Pipe(sys.stdin.fileno(), closefd=False)
    if not isinstance(source, str | os.PathLike) or not os.path.exists(source):
        return None
    return _Pipe(source) if stat.S_ISFIFO(os.stat(source).st_mode) else None


class _Pipe(io.FileIO):
    """A pipe, of which a wait for bytes can be broken off."""

    def read(self, size: int | None = -1, /) -> bytes:
        wait_for_bytes(self.fileno())
        return super().read(size)


def _remote(url: str) -> Any:
    """A seekable file that fetches the bytes asked for, by range requests over HTTP."""
    try:
        import fsspec
    except ImportError:
        raise BackendMissingError(f"{url}: reading from a URL needs fsspec: install gscodec[remote]") from None
    try:
        return fsspec.open(url, "rb", block_size=REMOTE_BLOCK, cache_type="readahead").open()
    except ImportError as error:  # the package for this kind of URL
        raise BackendMissingError(f"{url}: {error}; install gscodec[remote]") from None
    except (ValueError, RuntimeError) as error:
        raise MediaError(f"{url}: cannot be read: {error}") from None
