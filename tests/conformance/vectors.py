# SPDX-License-Identifier: MIT
"""What each conformance vector holds. The names are the file names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gscodec.format.chunks import COPY
from gscodec.format.morton import morton_order
from gscodec.format.picture import PictureMetadata, write_picture
from gscodec.format.records import (
    BLEND_NORMALISED,
    COLOUR_YCC,
    NORM_ENERGY,
    Coded,
    ColourData,
    DriftData,
    GridRecord,
    MeanData,
    MotionData,
    ShapeData,
    UniformQuantiser,
    WindowData,
)
from gscodec.format.sequence import write_sequence_header
from gscodec.format.streams import DISCARD, KEY, PacketRecord, StreamInfo, write_packets, write_streams
from gscodec.format.tags import Chapter, Tags, write_tags
from tests.conformance import chains, layers  # register their vectors
from tests.conformance.build import (
    SIZE,
    VECTORS,
    Vector,
    colours,
    field,
    gop,
    grid,
    header,
    log_shapes,
    means,
    motion,
    plain,
    rvq,
    shapes,
    uniform,
    vector,
    windows,
)
from tests.conformance.numbers import Numbers

__all__ = ["ANCILLARY", "COPIED", "VECTORS", "chains", "layers"]

SOUND = StreamInfo(0, "aac", 1, 48000, 1, "eng", "left and right", 96000, b"\x11\x90", 48000, 2, "stereo")
SUBTITLES = StreamInfo(1, "subrip", 1, 1000, 64, "", "\u00fcbersetzt")
PACKETS = (
    PacketRecord(0, -1024, 1024, KEY | DISCARD, b"lead"),
    PacketRecord(1, 20, 1500, KEY, b"a line"),
    PacketRecord(0, 0, 1024, KEY, b"\x00\x01\x02"),
    PacketRecord(0, 2048, 0, 0, b""),
)
PICTURE = PictureMetadata(
    source_codec="hevc",
    source_chroma_format=1,
    source_bit_depth=10,
    last_frame_duration=7,
    display_matrix=(0, 65536, 0, -65536, 0, 0, 1048576, 0, 1 << 30),
    mastering_primaries=(34000, 16000, 13250, 34500, 7500, 3000, 15635, 16450),
    mastering_luminance=(10000000, 1),
    content_light=(1000, 400),
)
TAGS = Tags(
    (("title", "Am See"), ("location", "+47.5+009.7/"), ("comment", "\u00fc" * 300), ("title", "")),
    (Chapter(1, 1000, -40, 60, "one"), Chapter(1, 25, 1, 1)),
)
TWICE = header(2, max_gop_frames=1, start_pts=-5)
ANCILLARY = {
    "variable_time": (("note", b"skipped by decoders"),),
    "deep": (
        ("pict", write_picture(PICTURE)),
        ("strm", write_streams((SOUND, SUBTITLES))),
        ("note", b"unknown"),
        ("pack", write_packets(PACKETS, 2)),
    ),
    "tagged": (("tags", write_tags(TAGS)),),
    "copied": ((COPY, write_sequence_header(TWICE)),),
}
"""Chunks put before the first GoP of some vectors."""
COPIED = {"copied"}
"""Vectors with a copy of the sequence header behind the last GoP."""

NORMALISED = {"blend_mode": BLEND_NORMALISED, "background": (0.25, 0.5, 0.75), "blend_epsilon": 0.125}
ENERGY_YCC = {"colour_space": COLOUR_YCC, "colour_norm": NORM_ENERGY}


@vector
def tiny() -> Vector:
    """Two Gaussians, one frame of 16 x 16: the file of SPEC appendix A."""
    mean = MeanData(2, 0, np.array([[20, 22], [44, 40]]))
    shape = ShapeData(0, uniform(np.array([[10, 0, 6], [8, -3, 8]]), 0.5))
    colour = ColourData(0, 0, uniform(np.array([[32, 16, 0], [0, 8, 32]]), 0.03125))
    return header(1, (16, 16)), [gop(0, 1, mean, shape, colour)]


@vector
def empty_and_one() -> Vector:
    """No Gaussian (black), none over a background, one Gaussian."""
    n = Numbers(2)
    gops = [plain(n, 0, 1, 0), plain(n, 1, 1, 0, **NORMALISED), plain(n, 2, 1, 1)]
    return header(3, max_gop_frames=1), gops


@vector
def stgv() -> Vector:
    """The paper's tools: 8-bit Cholesky, RVQ colours, two-grid hash field; two GoPs."""
    n = Numbers(3)
    gops = []
    for first in (0, 3):
        colour = ColourData(0, 0, rvq(n, 60, 3, 3, 4, 0.0078125, centre=12))
        deform = field(n, grid(2, 4, 2, 6), grid(3, 4, 4, 6), 6, 16, 0.0078125)
        gops.append(gop(first, 3, means(n, 60), shapes(n, 60), colour, field=deform))
    return header(6, profile=0, max_gop_frames=3), gops


