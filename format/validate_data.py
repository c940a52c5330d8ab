# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.6 to 6.14: what a GoP holds, planes, tables, index, file end.

As validate.py. Imports rules and limits only.
"""

from __future__ import annotations

from .limits import FREE_PARAMETERS
from .rules import between, rule

COORDINATE_SPAN = 1 << 24  # grid positions per axis: exact in float32
CHUNK_FRAMING = 13  # bytes of a chunk that are not payload
WINDOW_SPAN = 1 << 20  # birth and duration symbols: exact in float32

# 6.6 Means


@rule("C-6.6-1")
def fraction_bits(value: int) -> str | None:
    """fraction_bits is 0 to 8."""
    return between("fraction_bits", value, 0, 8)


@rule("C-6.6-2")
def grid_span(span: int) -> str | None:
    """The grid has at most 2^24 positions per axis."""
    return between("positions of the mean grid per axis", span, 1, COORDINATE_SPAN)


@rule("C-6.6-3")
def means_in_grid(x: int, y: int, span: tuple[int, int]) -> str | None:
    """Every mean lies on the grid."""
    inside = 0 <= x < span[0] and 0 <= y < span[1]
    return None if inside else f"a mean at grid position ({x}, {y}), the grid is {span[0]} x {span[1]}"


@rule("C-6.6-4")
def gaps_do_not_overflow(total: float) -> str | None:
    """The gaps add up to less than 2^48."""
    return None if total < 1 << 48 else f"the Morton gaps add up to {total:.0f}, expected less than 2^48"


# 6.7 Shape and colour


@rule("C-6.7-1")
def shape_type(value: int) -> str | None:
    """shape_type is 0 or 1."""
    return between("shape_type", value, 0, 1)


@rule("C-6.7-2")
def colour_space(value: int) -> str | None:
    """colour_space is 0 or 1."""
    return between("colour_space", value, 0, 1)


@rule("C-6.7-3")
def colour_norm(value: int) -> str | None:
    """colour_norm is 0 or 1."""
    return between("colour_norm", value, 0, 1)


# 6.8 Coded


@rule("C-6.8-1")
def quantiser_type(value: int) -> str | None:
    """quantiser_type is 0 or 1."""
    return between("quantiser_type", value, 0, 1)


@rule("C-6.8-2")
def step(value: float) -> str | None:
    """Steps are positive."""
    return None if value > 0 else f"step is {value}, expected more than 0"


@rule("C-6.8-3")
def stage_count(value: int) -> str | None:
    """stage_count is 1 to 8."""
    return between("stage_count", value, 1, 8)


@rule("C-6.8-4")
def codebook_log2(value: int) -> str | None:
    """codebook_log2 is 1 to 10."""
    return between("codebook_log2", value, 1, 10)


@rule("C-6.8-5")
def codeword_index(low: int, high: int, size: int) -> str | None:
    """Indices name codewords of the codebook."""
    return None if low >= 0 and high < size else f"codeword indices {low} to {high}, the codebook has {size}"


@rule("C-6.8-6")
def values_are_finite(finite: bool, name: str) -> str | None:
    """Dequantised values are finite."""
    return None if finite else f"{name}: a dequantised value is too large for float32"


# 6.9 Windows


@rule("C-6.9-1")
def window_edge(value: float) -> str | None:
    """edge is positive."""
    return None if value > 0 else f"edge is {value}, expected more than 0"


@rule("C-6.9-2")
def window_denominator(value: int) -> str | None:
    """denominator is 1 to 16."""
    return between("denominator", value, 1, 16)


@rule("C-6.9-3")
def window_birth(low: int, high: int) -> str | None:
    """Births lie within 2^20 of zero."""
    return between("birth", low, -WINDOW_SPAN, WINDOW_SPAN) or between("birth", high, -WINDOW_SPAN, WINDOW_SPAN)


@rule("C-6.9-4")
def window_duration(low: int, high: int) -> str | None:
    """From birth to death are 0 to 2^20."""
    return between("death - birth", low, 0, WINDOW_SPAN) or between("death - birth", high, 0, WINDOW_SPAN)


# 6.10 Hash field


@rule("C-6.10-1")
def input_scale(value: float) -> str | None:
    """input_scale is in (0, 1]."""
    return None if 0 < value <= 1 else f"input_scale is {value}, expected more than 0 and at most 1"


@rule("C-6.10-2")
def level_count(value: int) -> str | None:
    """level_count is 0 to 16."""
    return between("level_count", value, 0, 16)


@rule("C-6.10-3")
def feature_count(value: int) -> str | None:
    """feature_count is 1, 2, 4 or 8."""
    return None if value in (1, 2, 4, 8) else f"feature_count is {value}, expected 1, 2, 4 or 8"


@rule("C-6.10-4")
def log2_table_size(value: int) -> str | None:
    """log2_table_size is 0 to 20."""
    return between("log2_table_size", value, 0, 20)


@rule("C-6.10-5")
def resolution(value: int) -> str | None:
    """resolution is 2 to 65535."""
    return between("resolution", value, 2, 65535)


@rule("C-6.10-6")
def level_scale(value: float, resolution: int) -> str | None:
    """scale is above 0 and at most resolution."""
    return None if 0 < value <= resolution else f"scale is {value}, expected more than 0 and at most {resolution}"


@rule("C-6.10-7")
def frequency_count(value: int) -> str | None:
    """frequency_count is 0 to 16."""
    return between("frequency_count", value, 0, 16)


@rule("C-6.10-8")
def hidden_width(value: int) -> str | None:
    """hidden_width is 1 to 1024."""
    return between("hidden_width", value, 1, 1024)


@rule("C-6.10-9")
def field_has_inputs(width: int) -> str | None:
    """The network has at least one input."""
    return None if width > 0 else "the field has neither levels nor frequencies, expected at least one input"


@rule("C-6.10-10")
def parameters_have_bytes(count: int, payload_length: int) -> str | None:
    """The field has at most 2^16 + 64 * payload bytes parameters."""
    most = FREE_PARAMETERS + 64 * payload_length
    return None if count <= most else f"{count} field parameters, a payload of {payload_length} bytes allows {most}"


# 6.11 Planes


@rule("C-6.11-1")
def entropy_model(value: int) -> str | None:
    """entropy_model is 0 to 3."""
    return between("entropy_model", value, 0, 3)


@rule("C-6.11-2")
def gap_entropy_model(value: int) -> str | None:
    """A gap plane uses model 2."""
    return between("entropy_model of the gap plane", value, 2, 2)


@rule("C-6.11-3")
def fixed_width(value: int) -> str | None:
    """bit_width is 0 to 32."""
    return between("bit_width", value, 0, 32)


@rule("C-6.11-4")
def symbol_count(name: str, value: int, most: int) -> str | None:
    """symbol_count is 1 to 4096, token_count 1 to 255 (192 in a gap plane)."""
    return between(name, value, 1, most)


@rule("C-6.11-5")
def symbols_fit(low: int, high: int) -> str | None:
    """Symbols fit 32 bits, two's complement."""
    return between("symbol", low, -(1 << 31), (1 << 31) - 1) or between("symbol", high, -(1 << 31), (1 << 31) - 1)


