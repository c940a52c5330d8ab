# SPDX-License-Identifier: MIT
"""Damaged and hostile bytes through the whole decoder, drawing included: an error of ours or frames, nothing else."""

from __future__ import annotations

import random
import zlib

import pytest

from gscodec.format.errors import FormatError, GsvError
from gscodec_cli.decoder.decode import StreamDecoder
from tests.decoder.synthetic import make_file, make_header


@pytest.fixture(scope="module")
def clip() -> bytes:
    return make_file(make_header(16, 16, 4, max_gop_frames=2), 6, ("motion", "window", "field"))


def decode(data: bytes) -> None:
    decoder = StreamDecoder(data)
    decoder.verify()
    for _ in zip(range(4), decoder.frames(0, decoder.frame_count), strict=False):
        pass


def test_every_flipped_bit_is_noticed(clip):
    for position in range(len(clip)):
        broken = bytearray(clip)
        broken[position] ^= 1 << position % 8
        with pytest.raises(GsvError):
            decode(bytes(broken))


def test_every_truncation_is_noticed(clip):
    for length in range(len(clip)):
        with pytest.raises(FormatError):
            decode(clip[:length])
    with pytest.raises(FormatError):
        decode(clip + b"\0")


def test_changes_with_right_checksums_do_no_harm(clip):
    rng = random.Random(5)
    chunks, offset = [], 10
    while offset < len(clip):
        length = int.from_bytes(clip[offset + 5 : offset + 9], "little")
        chunks.append((offset, length))
        offset += 13 + length
    outcomes = {"drawn": 0, "refused": 0}
    for _ in range(500):
        data = bytearray(clip)
        for _ in range(rng.randint(1, 3)):
            start, length = rng.choice(chunks[:-2])
            place = start + 9 + rng.randrange(length)
            data[place] = rng.choice([data[place] ^ 1 << rng.randrange(8), rng.randrange(256), 0, 255])
        for start, length in chunks:
            end = start + 9 + length
            data[end : end + 4] = zlib.crc32(data[start:end]).to_bytes(4, "little")
        try:
            decode(bytes(data))
            outcomes["drawn"] += 1
        except GsvError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20, outcomes
