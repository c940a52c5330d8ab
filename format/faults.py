# SPDX-License-Identifier: MIT
"""What is wrong with a damaged file, as data: where, which chunk, which frames. Imports the format's own modules."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import FormatError


@dataclass(frozen=True)
class Fault:
    """One damaged place: `length` bytes from `offset`, 0 where something is missing.

    `kind` is the chunk's type, "" where it cannot be told; `frames` are the frames [a, b) that may be gone, None where
    no frame is concerned.
    """

    offset: int
    length: int
    kind: str
    message: str
    code: str = ""
    frames: tuple[int, int] | None = None

    def __str__(self) -> str:
        what = f"{self.kind} chunk" if self.kind else "unknown bytes"
        where = f"byte {self.offset:#x}, {what} of {self.length} bytes" if self.length else f"byte {self.offset:#x}"
        rule = f" (SPEC.md {self.code})" if self.code else ""
        frames = f", frames {self.frames[0]}:{self.frames[1]}" if self.frames else ""
        return f"{where}{frames}: {self.message}{rule}"


def fault_of(error: FormatError, offset: int, length: int, kind: str) -> Fault:
    """The fault of a chunk at which `error` was met."""
    inside = f" at byte {error.offset:#x}" if error.offset not in (None, offset) else ""
    return Fault(offset, length, kind, error.message + inside, error.code)