@rule("C-6.11-6")
def last_word(word: int) -> str | None:
    """The last rANS word is not zero."""
    return None if word != 0 else "the last rANS word is 0"


@rule("C-6.11-7")
def rans_ends_empty(empty: bool) -> str | None:
    """The rANS decoder ends with state 0 and no words left."""
    return None if empty else "the rANS words do not end with the last symbol"


@rule("C-6.11-8")
def padding(zero: bool) -> str | None:
    """Padding bits are zero."""
    return None if zero else "padding bits are not zero"


@rule("C-6.11-9")
def tokens_fit(lowest: int, count: int) -> str | None:
    """Signed tokens are -127 to 127."""
    return between("token", lowest, -127, 127) or between("token", lowest + count - 1, -127, 127)


# 6.12 Tables


@rule("C-6.12-1")
def rice_k(value: int) -> str | None:
    """rice_k is 0 to 5."""
    return between("rice_k", value, 0, 5)


@rule("C-6.12-2")
def weight_class(value: int) -> str | None:
    """Weight classes are 0 to 63."""
    return between("weight class", value, 0, 63)


@rule("C-6.12-3")
def weights_are_not_all_zero(total: int) -> str | None:
    """At least one weight is not zero."""
    return None if total > 0 else "all weight classes of a table are 0"


# 6.13 Index


@rule("C-6.13-1")
def index_frames(frames: int, total: int) -> str | None:
    """The index's frame counts add up to the sequence's."""
    return None if frames == total else f"the index has {frames} frames, the sequence {total}"


@rule("C-6.13-2")
def index_inside_file(start: int, end: int, span: tuple[int, int]) -> str | None:
    """Indexed chunks lie between the sequence header and the index."""
    inside = span[0] <= start and start + CHUNK_FRAMING < end <= span[1]
    return None if inside else f"index names bytes {start} to {end}, GoP chunks lie in {span[0]} to {span[1]}"


@rule("C-6.13-3")
def index_matches(name: str, found: int | str, indexed: int | str) -> str | None:
    """The index agrees with the chunks."""
    return None if found == indexed else f"{name} is {found}, the index says {indexed}"


@rule("C-6.13-4")
def entry_delta(value: int, before: int) -> str | None:
    """entry_delta is 0, or one more than that of the GoP before (-1 if there is none, so that the first one is 0)."""
    return None if value in (0, before + 1) else f"entry_delta is {value}, expected 0 or {before + 1}"


# 6.14 File end


@rule("C-6.14-1")
def index_is_there(kind: str) -> str | None:
    """index_offset is the place of the INDX chunk."""
    return None if kind == "INDX" else f"no INDX chunk where the ENDF chunk says (found {kind!r})"