@vector
def main() -> Vector:
    """Log shapes, energy in YCC, windows, linear paths, a small field, normalised blending."""
    n = Numbers(4)
    gops = []
    for first, frames in ((0, 4), (4, 2)):
        colour = ColourData(COLOUR_YCC, NORM_ENERGY, uniform(n.peaked(6, 70, 3) + np.array([20, 0, 0]), 0.25))
        small = field(n, grid(2, 3, 2, 5), grid(3, 3, 2, 5), 2, 8, 0.015625)
        life = windows(n, 70, frames)
        parts = (means(n, 70), log_shapes(n, 70), colour)
        gops.append(gop(first, frames, *parts, motion=motion(n, 70, 1), window=life, field=small, **NORMALISED))
    return header(6, max_gop_frames=4), gops


@vector
def paths() -> Vector:
    """Polynomial motion of degree 1, 2 and 3, one GoP each, energies in RGB."""
    n = Numbers(5)
    gops = []
    for degree in (1, 2, 3):
        parts = (means(n, 40), shapes(n, 40), colours(n, 40, colour_norm=NORM_ENERGY))
        gops.append(gop(2 * degree - 2, 2, *parts, motion=motion(n, 40, degree)))
    return header(6, max_gop_frames=2), gops


@vector
def drift() -> Vector:
    """Colour drift: weights in RGB; energies in YCC with windows and log shapes."""
    n = Numbers(6)
    first = plain(n, 0, 3, 40, drift=DriftData(uniform(n.peaked(5, 40, 3), 0.03125)))
    drifting = DriftData(rvq(n, 40, 3, 2, 3, 0.03125))
    second = gop(
        3, 3, means(n, 40), log_shapes(n, 40), colours(n, 40, **ENERGY_YCC), drift=drifting, window=windows(n, 40, 3)
    )
    return header(6, max_gop_frames=3), [first, second]


@vector
def lives() -> Vector:
    """Windows with plain sums: hard edges on whole frames, soft edges on sixteenths."""
    n = Numbers(7)
    hard = plain(n, 0, 4, 40, window=windows(n, 40, 4, denominator=1, edge=0.0009765625))
    soft = plain(n, 4, 4, 40, window=windows(n, 40, 4, denominator=16, edge=2.5), motion=motion(n, 40, 2))
    return header(8, max_gop_frames=4), [hard, soft]


@vector
def normalised() -> Vector:
    """Normalised blending of weights in RGB, and of YCC."""
    n = Numbers(8)
    first = plain(n, 0, 1, 50, **NORMALISED)
    second = gop(1, 1, means(n, 50), log_shapes(n, 50), colours(n, 50, colour_space=COLOUR_YCC), **NORMALISED)
    return header(2, max_gop_frames=1), [first, second]


@vector
def variable_time() -> Vector:
    """Time stamps in the GoPs, GoPs of different lengths, every header field used, an ancillary chunk."""
    n = Numbers(9)
    stamps = [(-300, -200), (0, 33, 67, 4_000_000_000), (9_000_000_000,)]
    gops, first = [], 0
    for pts in stamps:
        gops.append(plain(n, first, len(pts), 20, (17, 19), pts=pts))
        first += len(pts)
    colour = {"colour_primaries": 9, "transfer_characteristics": 16, "matrix_coefficients": 9, "full_range": 1}
    time = {"time_base_num": 1001, "time_base_den": 90000, "frame_duration": 0, "start_pts": -300}
    return header(first, (17, 19), level=2, sar_num=12, sar_den=11, max_gop_frames=8, **colour, **time), gops


