# SPDX-License-Identifier: MIT
"""Found by the fuzzer: a chunk of an unknown type between INDX and ENDF was refused in a file, but not in a stream."""

from __future__ import annotations

import io

import pytest

from gscodec.format.chunks import END_LENGTH, write_chunk
from gscodec.format.container import ContainerReader
from gscodec.format.errors import FormatError
from gscodec.format.salvage import SalvagedReader
from gscodec.format.sequential import SequentialReader
from tests.conformance.broken import base

DATA = base("tiny")[:-END_LENGTH] + write_chunk("note", b"late", flags=0) + base("tiny")[-END_LENGTH:]


def test_every_reader_refuses_it() -> None:
    for read in (lambda: ContainerReader(DATA), lambda: SequentialReader(io.BytesIO(DATA)).verify()):
        with pytest.raises(FormatError, match="end of the INDX chunk"):
            read()
    assert [fault.code for fault in SalvagedReader(DATA).faults] == ["C-6.13-3"]
