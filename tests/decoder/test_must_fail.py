# SPDX-License-Identifier: MIT
"""Every conformance vector that breaks a rule is refused by the program's own decoder, by name."""

from pathlib import Path

import pytest

from gscodec.format.errors import FormatError, LimitError
from gscodec_cli.decoder.decode import StreamDecoder

VECTORS = sorted((Path(__file__).parents[1] / "conformance" / "vectors").glob("x_*.gsv"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_whole_decode_refuses(path):
    with pytest.raises((FormatError, LimitError)) as caught:
        decoder = StreamDecoder(path)
        decoder.verify()
        for index in range(decoder.frame_count):
            decoder.frame(index)
    code = getattr(caught.value, "code", "") or "limit"
    assert code in (path.stem.removeprefix("x_").partition("_")[0], "limit")


def test_there_are_vectors():
    assert len(VECTORS) > 50
