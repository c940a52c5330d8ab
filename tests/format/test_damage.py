# SPDX-License-Identifier: MIT
"""Damaged and hostile bytes: always an error that says where, never a hang, a crash or a large allocation."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gscodec.format.chunks import PREAMBLE
from gscodec.format.container import ContainerReader
from gscodec.format.describe import describe
from gscodec.format.errors import FormatError, LimitError
from gscodec.format.gop import read_gop
from tests.conformance.broken import base, f32, u8, uvar
from tests.conformance.edit import EditedFile
from tests.conformance.vectors import VECTORS

SMALL = ("tiny", "empty_and_one", "short_window")


def check_all(data: bytes) -> None:
    """Everything a program could do with a file: open, verify, list."""
    reader = ContainerReader(data)
    reader.verify()
    for _ in describe(reader):
        pass


def refused(data: bytes) -> FormatError:
    """The error of a broken file; anything else fails the test."""
    with pytest.raises(FormatError) as caught:
        check_all(data)
    assert caught.value.offset is not None
    assert caught.value.code.startswith("C-6.")
    return caught.value


@pytest.mark.parametrize("name", SMALL)
def test_truncation_at_every_byte(name: str) -> None:
    data = base(name)
    for length in range(len(data)):
        refused(data[:length])


@pytest.mark.parametrize("name", sorted(set(VECTORS) - set(SMALL)))
def test_truncation_in_the_header_and_around_every_chunk_border(name: str) -> None:
    data = base(name)
    borders = [chunk.offset for chunk in ContainerReader(data).chunks()]
    cuts = {cut for border in borders for cut in range(border - 3, border + 15)} | set(range(60))
    for length in sorted(cut for cut in cuts if 0 <= cut < len(data)):
        refused(data[:length])


@pytest.mark.parametrize("name", SMALL)
def test_every_bit_flip(name: str) -> None:
    data = base(name)
    for position in range(8 * len(data)):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << position % 8
        refused(bytes(broken))


@pytest.mark.parametrize("data", [b"", b"\x89", b"GSV", b"not a video at all, but long enough to hold everything" * 3])
def test_other_files(data: bytes) -> None:
    assert "signature" in str(refused(data))


def test_messages_say_what_where_and_which_rule() -> None:
    data = base("tiny")
    flipped = data[:0x60] + bytes((data[0x60] ^ 4,)) + data[0x61:]
    message = str(refused(flipped))
    assert message.startswith("not a valid .gsv file: GOPD, ")
    for part in ("byte 0x29", "CRC is", "damaged", "(SPEC.md C-6.3-4)"):
        assert part in message


ABSURD = {
    "SEQH.max_gop_frames": uvar((1 << 32) - 1),
    "SEQH.width": uvar((1 << 32) - 1),
    "gop[0].gop_header.gaussian_count": uvar((1 << 32) - 1),
    "gop[0].mean_data.gap.token_count": uvar(1 << 31),
    "gop[0].mean_data.gap.word_count": uvar((1 << 32) - 1),
    "gop[0].shape_data.shape.component[0].bit_width": u8(32),
    "gop[0].colour_data.colour.component[0].entropy_model": u8(1),
    "gop[0].shape_data.shape.step[0]": f32(3e38),
    "gop[0].length": b"\xff\xff\xff\xff",
    "INDX.length": b"\xff\xff\xff\x7f",
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_counts(name: str) -> None:
    file = EditedFile(base("tiny"))
    file.set(name, ABSURD[name])
    data = file.build()
    with measured():
        refused(data)


ABSURD_INDEX = {
    "INDX.gop_count": uvar((1 << 32) - 1),
    "INDX.length[0]": uvar((1 << 32) - 1),
    "ENDF.index_offset": b"\xff" * 8,
}


def test_absurd_frame_count_is_over_the_limit() -> None:
    file = EditedFile(base("tiny"))
    file.set("SEQH.frame_count", uvar((1 << 32) - 1))
    with pytest.raises(LimitError, match="4294967295 frames"):
        ContainerReader(file.build())


@pytest.mark.parametrize("name", ABSURD_INDEX)
def test_absurd_index(name: str) -> None:
    file = EditedFile(base("tiny"))
    file.build()
    with measured():
        refused(file.build({name: ABSURD_INDEX[name]}))


class measured:
    """Fails if the block takes long or much memory."""

    def __enter__(self) -> None:
        tracemalloc.start()
        self._start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        seconds = time.perf_counter() - self._start
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seconds < 2
        assert peak < 20_000_000


def test_free_expansion_is_bounded() -> None:
    """All planes of one symbol: the most Gaussians per byte that the rules let through."""
    file = EditedFile(base("tiny"))
    one_symbol = bytes((1, 0, 1))  # static, minimum 0, one symbol
    file.set("gop[0].mean_data.gap.*", bytes((2, 1)))
    for part in ("shape_data.shape", "colour_data.colour"):
        for i in range(3):
            file.set(f"gop[0].{part}.component[{i}].*", one_symbol)
    file.set("gop[0].gop_header.gaussian_count", uvar(8 * 80))
    with measured():
        check_all(file.build())
    file.set("gop[0].gop_header.gaussian_count", uvar(8 * 200))
    with measured():
        assert refused(file.build()).code == "C-6.5-8"


def repaired(data: bytes, edits: list[tuple[int, int]]) -> bytes:
    """`data` with bytes replaced inside payloads, and the CRCs made right again."""
    out = bytearray(data)
    chunks = list(ContainerReader(data).chunks())
    for place, value in edits:
        out[PREAMBLE + place % (len(data) - PREAMBLE)] = value
    for chunk in chunks:
        end = chunk.offset + chunk.length - 4
        out[end : end + 4] = zlib.crc32(out[chunk.offset : end]).to_bytes(4, "little")
    return bytes(out)


EDITS = st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=400)
@given(st.sampled_from(sorted(VECTORS)), EDITS)
def test_repaired_mutations_read_or_raise(name: str, edits: list[tuple[int, int]]) -> None:
    with suppress(FormatError, LimitError):
        check_all(repaired(base(name), edits))


RICH = ["main", "planes", "field_edges", "residual_stages"]


@settings(max_examples=300)
@given(st.sampled_from(RICH), st.binary(max_size=400), st.integers(0, 200))
def test_noise_after_a_good_beginning(name: str, noise: bytes, kept: int) -> None:
    reader = ContainerReader(base(name))
    payload = reader.payload(reader.gop_chunk(0))
    with suppress(FormatError, LimitError):
        read_gop(payload[:kept] + noise, reader.header)


@settings(max_examples=300)
@given(st.sampled_from(["chain", "seamless"]), st.binary(max_size=200), st.integers(0, 300))
def test_noise_in_a_predicted_gop(name: str, noise: bytes, kept: int) -> None:
    reader = ContainerReader(base(name))
    payload = reader.payload(reader.gop_chunk(1))
    with suppress(FormatError, LimitError):
        read_gop(payload[:kept] + noise, reader.header, None, reader.read_gop(0))
