# SPDX-License-Identifier: MIT
"""What the fuzzer does with a file: read it in all three ways, decode, draw, cut, and compare what came out.

Any bytes must give an error of ours or frames, in two seconds and within the limits. What the strict reader accepts
the others must read the same, and what it refuses the salvaging one must name. `exercise` raises AssertionError, or
whatever escaped, where that does not hold.
"""

from __future__ import annotations

import io
import resource
import time
import warnings
import zlib
from collections.abc import Callable

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import dequantise
from gscodec.format.describe import describe, file_bits
from gscodec.format.errors import FormatError, GsvError, LimitError
from gscodec.format.join import join, part
from gscodec.format.limits import Limits
from gscodec.format.salvage import NothingLeftError, SalvagedReader
from gscodec.format.sequential import SequentialReader
from gscodec.format.source import GopSource
from gscodec_cli.decoder.reconstruct import GopRenderer

SECONDS = 2.0
LIMITS = Limits(
    pixels=1 << 16,
    frames=1 << 12,
    gaussians=1 << 14,
    parameters=1 << 18,
    chunk_bytes=1 << 20,
    covered_pixels=1 << 24,
    memory=64 << 20,
)
SLACK = 48 << 20  # what the allocator keeps, and the engine's own tables
EVERY = 8  # one input in so many is read in all ways; which ones depends on their bytes alone

warnings.simplefilter("error")  # an overflow that nobody expected is a finding


def exercise(data: bytes) -> str:
    """Everything a program could do with a file; returns `drawn`, `refused` or `limited`."""
    return bounded(exercise_file, data)


def bounded(action: Callable[[bytes], str], data: bytes) -> str:
    """What `action` makes of an input, which must not take long, nor much memory: its outcome, or `limited`."""
    began, memory = time.process_time(), peak_memory()  # a busy machine is no hang
    try:
        outcome = action(data)
    except LimitError:
        outcome = "limited"
    seconds = time.process_time() - began
    assert seconds < SECONDS, f"took {seconds:.1f} s"
    grown = peak_memory() - memory
    assert grown < LIMITS.memory + SLACK, f"took {grown >> 20} MiB"
    return outcome


def peak_memory() -> int:
    """Bytes that this process has had in memory at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def exercise_file(data: bytes) -> str:
    """`exercise` without bounds."""
    readers: list[ContainerReader] = []

    def read() -> None:
        readers.append(ContainerReader(data, LIMITS))
        readers[0].verify()

    refused = _refusal(read)
    if is_chosen(data):
        _compare(data, refused)
    return _draw(readers[0]) if refused is None else "refused"


def is_chosen(data: bytes, every: int = EVERY) -> bool:
    """Whether an input is one of the few, one in `every`, that are looked at more closely."""
    return zlib.crc32(data) % every == 0


def _compare(data: bytes, refused: FormatError | None) -> None:
    """Read the same bytes in the other ways."""
    file = io.BytesIO(data)
    streamed = _refusal(lambda: SequentialReader(file, LIMITS).verify())
    if streamed:
        _survives_lenient(data)
    faults = _faults(data)
    if refused is not None:
        assert faults, f"refused but not a fault: {refused}"
        behind = file.tell() < len(data)  # a stream never reads what stands behind the ENDF chunk
        assert streamed or behind, f"refused but streamed: {refused}"
        return
    assert streamed is None, f"read but not streamed: {streamed}"
    assert not faults, f"whole but a fault: {faults[0]}"
    reader = ContainerReader(data, LIMITS)
    assert sum(file_bits(reader).values()) == 8 * len(data)
    assert sum(entry.length for entry in describe(reader)) == len(data)
    _cut(reader)


def _refusal(action) -> FormatError | None:
    try:
        action()
    except FormatError as error:
        return error
    return None


def _survives_lenient(data: bytes) -> None:
    """A damaged stream ends in whole GoPs and faults, or refuses to begin."""
    try:
        stream = SequentialReader(io.BytesIO(data), LIMITS, lenient=True)
    except FormatError:
        return
    for _ in stream.indices():
        pass
    assert stream.missing() is not None


def _faults(data: bytes) -> list:
    """Faults of a file; whatever is left of it must be readable."""
    try:
        left = SalvagedReader(data, LIMITS)
    except NothingLeftError as error:
        return error.faults or [error]
    except FormatError as error:
        return [error]
    if left.gop_count:  # each was decoded on opening; one is entered on its own
        left._decoded = None
        left.read_gop(zlib.crc32(data) // EVERY % left.gop_count)
    spans = left.missing()
    assert all(0 <= a < b <= left.header.frame_count for a, b in spans)
    assert not spans or left.faults
    return left.faults


def _cut(reader: ContainerReader) -> None:
    """A cut of a good file is a good file, and every frame of it survives the loss of its sequence header."""
    entry = reader.gop_table[-1]
    file = io.BytesIO()
    try:
        join([part(reader, entry.first_frame, entry.end_frame)], file)
    except GsvError:  # times that do not fit, Gaussians that had just enough bytes
        return
    made = ContainerReader(file.getvalue(), LIMITS)
    made.verify()
    header = next(made.chunks())
    lost = file.getvalue()[: header.offset] + bytes(header.length) + file.getvalue()[header.offset + header.length :]
    left = SalvagedReader(lost, LIMITS)
    assert (left.header, left.gop_table) == (made.header, list(made.gop_table)), "not all is left beside a lost header"


def _draw(source: GopSource) -> str:
    """Draw the first, a middle and the last moment of up to two GoPs."""
    for index in {0, source.gop_count - 1}:
        for gop in source.gops_to_enter(index):
            record = source.read_gop(gop)
        try:
            renderer = GopRenderer(dequantise(record), source.header, threads=1, limits=LIMITS)
            for frame in {0, record.frame_count / 2, record.frame_count - 1}:
                renderer.render(renderer.position(frame))
        except FormatError as error:
            if error.code != "C-6.5-16":  # the only rule that drawing alone can check
                raise
            return "refused"
    return "drawn"
