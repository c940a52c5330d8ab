# SPDX-License-Identifier: MIT
"""Errors of the format layer: who is to blame, where, and what to do. Imports the standard library only."""

from __future__ import annotations

from typing import NamedTuple, NoReturn


class GsvError(Exception):
    """Base of every error that `gscodec.format` raises on purpose."""


class FormatError(GsvError):
    """The bytes (or a record to be written) break a rule of SPEC.md.

    `code` is the conformance number (`C-6.2-3`), `offset` the byte in the file, `chunk` the chunk or GoP it lies in.
    """

    def __init__(self, message: str, *, offset: int | None = None, code: str = "", chunk: str = "") -> None:
        self.message, self.offset, self.code, self.chunk = message, offset, code, chunk
        super().__init__(message)

    def __str__(self) -> str:
        where = [self.chunk] if self.chunk else []
        if self.offset is not None:
            where.append(f"byte {self.offset:#x}")
        place = ", ".join(where) + ": " if where else ""
        rule = f" (SPEC.md {self.code})" if self.code else ""
        return f"not a valid .gsv file: {place}{self.message}{rule}"


class LimitError(GsvError):
    """The file asks for more than this decoder is willing to give; `flag` is the option that raises the limit.

    `message` says it in other words where no option raises it.
    """

    def __init__(self, limit: str, asked: int, allowed: int, flag: str, message: str = "") -> None:
        self.limit, self.asked, self.allowed, self.flag = limit, asked, allowed, flag
        super().__init__(message or f"the file asks for {asked} {limit}, the limit is {allowed}; raise it with {flag}")


class Place(NamedTuple):
    """A position to blame: `offset` in the file and the name of the chunk around it."""

    offset: int | None = None
    chunk: str = ""

    def fail(self, code: str, message: str) -> NoReturn:
        """Raise FormatError for rule `code` at this place."""
        raise FormatError(message, offset=self.offset, code=code, chunk=self.chunk)
