# SPDX-License-Identifier: MIT
"""Predicted GoPs: any frame in any order, only what is needed is read, damage costs the rest of its chain."""

import random

import numpy as np
import pytest

from gscodec.format.container import ContainerReader
from gscodec_cli import VideoDecoder
from gscodec_cli.decoder.decode import StreamDecoder
from tests.conformance.broken import base
from tests.decoder.test_decode import CountingFile

DATA = base("chain")  # GoPs of 4, 4, 1, 2 frames, one chain; of 3 and 2, another
TABLE = ContainerReader(DATA).gop_table


@pytest.fixture(scope="module")
def whole() -> list[np.ndarray]:
    return list(StreamDecoder(DATA).frames(0, 16))


def test_any_frame_in_any_order(whole: list[np.ndarray]) -> None:
    decoder = VideoDecoder(DATA, dimension_order="NHWC", output="numpy")
    order = [*range(15, -1, -1), *random.Random(3).sample(range(16), 16)]
    for index in order:
        np.testing.assert_array_equal(decoder[index], whole[index])
    np.testing.assert_array_equal(decoder[3:14:5], np.stack(whole[3:14:5]))


@pytest.mark.parametrize(("frames", "needed"), [((14, 16), {4, 5}), ((8, 9), {0, 1, 2}), ((11, 13), {4})])
def test_a_chain_is_entered_at_its_beginning(frames: tuple[int, int], needed: set[int]) -> None:
    file = CountingFile(DATA)
    decoder = StreamDecoder(file)
    file.seen.clear()
    list(decoder.frames(*frames))
    touched = {i for i, e in enumerate(TABLE) if file.seen & set(range(e.offset, e.offset + e.length))}
    assert touched == needed


def test_keep_going_shows_the_last_frame_until_the_next_chain(whole: list[np.ndarray]) -> None:
    broken = bytearray(DATA)
    broken[TABLE[1].offset + 40] ^= 1
    shown = list(StreamDecoder(bytes(broken), keep_going=True).frames(0, 16))
    expected = whole[:4] + [whole[3]] * 7 + whole[11:]
    for frame, right in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(frame, right)
