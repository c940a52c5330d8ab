# SPDX-License-Identifier: MIT
"""What the fuzzer does with parameters: any finite numbers in place of those of a good file, drawn small."""

from __future__ import annotations

import struct
from dataclasses import fields, replace

import numpy as np

from gscodec.format.dequant import FieldParameters, GopParameters
from gscodec.format.errors import FormatError
from gscodec.format.records import SequenceHeader
from gscodec_cli.decoder.reconstruct import GopRenderer
from gscodec_cli.decoder.view import make_view
from tests.fuzz.target import LIMITS

CHANGE = struct.Struct("<BHf")  # which array, which number of it, its new value
HEAD = 2  # which GoP, which view
FARTHEST = 1 << 24  # px: what the grid of means allows
VIEWS = (None, (16, 12), (7, 1), (40, 30))  # sizes; None is the coded one


class Painter:
    """Draws GoPs, each by its number and changes to its parameters."""

    def __init__(self, gops: list[tuple[SequenceHeader, GopParameters]]) -> None:
        self._gops = gops

    def draw(self, data: bytes) -> str:
        """Draw the first, a middle and the last moment; pictures have their shape, whatever the numbers are."""
        number, view = data[:HEAD].ljust(HEAD, b"\0")
        header, params = self._gops[number % len(self._gops)]
        params = changed(params, data[HEAD:])
        size = VIEWS[view % len(VIEWS)]
        try:
            renderer = GopRenderer(params, header, view=make_view(header, size), threads=1, limits=LIMITS)
            for frame in (-0.5, params.frame_count / 3, params.frame_count - 1):
                picture = renderer.render(renderer.position(frame))
                assert picture.shape == (*renderer.view.shape, 3)
                assert picture.dtype == (np.uint8 if header.bit_depth == 8 else np.uint16)
        except FormatError as error:
            if error.code != "C-6.5-16":  # the only rule that drawing alone can check
                raise
            return "refused"
        return "drawn"


def changed(params: GopParameters, changes: bytes) -> GopParameters:
    """`params` with numbers replaced as `changes` say, those of the field among them."""
    arrays = _arrays(params)
    inside = _arrays(params.field) if params.field is not None else {}
    both = [*((False, name) for name in arrays), *((True, name) for name in inside)]
    for which, index, value in CHANGE.iter_unpack(changes[: len(changes) // CHANGE.size * CHANGE.size]):
        of_field, name = both[which % len(both)]
        array = (inside if of_field else arrays)[name]
        if array.size:
            farthest = FARTHEST if name == "mean" else 3e38
            array.flat[index % array.size] = np.clip(np.nan_to_num(value), -farthest, farthest)
    if params.field is not None:
        arrays["field"] = replace(params.field, **inside)
    return replace(params, **arrays)


def _arrays(params: GopParameters | FieldParameters) -> dict[str, np.ndarray]:
    """Copies of the arrays by name."""
    named = {field.name: getattr(params, field.name) for field in fields(params)}
    return {name: value.copy() for name, value in named.items() if isinstance(value, np.ndarray)}
