# SPDX-License-Identifier: MIT
"""One file per conformance sentence of SPEC section 6 that breaks this sentence (and no earlier check)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache

import numpy as np

from gscodec.format import entropy
from gscodec.format.records import ColourData, MeanData, ShapeData
from gscodec.format.schema import SVAR, SVAR64, UVAR, UVAR64, FieldStream
from tests.conformance.build import Vector, file_of, gop, header, uniform
from tests.conformance.edit import EditedChunk, EditedFile
from tests.conformance.vectors import ANCILLARY, COPIED, VECTORS

Fields = dict[str, bytes | Callable[[bytes], bytes]]


def u8(value: int) -> bytes:
    return bytes((value,))


def uvar(value: int) -> bytes:
    return _written(UVAR, value)


def svar(value: int) -> bytes:
    return _written(SVAR, value)


def f32(value: float) -> bytes:
    return struct.pack("<f", value)


def _written(descriptor: object, value: int) -> bytes:
    io = FieldStream()
    io.field({"x": value}, "x", descriptor)  # type: ignore[arg-type]
    return io.getvalue()


def _gaps(*values: int) -> bytes:
    io = FieldStream()
    entropy.gap_plane(io, "gap", np.array(values, np.int64), len(values))
    return io.getvalue()


# Where the fields live.
HEADER = "gop[0].gop_header."
COLOUR = "gop[0].colour_data."
FIELD = "gop[0].field_hash."
STEP = "gop[0].shape_data.shape.step[0]"
MEAN = "gop[0].mean_data."
WIDE = uvar(65535)
RANS = "gop[0].mean_data.gap."  # in the vector main: a table with words
TABLE = "gop[0].shape_data.shape.component[0]."  # in the vector planes: entropy model 1

CLASSES = "gop[0].colour_data.colour.component[0]."  # in the vector contexts: entropy model 3, after seven planes

EDITS: dict[str, tuple[str, Fields]] = {
    "C-6.1-1": ("tiny", {"gop[0].colour_data.colour.component[2].*": b""}),
    "C-6.1-2": ("tiny", {"SEQH.frame_count": b"\x81\x00"}),
    "C-6.1-3": ("tiny", {"SEQH.width": b"\xff\xff\xff\xff\x1f"}),
    "C-6.1-4": ("tiny", {STEP: f32(float("nan"))}),
    "C-6.2-5": ("paths", {"gop[1].gop_header.first_frame": u8(4), "gop[2].gop_header.first_frame": u8(2)}),
    "C-6.3-1": ("tiny", {"gop[0].flags": u8(3)}),
    "C-6.3-3": ("tiny", {"gop[0].flags": u8(0)}),
    "C-6.3-4": ("tiny", {"gop[0].crc32": b"\0\0\0\0"}),
    "C-6.4-1": ("tiny", {"SEQH.profile": u8(2)}),
    "C-6.4-2": ("tiny", {"SEQH.level": u8(0)}),
    "C-6.4-3": ("tiny", {"SEQH.width": u8(0)}),
    "C-6.4-4": ("tiny", {"SEQH.width": uvar(65535)}),
    "C-6.4-5": ("tiny", {"SEQH.sar_num": u8(0)}),
    "C-6.4-6": ("tiny", {"SEQH.bit_depth": u8(11)}),
    "C-6.4-7": ("tiny", {"SEQH.full_range": u8(3)}),
    "C-6.4-8": ("tiny", {"SEQH.max_gop_frames": u8(0)}),
    "C-6.4-9": ("tiny", {"SEQH.frame_count": u8(0)}),
    "C-6.4-10": ("tiny", {"SEQH.start_pts": _written(SVAR64, (1 << 63) - 1)}),
    "C-6.4-11": ("tiny", {"SEQH.max_entry_distance": u8(0)}),
    "C-6.4-12": ("copied", {"seqh.width": u8(31)}),
    "C-6.5-1": ("tiny", {HEADER + "frame_count": u8(2)}),
    "C-6.5-2": ("tiny", {HEADER + "first_frame": u8(1)}),
    "C-6.5-3": ("variable_time", {HEADER + "pts_delta[0]": u8(0)}),
    "C-6.5-4": ("variable_time", {HEADER + "first_pts": svar(-301)}),
    "C-6.5-5": ("variable_time", {"gop[1].gop_header.first_pts": svar(-200)}),
    "C-6.5-6": ("tiny", {HEADER + "reference_mode": u8(2)}),
    "C-6.5-7": ("tiny", {HEADER + "gaussian_count": uvar((1 << 15) + 1)}),
    "C-6.5-8": ("tiny", {HEADER + "gaussian_count": uvar(1 << 15)}),
    "C-6.5-9": ("tiny", {HEADER + "blend_mode": u8(2)}),
    "C-6.5-10": ("main", {HEADER + "blend_epsilon": f32(0)}),
    "C-6.5-11": ("tiny", {HEADER + "motion_degree": u8(4)}),
    "C-6.5-12": ("tiny", {HEADER + "colour_drift": u8(2)}),
    "C-6.5-13": ("tiny", {HEADER + "window_type": u8(2)}),
    "C-6.5-14": ("tiny", {HEADER + "field_type": u8(2)}),
    "C-6.5-15": ("paths", {"SEQH.profile": u8(0)}),
    "C-6.5-17": ("tiny", {HEADER + "reference_mode": u8(1)}),
    "C-6.5-18": ("chain", {"SEQH.max_entry_distance": u8(10)}),
    "C-6.5-19": ("tiny", {HEADER + "camera_type": u8(2)}),
    "C-6.5-20": ("tiny", {HEADER + "detail_type": u8(3)}),
    "C-6.5-22": ("tiny", {HEADER + "filter_type": u8(2)}),
    "C-6.5-23": ("tiny", {HEADER + "repeat_count": u8(1)}),
    "C-6.5-24": ("repeated", {HEADER + "repeat_delta[0]": u8(0)}),
    "C-6.5-21": ("tiny", {HEADER + "residual_frames": u8(65)}),
    "C-6.6-1": ("tiny", {"gop[0].mean_data.fraction_bits": u8(9)}),
    "C-6.6-2": (
        "tiny",
        {"SEQH.level": u8(5), "SEQH.width": WIDE, MEAN + "fraction_bits": u8(8), MEAN + "margin": u8(1)},
    ),
    "C-6.6-3": ("tiny", {"SEQH.width": u8(4)}),
    "C-6.6-4": ("tiny", {"gop[0].mean_data.gap.*": _gaps(1 << 47, 1 << 47)}),
    "C-6.7-1": ("tiny", {"gop[0].shape_data.shape_type": u8(2)}),
    "C-6.7-2": ("tiny", {COLOUR + "colour_space": u8(2)}),
    "C-6.7-3": ("tiny", {COLOUR + "colour_norm": u8(2)}),
    "C-6.8-1": ("tiny", {COLOUR + "colour.quantiser_type": u8(2)}),
    "C-6.8-2": ("tiny", {STEP: f32(0)}),
    "C-6.8-3": ("stgv", {COLOUR + "colour.stage_count": u8(0)}),
    "C-6.8-4": ("stgv", {COLOUR + "colour.codebook_log2": u8(11)}),
    "C-6.8-5": ("stgv", {COLOUR + "colour.index[0].minimum": svar(1)}),
    "C-6.8-6": ("tiny", {STEP: f32(3e38)}),
    "C-6.9-1": ("short_window", {"gop[0].window_data.edge": f32(0)}),
    "C-6.9-2": ("short_window", {"gop[0].window_data.denominator": u8(17)}),
    "C-6.9-3": ("short_window", {"gop[0].window_data.birth.minimum": svar(-(1 << 20) - 1)}),
    "C-6.9-4": ("short_window", {"gop[0].window_data.death.minimum": svar(-(1 << 20))}),
    "C-6.10-1": ("main", {FIELD + "input_scale[2]": f32(1.5)}),
    "C-6.10-2": ("main", {FIELD + "grid2.level_count": u8(17)}),
    "C-6.10-3": ("main", {FIELD + "grid3.feature_count": u8(3)}),
    "C-6.10-4": ("main", {FIELD + "grid3.log2_table_size": u8(21)}),
    "C-6.10-5": ("main", {FIELD + "grid2.resolution[1]": u8(1)}),
    "C-6.10-6": ("main", {FIELD + "grid2.scale[0]": f32(5)}),
    "C-6.10-7": ("main", {FIELD + "frequency_count": u8(17)}),
    "C-6.10-8": ("main", {FIELD + "hidden_width": u8(0)}),
    "C-6.10-9": ("field_edges", {"gop[1].field_hash.frequency_count": u8(0)}),
    "C-6.10-10": (
        "main",
        {FIELD + "grid3.log2_table_size": u8(20), FIELD + "grid3.resolution[2]": uvar(65535)},
    ),
    "C-6.11-1": ("tiny", {COLOUR + "colour.component[0].entropy_model": u8(4)}),
    "C-6.11-2": ("tiny", {"gop[0].mean_data.gap.entropy_model": u8(1)}),
    "C-6.11-3": ("tiny", {COLOUR + "colour.component[0].bit_width": u8(33)}),
    "C-6.11-4": ("planes", {TABLE + "symbol_count": u8(0)}),
    "C-6.11-5": ("tiny", {COLOUR + "colour.component[0].minimum": svar((1 << 31) - 1)}),
    "C-6.11-6": ("main", {RANS + "word_count": lambda old: u8(old[0] + 1), RANS + "words": lambda old: old + bytes(4)}),
    "C-6.11-7": ("main", {RANS + "words": lambda old: u8(old[0] ^ 1) + old[1:]}),
    "C-6.11-8": ("tiny", {COLOUR + "colour.component[0].packed": lambda old: old[:-1] + u8(old[-1] | 0x80)}),
    "C-6.11-9": ("planes", {"gop[0].motion[1].component[1].lowest_token": svar(-128)}),
    "C-6.11-10": ("contexts", {CLASSES + "term_count": u8(0)}),
    "C-6.11-11": ("contexts", {CLASSES + "term[0].source": u8(2 * 7)}),
    "C-6.11-12": ("contexts", {CLASSES + "term[0].weight": svar(128)}),
    "C-6.11-13": ("contexts", {CLASSES + "class_count": u8(17)}),
    "C-6.11-14": ("contexts", {CLASSES + "threshold[2]": lambda old: b"\0"}),
    "C-6.11-15": ("contexts", {CLASSES + "raw_count": lambda old: u8(old[0] + 1)}),
    "C-6.12-1": ("main", {RANS + "rice_k": u8(6)}),
    "C-6.12-2": ("planes", {"gop[0].motion[1].component[1].classes": lambda old: b"\xff" * len(old)}),
    "C-6.12-3": ("main", {RANS + "classes": lambda old: bytes(len(old))}),
    "C-6.13-1": ("paths", {"INDX.frame_count[0]": u8(1)}),
    "C-6.13-2": ("tiny", {"INDX.offset_delta[0]": _written(UVAR64, 1 << 40)}),
    "C-6.13-3": ("tiny", {"INDX.length[0]": lambda old: uvar(old[0] - 1)}),
    "C-6.13-4": ("tiny", {"INDX.entry_delta[0]": u8(1)}),
    "C-6.15-2": ("deep", {"pict.source_codec.utf8": b"\xff\xfe\xfd\xfc"}),
    "C-6.15-3": ("deep", {"pict.source_chroma_format": u8(6)}),
    "C-6.15-4": ("deep", {"pict.content_light_present": u8(2)}),
    "C-6.15-5": ("deep", {"pict.last_frame_duration": _written(UVAR64, 1 << 63)}),
    "C-6.16-2": ("deep", {"strm.stream_count": u8(65)}),
    "C-6.16-3": ("deep", {"strm.stream[1].stream_type": u8(2)}),
    "C-6.16-4": ("deep", {"strm.stream[0].sample_rate": u8(0)}),
    "C-6.17-2": ("deep", {"pack.packet[1].stream": u8(2)}),
    "C-6.17-3": ("deep", {"pack.packet[0].packet_flags": u8(4)}),
    "C-6.17-4": ("deep", {"pack.packet[2].duration": _written(UVAR64, (1 << 63))}),
    "C-6.18-1": ("chain", {"gop[1].gop_header.colour_drift": u8(1)}),
    "C-6.18-2": (
        "stgv",
        {
            "SEQH.profile": u8(1),
            "SEQH.max_entry_distance": u8(6),
            "gop[1].gop_header.reference_mode": u8(1),
            "INDX.entry_delta[1]": u8(1),
        },
    ),
    "C-6.18-3": ("chain", {"gop[0].motion[1].step[0]": f32(0.3)}),
    "C-6.18-4": ("chain", {"gop[5].carry_data.carried.minimum": svar(1)}),
    "C-6.18-5": ("chain", {"gop[3].gop_header.gaussian_count": u8(1)}),
    "C-6.18-6": ("chain", {"gop[0].motion[1].component[1].minimum": svar(1 << 25)}),
    "C-6.18-7": ("seamless", {"gop[1].shape_data.shape.delta[0].minimum": svar((1 << 31) - 8)}),
    "C-6.18-8": ("chain", {"gop[1].motion[1].delta[0].minimum": svar(1 << 25)}),
    "C-6.19-2": ("tagged", {"tags.tag_count": uvar(1025)}),
    "C-6.19-3": ("tagged", {"tags.tag[0].value": b"\xff\xfe\xfd\xfc\xfb\xfa"}),
    "C-6.19-4": ("tagged", {"tags.chapter[1].time_base_den": u8(0)}),
    "C-6.19-5": ("tagged", {"tags.chapter[0].duration": _written(UVAR64, (1 << 63) + 40)}),
    "C-6.20-1": ("shaken", {"gop[0].camera_data.offset_bits": u8(9)}),
    "C-6.20-2": ("shaken", {"gop[0].camera_data.slope_bits": u8(25)}),
    "C-6.20-3": ("shaken", {"gop[0].camera_data.camera_step[4].minimum": svar(1 << 24)}),
    "C-6.21-1": ("tiny", {HEADER + "detail_type": u8(1)}),
    "C-6.21-2": ("detailed", {"gop[7].detail_data.detail_reference": u8(1)}),
    "C-6.21-3": ("detailed", {"gop[0].detail_data.detail_step[1]": f32(0)}),
    "C-6.21-4": ("detailed", {"gop[3].detail_data.kept.minimum": svar(1)}),
    "C-6.22-1": ("residual_blocks", {"gop[0].residual_data.residual_step[1]": f32(0)}),
    "C-6.22-3": ("residual_long", {"gop[0].residual_data.component[0].coded_count[0].minimum": svar(4095)}),
    "C-6.22-2": ("residual_blocks", {"gop[1].residual_data.component[2].coded_count[0].minimum": svar(60)}),
    "C-6.23-1": ("filtered", {"gop[0].filter_data.filter_weight.minimum": svar(100)}),
    "C-6.21-5": ("detailed", {"gop[0].detail_data.component[1].coded_count.minimum": svar(50)}),
    "C-6.14-1": ("tiny", {"ENDF.index_offset": (10).to_bytes(8, "little")}),
}


# Second files of a sentence, by what they are called after it.
MORE: dict[str, tuple[str, Fields]] = {
    # The context of a difference that uses itself, after those of the motion, the mean and the shape.
    "C-6.11-11_carried": ("changes", {"gop[1].colour_data.colour.delta[0].term[0].source": u8(2 * 7)}),
    # Every symbol of the plane fits, but one of them is a difference to 11.
    "C-6.11-5_inherited": (
        "detailed",
        {"gop[3].detail_data.component[1].coefficient[0].minimum": svar((1 << 31) - 1 - 49)},
    ),
    # A detail that stays in place, in a GoP of plain sums.
    "C-6.21-1_still": ("tiny", {HEADER + "detail_type": u8(2)}),
}


@cache
def base(name: str) -> bytes:
    """The unbroken file."""
    chunks = ANCILLARY[name] if name in ("deep", "tagged", "copied") else ()
    return file_of(VECTORS[name](), chunks, with_copy=name in COPIED)


def edited(name: str, fields: Fields) -> bytes:
    """Vector `name` with fields replaced; those of INDX and ENDF after the file has been repaired."""
    file = EditedFile(base(name))
    late: Fields = {}
    for field, value in fields.items():
        if field.startswith(("INDX", "ENDF")):
            late[field] = value
        else:
            file.set(field, value(file.get(field)) if callable(value) else value)
    file.build()
    return file.build({k: v(file.get(k)) if callable(v) else v for k, v in late.items()})


def _with_chunk(data: bytes, after: int, chunk: EditedChunk) -> bytes:
    file = EditedFile(data)
    file.chunks.insert(after, chunk)
    return file.build()


def crowded() -> Vector:
    """600 Gaussians, each over the whole 512 x 256 frame: more covered pixels than level 1 has."""
    count = 600
    grid = np.full((count, 2), 128)
    far = uniform(np.tile([[9, 0, 9]], (count, 1)), 64.0)
    grey = ColourData(0, 0, uniform(np.ones((count, 3), np.int64), 2.0**-12))
    return header(1, (512, 256)), [gop(0, 1, MeanData(0, 0, grid), ShapeData(0, far), grey)]


@cache
def broken_files() -> dict[str, bytes]:
    """{conformance number: bytes of a file that breaks it}, in the order of the SPEC."""
    tiny = base("tiny")
    files = {code: edited(*edit) for code, edit in EDITS.items()}
    files["C-6.2-1"] = b"\x88" + tiny[1:]
    files["C-6.2-2"] = tiny[:9] + b"\x06" + tiny[10:]
    files["C-6.2-3"] = _with_chunk(tiny, 1, EditedFile(tiny).chunk("SEQH"))
    files["C-6.2-4"] = tiny + b"\0"
    files["C-6.3-2"] = _with_chunk(tiny, 1, EditedChunk("new", b"NEWC", {}, []))
    files["C-6.3-5"] = _extra_byte(tiny)
    files["C-6.5-16"] = file_of(crowded())
    files["C-6.15-1"] = _twice("pict")
    files["C-6.16-1"] = _twice("strm")
    files["C-6.17-1"] = _without("strm")
    files["C-6.19-1"] = _twice("tags", "tagged", 2)
    return dict(sorted(files.items(), key=lambda item: number_of(item[0])))


@cache
def more_broken_files() -> dict[str, bytes]:
    """{name that begins with a conformance number: bytes of another file that breaks it}."""
    return {name: edited(*edit) for name, edit in MORE.items()}


def _twice(kind: str, name: str = "deep", after: int = 4) -> bytes:
    data = base(name)
    return _with_chunk(data, after, EditedFile(data).chunk(kind))


def _without(kind: str) -> bytes:
    file = EditedFile(base("deep"))
    file.chunks.remove(file.chunk(kind))
    return file.build()


def _extra_byte(data: bytes) -> bytes:
    file = EditedFile(data)
    file.chunk("gop[0]").fields.append(("extra", b"\0"))
    return file.build()


def number_of(code: str) -> tuple[int, ...]:
    """The parts of a conformance number, which sort as in the SPEC."""
    return tuple(int(part) for part in code[2:].replace("-", ".").split("."))