@vector
def planes() -> Vector:
    """All three entropy models, one-symbol planes, tables of one and of many symbols, the widest values."""
    n, count = Numbers(10), 300
    mean = means(n, count, fraction_bits=8, margin=255)
    shape = ShapeData(0, uniform(np.stack([np.full(count, 3), n.peaked(1, count), n.peaked(1300, count)], 1), 1.0, 0.5))
    colour = colours(n, count)
    first = np.stack([n.between(-(1 << 31), (1 << 31) - 1, count), n.peaked(400_000, count) ** 3 >> 32], axis=1)
    second = np.stack(
        [n.below(2, count) * 4095, np.where(n.below(40, count) == 0, 1 << 30, n.below(16, count))], axis=1
    )
    paths = tuple(Coded(UniformQuantiser((2.0**-30, 2.0**-28), (0.0, 1.0)), s) for s in (first, second))
    return header(1), [gop(0, 1, mean, shape, colour, motion=MotionData(paths))]


@vector
def edges() -> Vector:
    """Clamped shapes, means on the margin's border, out of the frame, and in one spot; 37 x 1 pixels."""
    n, size = Numbers(11), (37, 1)
    corners = [[0, 0], [2279, 0], [0, 1991], [2279, 1991], [1100, 1000], [1100, 1000], [1100, 1000], [1108, 998]]
    grid = np.array(corners)
    mean = MeanData(3, 124, grid[morton_order(grid)])
    clamped = [[-40, 0, 0], [0, 0, 0], [1, 300, 1], [3000, 2000, 9000], [2, -2, 2]] + [[9, 9, 9]] * 3
    shape = ShapeData(0, uniform(np.array(clamped), 2.0))
    extreme = [[-90, 0, 90], [90, 9, -90], [0, 99, 3], [4, -99, 0]] + [[1, 1, 1]] * 4
    logs = ShapeData(1, uniform(np.array(extreme), 0.5))
    first = gop(0, 1, mean, shape, colours(n, 8))
    second = gop(1, 1, mean, logs, colours(n, 8, colour_norm=NORM_ENERGY), **NORMALISED)
    return header(2, size, max_gop_frames=1), [first, second]


@vector
def field_edges() -> Vector:
    """Grids with clamped vertices, dense and hashed levels at the border of the rule, no grids at all, width 1."""
    n = Numbers(12)
    wide = GridRecord(2, 1, 6, (2, 8, 9, 65535), (2.0, 8.0, 8.5, 65535.0))
    cube = GridRecord(3, 8, 9, (2, 8, 9), (1.0, 8.0, 0.5))
    none2, none3 = GridRecord(2, 1, 0, (), ()), GridRecord(3, 4, 20, (), ())
    first = field(n, wide, cube, 0, 5, 0.03125)
    first = replace(first, input_scale=(1.0, 0.5, 1.0))
    gops = [
        plain(n, 0, 3, 30, field=first),
        plain(n, 3, 3, 30, field=field(n, none2, none3, 16, 1, 0.03125)),
        plain(n, 6, 3, 0, field=field(n, grid(2, 1, 4, 3), none3, 0, 2, 0.0625)),
    ]
    return header(9, max_gop_frames=3), gops


@vector
def residual_stages() -> Vector:
    """Residual vector quantisation of everything, with 1 and 8 stages and 2 to 1024 codewords."""
    n, count = Numbers(13), 50
    shape = ShapeData(0, rvq(n, count, 3, 8, 1, 0.0625, centre=40))
    colour = ColourData(0, 0, rvq(n, count, 3, 1, 10, 0.0078125, centre=15))
    paths = MotionData((rvq(n, count, 2, 2, 5, 0.0625),))
    return header(2), [gop(0, 2, means(n, count), shape, colour, motion=paths)]


@vector
def short_window() -> Vector:
    """A Gaussian that lives less than a frame, between two frames, and one that never ends."""
    n = Numbers(14)
    life = WindowData(0.125, 8, np.array([2, 4, -1000]), np.array([1, 0, 1 << 20]))
    return header(2, SIZE), [plain(n, 0, 2, 3, window=life)]


@vector
def deep() -> Vector:
    """Ten bits per component; picture metadata, two streams and their packets in ancillary chunks."""
    n = Numbers(15)
    gops = [plain(n, first, 1, 20) for first in (0, 1)]
    return header(2, bit_depth=10, max_gop_frames=1, transfer_characteristics=16), gops


@vector
def tagged() -> Vector:
    """Tags and chapters, one of which begins before the first frame."""
    n = Numbers(27)
    return header(2), [plain(n, 0, 2, 3)]


@vector
def copied() -> Vector:
    """The sequence header three times: once more before the GoPs, and once behind them."""
    n = Numbers(28)
    return TWICE, [plain(n, first, 1, 4) for first in (0, 1)]
