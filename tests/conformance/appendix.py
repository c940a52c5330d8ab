# SPDX-License-Identifier: MIT
"""The generated parts of SPEC.md: the table of weights and the annotated hex dump of the vector `tiny`.

Run it to rewrite them in place: python -m tests.conformance.appendix
"""

from __future__ import annotations

import re
from pathlib import Path

from gscodec.format.container import ContainerReader
from gscodec.format.dequant import dequantise
from gscodec.format.describe import describe
from gscodec.format.schema import Entry
from gscodec.format.tables import LUT

SPEC = Path(__file__).resolve().parents[2] / "SPEC.md"
TINY = Path(__file__).resolve().parent / "vectors" / "tiny.gsv"

NOTES = {
    "SEQH.profile": "main",
    "SEQH.width": "pixels",
    "SEQH.colour_primaries": "unspecified",
    "SEQH.time_base_den": "1/25 s",
    "SEQH.frame_duration": "1 tick",
    "gop[0].gop_header.reference_mode": "decoded alone",
    "gop[0].gop_header.gaussian_count": "N = 2",
    "gop[0].gop_header.blend_mode": "sum",
    "gop[0].mean_data.fraction_bits": "grid of 1/4 pixel",
    "gop[0].mean_data.gap.entropy_model": "hybrid",
    "gop[0].shape_data.shape_type": "l11, l21, l22 in pixels",
    "gop[0].shape_data.shape.quantiser_type": "uniform",
    "gop[0].colour_data.colour_space": "RGB",
    "gop[0].colour_data.colour_norm": "weights",
    "INDX.offset_delta[0]": "from the start of the file",
    "INDX.entry_delta[0]": "entered here",
    "ENDF.index_offset": "to INDX",
}


def lut_block() -> str:
    """The weights, eight to a line."""
    rows = LUT.reshape(8, 8)
    return "\n".join(", ".join(f"{value:>10}" for value in row) for row in rows)


def hexdump_block(data: bytes) -> str:
    """One line per field: offset, bytes, name, value."""
    lines = ["offset  bytes                    field"]
    for entry in describe(ContainerReader(data)):
        raw = data[entry.offset : entry.offset + entry.length]
        note = NOTES.get(entry.name)
        text = f"{entry.name} = {_value(entry)}" + (f"  ({note})" if note else "")
        lines.append(f"{entry.offset:04x}    {raw.hex(' '):<24} {text}")
    return "\n".join(lines)


def _value(entry: Entry) -> str:
    if isinstance(entry.value, bytes):
        return f'"{entry.value.decode()}"' if entry.name.endswith(".type") else f"{entry.length} bytes"
    if isinstance(entry.value, float):
        return f"{entry.value:g}"
    return f"{entry.value:08x}" if entry.name.endswith("crc32") else str(entry.value)


def picture_of(data: bytes) -> str:
    """What the fields of `tiny` mean, in words."""
    record = ContainerReader(data).read_gop(0)
    params = dequantise(record)
    lines = ["What it says:"]
    for grid, mean, shape, colour in zip(record.mean.grid, params.mean, params.shape, params.colour, strict=True):
        numbers = [", ".join(f"{value:g}" for value in values) for values in (grid, mean, shape, colour)]
        lines.append("grid ({}), mean ({}) px, l11 l21 l22 = ({}), R G B = ({})".format(*numbers))
    return "\n".join(lines)


def fill(text: str, name: str, block: str) -> str:
    """`text` with the fenced block between the marks of `name` replaced."""
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}```\n{block}\n```\n{m[2]}", text, flags=re.S)


def filled(text: str, data: bytes) -> str:
    """SPEC.md with all generated parts made anew."""
    text = fill(text, "lut", lut_block())
    return fill(text, "hexdump", hexdump_block(data) + "\n\n" + picture_of(data))


if __name__ == "__main__":
    SPEC.write_text(filled(SPEC.read_text(encoding="utf-8"), TINY.read_bytes()), encoding="utf-8")
