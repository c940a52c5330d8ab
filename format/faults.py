# SPDX-License-Identifier: MIT
"""What is wrong with a damaged file, as data: where, which chunk, which frames. Imports the format's own modules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .chunks import PREAMBLE, SEQH, Chunk
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


def told_of_copy(faults: list[Fault], copy: Chunk) -> list[Fault]:
    """`faults` of a file in which `copy` stands in for the sequence header; the one of the SEQH chunk says so."""
    place = next((i for i, fault in enumerate(faults) if fault.offset == PREAMBLE), None)
    if place is None:
        faults, place = [Fault(PREAMBLE, 0, SEQH, "there is no SEQH chunk", "C-6.2-3"), *faults], 0
    said = f"the copy of the sequence header at byte {copy.offset:#x} is good and stands in for it"
    told = replace(faults[place], message=f"{faults[place].message}; {said}")
    return [*faults[:place], told, *faults[place + 1 :]]
