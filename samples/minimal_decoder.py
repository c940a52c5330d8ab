# SPDX-License-Identifier: MIT
"""A complete .gsv decoder in one file, written from SPEC.md: python minimal_decoder.py in.gsv out.npy

Only the standard library and numpy; slow, and meant to be read beside the specification: numbers in comments are its
sections, codes in `require` its requirements. Output: the frames as R, G, B, [frames, height, width, 3]: uint8, or
uint16 of full scale for files of more than 8 bits.
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

SIGNATURE = bytes.fromhex("89 47 53 56 0D 0A 1A 0A")
KNOWN_CHUNKS = (b"SEQH", b"GOPD", b"INDX", b"ENDF")
# 9.2: level -> pixels per frame, Gaussians per GoP, covered pixels per frame
LEVELS = {1: (2**17, 2**15, 2**26), 2: (2**20, 2**17, 2**28), 3: (2**21, 2**18, 2**29), 4: (2**23, 2**20, 2**31)}
LEVELS[5] = (2**26, 2**22, 2**33)
# 7.2: floor(2^16 * 2^((w - 1) / 4)), from integer square roots alone: the fourth root of 2^(64 + w - 1)
WEIGHTS = [0] + [math.isqrt(math.isqrt(1 << (64 + w - 1))) for w in range(1, 64)]
MAX_OUTPUT = 1 << 34  # bytes of all frames together; ours, as section 10 advises
CUTOFF = 4.5  # 7.8: a Gaussian's support is sigma < 4.5
# 7.10: (V, U) of the 64 coefficients of a block, diagonal by diagonal to and fro; [pixel, frequency] of a cosine
FREQUENCIES = sorted(np.ndindex(8, 8), key=lambda f: (sum(f), f[sum(f) % 2 == 0]))
COSINES = np.cos(np.outer(2 * np.arange(8) + 1, np.arange(8)) * np.pi / 16) * np.sqrt([1 / 8, *[1 / 4] * 7])

SEQUENCE_FIELDS = (  # 5.4, in file order: names by descriptor
    "profile:u8 level:u8 width:uvar height:uvar sar_num:uvar sar_den:uvar bit_depth:u8 colour_primaries:u8 "
    "transfer_characteristics:u8 matrix_coefficients:u8 full_range:u8 time_base_num:uvar time_base_den:uvar "
    "frame_duration:uvar start_pts:svar64 max_gop_frames:uvar max_entry_distance:uvar "
    "frame_count:uvar"
)


class Malformed(Exception):
    """The file breaks a requirement of the specification."""


def require(condition: object, rule: str, what: str) -> None:
    if not condition:
        raise Malformed(f"{what} ({rule})")


# --------------------------------------------------------------------------------------------------------------------
# Fields and planes: bytes to integers


class Reader:
    """Reads one field after the other from bytes (5.1)."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at = data, at
        # Columns (6.11): planes so far of new Gaussians, and of differences of carried ones.
        self.new: list[np.ndarray] = []
        self.differences: list[np.ndarray] = []

    def take(self, n: int) -> bytes:
        require(n <= len(self.data) - self.at, "C-6.1-1", f"data ends at byte {len(self.data)} inside a field")
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self) -> int:
        return self.take(1)[0]

    def le(self, n: int) -> int:
        return int.from_bytes(self.take(n), "little")

    def uvar(self, most: int = 5, bits: int = 32) -> int:
        value = 0
        for i in range(most):
            byte = self.u8()
            value |= (byte & 127) << (7 * i)
            if byte < 128:
                require(byte or i == 0, "C-6.1-2", "a variable-length integer is longer than needed")
                require(value < 1 << bits, "C-6.1-3", "a variable-length integer is too large")
                return value
        raise Malformed("a variable-length integer does not end (C-6.1-2)")

    def uvar64(self) -> int:
        return self.uvar(10, 64)

    def svar(self, most: int = 5, bits: int = 32) -> int:
        code = self.uvar(most, bits)
        return -(code + 1 >> 1) if code & 1 else code >> 1

    def svar64(self) -> int:
        return self.svar(10, 64)

    def f32(self) -> np.float32:
        value = struct.unpack("<f", self.take(4))[0]
        require(math.isfinite(value), "C-6.1-4", "a number is not finite")
        return np.float32(value)

    def step(self) -> np.float32:
        value = self.f32()
        require(value > 0, "C-6.8-2", "a quantiser step is not positive")
        return value

    def packed(self, widths: np.ndarray) -> np.ndarray:
        """Numbers of widths[i] bits each, least significant bit first, filled up with zero bits (3.3)."""
        total = int(widths.sum())
        bits = np.unpackbits(np.frombuffer(self.take((total + 7) // 8), np.uint8), bitorder="little")
        require(not bits[total:].any(), "C-6.11-8", "the bits that fill up a byte are not zero")
        starts, values = np.cumsum(widths) - widths, np.zeros(len(widths), np.int64)
        for b in range(int(widths.max(initial=0))):
            has = widths > b
            values[has] |= bits[starts[has] + b].astype(np.int64) << b
        return values

    def table(self, n: int) -> list[int]:
        """n weight classes: zigzag differences in Rice codes (5.12, 6.12)."""
        k = self.u8()
        require(k <= 5, "C-6.12-1", f"rice_k is {k}")
        position, classes, last = 8 * self.at, [], 0

        def bit() -> int:
            nonlocal position
            require(position < 8 * len(self.data), "C-6.1-1", "data ends inside a table")
            position += 1
            return self.data[position - 1 >> 3] >> (position - 1 & 7) & 1

        for _ in range(n):
            ones = 0
            while bit():
                ones += 1
                require(ones <= 126, "C-6.12-2", "a weight class is out of range")
            z = ones << k | sum(bit() << b for b in range(k))
            last += -(z + 1 >> 1) if z & 1 else z >> 1
            require(0 <= last <= 63, "C-6.12-2", "a weight class is out of range")
            classes.append(last)
        while position % 8:
            require(not bit(), "C-6.11-8", "the bits that fill up a byte are not zero")
        self.at = position // 8
        return classes

    def frequencies(self, n: int) -> list[int]:
        """The table of n values, cumulated (5.12, 7.2); empty for a single one."""
        if n == 1:
            return []
        weights = [WEIGHTS[w] for w in self.table(n)]
        total = sum(weights)
        require(total, "C-6.12-3", "the weights of a table are all 0")
        freq = [1 + w * (2**24 - n) // total for w in weights]
        freq[freq.index(max(freq))] += 2**24 - sum(freq)
        cum = [0]
        for f in freq:
            cum.append(cum[-1] + f)
        return cum

    def rans(self, n: int, count: int) -> np.ndarray:
        """`count` values of 0 .. n - 1 (5.12, 7.3)."""
        cum = self.frequencies(n)
        return self.words([(cum, count)]) if cum else np.zeros(count, np.int64)

    def words(self, classes: list[tuple[list[int], int]]) -> np.ndarray:
        """The values of all classes, one class after the other: cumulated frequencies and how many values (7.3)."""
        words = np.frombuffer(self.take(4 * self.uvar()), "<u4").tolist()  # a stack: taken from the end
        require(not words or words[-1], "C-6.11-6", "the last word is 0")
        state, values = 0, []
        for _ in range(min(2, len(words))):
            state = state << 32 | words.pop()
        for cum, count in classes:
            if not cum:
                values += [0] * count
                continue
            for _ in range(count):
                q = state & 0xFFFFFF
                k = bisect_right(cum, q) - 1
                state = (cum[k + 1] - cum[k]) * (state >> 24) + q - cum[k]
                if state < 2**32 and words:
                    state = state << 32 | words.pop()
                values.append(k)
        require(state == 0 and not words, "C-6.11-7", "the entropy decoder does not end empty")
        return np.array(values, np.int64)

    def tokens(self, count: int, lowest: int, most: int) -> np.ndarray:
        """Tokens with raw bits (7.4)."""
        n = self.uvar()
        require(1 <= n <= most, "C-6.11-4", f"token_count is {n}")
        require(most == 192 or -127 <= lowest <= 128 - n, "C-6.11-9", "a token is out of range")
        return self.with_raw_bits(self.rans(n, count) + lowest)

    def with_raw_bits(self, token: np.ndarray) -> np.ndarray:
        size = np.abs(token)
        widths = raw_widths(size)
        value = np.where(size < 16, size, ((4 + (size - 16) % 4) << widths) + self.packed(widths))
        return np.where(token < 0, -value, value)

    def by_class(self, count: int, columns: Sequence[np.ndarray]) -> np.ndarray:
        """Values under tables that depend on the columns (5.11, 6.11)."""
        total, terms = np.zeros(count, np.int64), self.u8()
        require(1 <= terms <= 4, "C-6.11-10", f"term_count is {terms}")
        for _ in range(terms):
            source = self.u8()
            require(source >> 1 < len(columns), "C-6.11-11", "a context uses a plane that is not there")
            column = columns[source >> 1]
            if source & 1:
                column = token_of(np.abs(column - self.svar()))
            weight = self.svar()
            require(abs(weight) <= 127, "C-6.11-12", f"weight is {weight}")
            total += weight * column
        classes = choice(self, "class_count", "C-6.11-13", 16)
        require(classes, "C-6.11-13", "class_count is 0")
        thresholds = [self.svar() for _ in range(classes - 1)]
        rise = np.diff(thresholds) > 0
        require(rise.all(), "C-6.11-14", "thresholds do not rise")
        own = np.searchsorted(np.array(thresholds, np.int64), total)  # how many are less
        members, centre, lowest, coded = [], np.zeros(count, np.int64), np.zeros(count, np.int64), []
        for k in range(classes):
            members.append(np.flatnonzero(own == k))
            centre[members[k]], first, n = self.svar(), self.svar(), self.uvar()
            require(1 <= n <= 255, "C-6.11-4", f"token_count is {n}")
            require(-127 <= first <= 128 - n, "C-6.11-9", "a token is out of range")
            lowest[members[k]] = first
            coded.append((self.frequencies(n), len(members[k])))
        token = lowest
        token[np.concatenate(members)] += self.words(coded)
        right = self.uvar() == (int(raw_widths(np.abs(token)).sum()) + 7) // 8
        require(right, "C-6.11-15", "raw_count is not what the tokens take")
        return centre + self.with_raw_bits(token)

    def column(self, count: int, columns: list[np.ndarray]) -> np.ndarray:
        """A plane that may be coded by classes of the columns before it, and becomes one of them."""
        columns.append(self.plane(count, columns))
        return columns[-1]

    def plane(self, count: int, columns: Sequence[np.ndarray] = ()) -> np.ndarray:
        """`count` symbols (5.11, 6.11)."""
        if count == 0:
            return np.zeros(0, np.int64)
        model = self.u8()
        require(model <= 3, "C-6.11-1", f"entropy_model is {model}")
        minimum = self.svar()
        if model == 0:
            width = self.u8()
            require(width <= 32, "C-6.11-3", f"bit_width is {width}")
            values = self.packed(np.full(count, width))
        elif model == 1:
            n = self.uvar()
            require(1 <= n <= 4096, "C-6.11-4", f"symbol_count is {n}")
            values = self.rans(n, count)
        elif model == 2:
            values = self.tokens(count, self.svar(), 255)
        else:
            values = self.by_class(count, columns)
        values = values + minimum
        require(values.min() >= -(2**31) and values.max() < 2**31, "C-6.11-5", "a symbol is out of range")
        return values

    def gap_plane(self, count: int) -> np.ndarray:
        if count == 0:
            return np.zeros(0, np.int64)
        require(self.u8() == 2, "C-6.11-2", "entropy_model of the gaps is not 2")
        return self.tokens(count, 0, 192)


def raw_widths(size: np.ndarray) -> np.ndarray:
    """Raw bits after tokens without sign (7.4)."""
    return np.where(size < 16, 0, (size - 16) // 4 + 2)


def token_of(value: np.ndarray) -> np.ndarray:
    """The token of values without sign (7.4)."""
    n = np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1  # floor(log2), exact below 2^53
    return np.where(value < 16, value, 16 + (n - 4) * 4 + (value >> np.maximum(n - 2, 0) & 3))


# --------------------------------------------------------------------------------------------------------------------
# The group of pictures: section 5.5 to 5.10


class Gop:
    """What a GOPD payload says: fields and quantiser steps in `head`, planes in `symbols`, both by name."""

    def __init__(self, sequence: dict[str, Any]) -> None:
        self.sequence = sequence
        self.head: dict[str, Any] = {}
        self.symbols: dict[str, np.ndarray] = {}
        self.expected: dict[str, np.ndarray] = {}  # of carried Gaussians, before differences are added (7.5)
        self.chosen = np.zeros(0, np.int64)  # the carried Gaussians' indices in the GoP before

    @property
    def carried(self) -> int:
        """M."""
        return len(self.chosen)


def read_gop(payload: bytes, sequence: dict[str, Any], before: Gop | None) -> Gop:
    """The GoP in a payload; `before` is the one before it in the file."""
    r, gop = Reader(payload), Gop(sequence)
    head = gop.head
    read_gop_header(r, gop)
    if head["camera_type"]:
        read_camera(r, gop)
    alone, n = not head["reference_mode"], head["gaussian_count"]
    if not alone:
        require(before, "C-6.5-17", "a GoP is predicted and has none before it")
        read_carried(r, gop, before)
    require(n - gop.carried <= 8 * len(payload), "C-6.5-8", "more Gaussians than the chunk can hold")
    if head["window_type"]:
        read_windows(r, gop)
    for k in range(1, head["motion_degree"] + 1):
        read_coded(r, gop, f"motion[{k}]", 2)
    if not alone:
        expect_means(gop, before)
    read_means(r, gop)
    if alone:
        head["shape_type"] = choice(r, "shape_type", "C-6.7-1")
    read_coded(r, gop, "shape", 3)
    if alone:
        head["colour_space"] = choice(r, "colour_space", "C-6.7-2")
        head["colour_norm"] = choice(r, "colour_norm", "C-6.7-3")
    read_coded(r, gop, "colour", 3)
    if head["colour_drift"]:
        read_coded(r, gop, "drift_data", 3)
    if head["field_type"]:
        read_field(r, gop)
    if head["detail_type"]:
        read_detail(r, gop, before)
    if head["residual_frames"]:
        read_residual(r, gop)
    if head["filter_type"]:
        weights = r.plane(36)
        require(((weights >= -128) & (weights <= 127)).all(), "C-6.23-1", "a filter_weight is out of range")
        gop.symbols["filter"] = weights.reshape(3, 12)
    require(r.at == len(payload), "C-6.3-5", "bytes are left at the end of a GOPD chunk")
    tools = ["reference_mode", "blend_mode", "motion_degree", "colour_drift", "window_type"]
    tools += ["camera_type", "detail_type", "residual_frames", "filter_type", "repeats"]
    tools += ["shape_type", "colour_space", "colour_norm"]
    used = [name for name in tools if head[name]]
    require(sequence["profile"] == 1 or not used, "C-6.5-15", f"profile 0 has no {', '.join(used)}")
    return gop


def choice(r: Reader, name: str, rule: str, largest: int = 1) -> int:
    value = r.u8()
    require(value <= largest, rule, f"{name} is {value}")
    return value


def read_gop_header(r: Reader, gop: Gop) -> None:
    sequence, head = gop.sequence, gop.head
    head["first_frame"], head["frame_count"] = r.uvar(), r.uvar()
    require(1 <= head["frame_count"] <= sequence["max_gop_frames"], "C-6.5-1", "frame_count of a GoP is out of range")
    fits = head["first_frame"] + head["frame_count"] <= sequence["frame_count"]
    require(fits, "C-6.5-2", "a GoP goes beyond the end of the sequence")
    if sequence["frame_duration"] == 0:
        head["pts"] = [r.svar64()]
        for _ in range(head["frame_count"] - 1):
            delta = r.uvar()
            require(delta, "C-6.5-3", "two frames have the same time stamp")
            head["pts"].append(head["pts"][-1] + delta)
        right = head["first_frame"] or head["pts"][0] == sequence["start_pts"]
        require(right, "C-6.5-4", "first_pts of frame 0 is not start_pts")
        require(head["pts"][-1] < 2**63, "C-6.4-10", "a time stamp is out of range")
    count = r.uvar()
    require(count < head["frame_count"], "C-6.5-23", "there are no frames but repeats")
    deltas = [r.uvar() for _ in range(count)]
    right = all(deltas) and sum(deltas) < head["frame_count"]
    require(right, "C-6.5-24", "repeats do not rise, or go beyond the GoP")
    repeats = np.cumsum(deltas)
    head["repeats"], head["distinct_count"] = repeats.tolist(), head["frame_count"] - count
    if count:
        gop.symbols["repeats"] = repeats
    head["reference_mode"] = choice(r, "reference_mode", "C-6.5-6")
    n = head["gaussian_count"] = r.uvar()
    require(n <= LEVELS[sequence["level"]][1], "C-6.5-7", "more Gaussians than the level allows")
    head["blend_mode"] = choice(r, "blend_mode", "C-6.5-9")
    if head["blend_mode"]:
        head["background"], head["blend_epsilon"] = [r.f32() for _ in range(3)], r.f32()
        require(head["blend_epsilon"] > 0, "C-6.5-10", "blend_epsilon is not positive")
    head["motion_degree"] = choice(r, "motion_degree", "C-6.5-11", 3)
    head["colour_drift"] = choice(r, "colour_drift", "C-6.5-12")
    head["window_type"] = choice(r, "window_type", "C-6.5-13")
    head["field_type"] = choice(r, "field_type", "C-6.5-14")
    head["camera_type"] = choice(r, "camera_type", "C-6.5-19")
    head["detail_type"] = choice(r, "detail_type", "C-6.5-20", 2)
    head["residual_frames"] = choice(r, "residual_frames", "C-6.5-21", 64)
    head["filter_type"] = choice(r, "filter_type", "C-6.5-22")
    require(head["blend_mode"] or not head["detail_type"], "C-6.21-1", "a GoP of plain sums has a detail")


def read_camera(r: Reader, gop: Gop) -> None:
    """How the whole picture moves: offsets and slopes of every frame (5.20, 6.20)."""
    head = gop.head
    head["offset_bits"] = choice(r, "offset_bits", "C-6.20-1", 8)
    head["slope_bits"] = choice(r, "slope_bits", "C-6.20-2", 24)
    camera = np.stack([np.cumsum(r.plane(head["distinct_count"])) for _ in range(6)], axis=1)
    require((np.abs(camera) <= 2**24).all(), "C-6.20-3", "an offset or slope of the camera is out of range")
    gop.symbols["camera"] = camera


def read_carried(r: Reader, gop: Gop, before: Gop) -> None:
    """Which Gaussians of the reference go on, and what is expected of all but their means (5.18, 6.18, 7.5)."""
    head, old = gop.head, before.head
    tools = ("blend_mode", "motion_degree", "colour_drift", "window_type")
    require(all(head[name] == old[name] for name in tools), "C-6.18-1", "a predicted GoP has other tools")
    parts = ["shape", "colour", *(f"motion[{k}]" for k in range(1, head["motion_degree"] + 1))]
    parts += ["drift_data"] if head["colour_drift"] else []
    require(all(old[name][0][1] is not None for name in parts), "C-6.18-2", "a reference has no uniform quantisers")
    for name in (*parts, "fraction_bits", "margin", "shape_type", "colour_space", "colour_norm", "edge", "denominator"):
        if name in old:
            head[name] = old[name]
    frames, frames_before, d = head["distinct_count"], old["distinct_count"], head.get("denominator", 1)
    candidates = np.arange(old["gaussian_count"])
    if head["window_type"]:
        candidates = np.flatnonzero(before.symbols["birth"] + before.symbols["duration"] >= (frames_before - 1) * d)
    flag = r.plane(len(candidates))
    require(((flag == 0) | (flag == 1)).all(), "C-6.18-4", "a symbol of carried is neither 0 nor 1")
    chosen = candidates[flag == 1]
    gop.chosen, m = chosen, len(chosen)
    require(m <= head["gaussian_count"], "C-6.18-5", "more Gaussians are carried than there are")
    gop.expected = {name: before.symbols[name][chosen] for name in parts}
    if head["window_type"]:
        death, birth = r.plane(m), before.symbols["birth"][chosen] - frames_before * d
        gop.expected |= {"birth": birth, "duration": death - birth}
    if head["motion_degree"]:
        ratios = [math.ldexp(float(step), head["fraction_bits"]) for step, _ in old["motion[1]"]]
        right = all(ratio == int(ratio) and 1 <= ratio <= 65536 for ratio in ratios)
        require(right, "C-6.18-3", "a step of motion[1] is no whole number of grid positions")
        v = gop.expected["motion[1]"]
        require((np.abs(v) <= 2**24).all(), "C-6.18-6", "a carried Gaussian is too fast")
        gop.expected["motion[1]"] = rdiv(v * frames, frames_before)


def expect_means(gop: Gop, before: Gop) -> None:
    """Where carried Gaussians are expected, now that their new velocities are known (7.5)."""
    head, old, d = gop.head, before.head, gop.head.get("denominator", 1)
    span = np.array([(gop.sequence[side] + 2 * old["margin"]) << old["fraction_bits"] for side in ("width", "height")])
    place = before.symbols["grid"][gop.chosen]
    if head["motion_degree"]:
        ratios = np.array([math.ldexp(float(step), old["fraction_bits"]) for step, _ in old["motion[1]"]], np.int64)
        frames = old["distinct_count"]
        left = 2 * d * frames - middles(before)[gop.chosen]
        place = place + rdiv(before.symbols["motion[1]"][gop.chosen] * ratios * left[:, None], d * frames)
    place = np.clip(place, 0, span - 1)
    if old["camera_type"]:
        b, k, last = old["offset_bits"], old["slope_bits"], before.symbols["camera"][-1]
        far = (2 * place - span) @ last[2:].reshape(2, 2).T << b
        place = place + rdiv(far + (last[:2] << old["fraction_bits"] + k + 1), 1 << b + k + 1)
    if head["motion_degree"]:
        v = gop.symbols["motion[1]"][: gop.carried]
        require((np.abs(v) <= 2**24).all(), "C-6.18-8", "a carried Gaussian becomes too fast")
        place = place + rdiv(v * ratios * middles(gop)[: gop.carried, None], d * head["distinct_count"])
    gop.expected["grid"] = np.clip(place, 0, span - 1)


def middles(gop: Gop) -> np.ndarray:
    """Twice the middle of every Gaussian's life inside the GoP, in frames / denominator (7.5)."""
    if not gop.head["window_type"]:
        return np.zeros(gop.head["gaussian_count"], np.int64)
    birth, end = gop.symbols["birth"], (gop.head["distinct_count"] - 1) * gop.head["denominator"]
    return np.clip(birth, 0, end) + np.clip(birth + gop.symbols["duration"], 0, end)


def rdiv(a: np.ndarray, b: int) -> np.ndarray:
    return (2 * a + b) // (2 * b)


def add_difference(r: Reader, expected: np.ndarray) -> np.ndarray:
    symbols = expected + r.column(len(expected), r.differences)
    require(((symbols >= -(2**31)) & (symbols < 2**31)).all(), "C-6.18-7", "a sum is no symbol")
    return symbols


def read_means(r: Reader, gop: Gop) -> None:
    """Differences, then sorted Morton codes, to grid positions (5.6, 7.5)."""
    if not gop.head["reference_mode"]:
        gop.head["fraction_bits"], gop.head["margin"] = choice(r, "fraction_bits", "C-6.6-1", 8), r.uvar()
    fraction, margin = gop.head["fraction_bits"], gop.head["margin"]
    limits = [(gop.sequence[side] + 2 * margin) << fraction for side in ("width", "height")]
    require(max(limits) <= 2**24, "C-6.6-2", "the grid of the means is too large")
    carried = np.zeros((0, 2), np.int64)
    if gop.head["reference_mode"]:
        carried = np.stack([add_difference(r, column) for column in gop.expected["grid"].T], axis=1)
    gap = r.gap_plane(gop.head["gaussian_count"] - gop.carried)
    require(sum(gap.tolist()) < 2**48, "C-6.6-4", "a position has more than 48 bits")
    code, grid = np.cumsum(gap), np.zeros((len(gap), 2), np.int64)
    for b in range(24):
        grid[:, 0] |= (code >> 2 * b & 1) << b
        grid[:, 1] |= (code >> 2 * b + 1 & 1) << b
    grid = np.concatenate([carried, grid])
    require(((grid >= 0) & (grid < limits)).all(), "C-6.6-3", "a Gaussian is outside the grid")
    gop.symbols["grid"] = grid


def read_windows(r: Reader, gop: Gop) -> None:
    """Births and deaths of the new Gaussians; those of the carried ones are known (5.9, 6.9)."""
    head, new = gop.head, gop.head["gaussian_count"] - gop.carried
    if not head["reference_mode"]:
        head["edge"], head["denominator"] = r.f32(), r.u8()
    require(head["edge"] > 0, "C-6.9-1", "edge is not positive")
    require(1 <= head["denominator"] <= 16, "C-6.9-2", f"denominator is {head['denominator']}")
    birth, none = r.column(new, r.new), np.zeros(0, np.int64)
    duration = r.column(new, r.new) - birth
    birth = gop.symbols["birth"] = np.concatenate([gop.expected.get("birth", none), birth])
    duration = gop.symbols["duration"] = np.concatenate([gop.expected.get("duration", none), duration])
    require((np.abs(birth) <= 2**20).all(), "C-6.9-3", "a birth is out of range")
    require(((duration >= 0) & (duration <= 2**20)).all(), "C-6.9-4", "a duration is out of range")


def read_coded(r: Reader, gop: Gop, name: str, components: int) -> None:
    """Numbers of one kind under one of the two quantisers (5.8)."""
    if gop.head["reference_mode"]:
        new, columns = gop.head["gaussian_count"] - gop.carried, []
        for expected in gop.expected[name].T:
            columns.append(np.concatenate([add_difference(r, expected), r.column(new, r.new)]))
        gop.symbols[name] = np.stack(columns, axis=1)
        return
    n, kind = gop.head["gaussian_count"], choice(r, "quantiser_type", "C-6.8-1")
    if kind == 0:
        gop.head[name] = [(r.step(), r.f32()) for _ in range(components)]
        gop.symbols[name] = np.stack([r.column(n, r.new) for _ in range(components)], axis=1)
        return
    stages, log2 = r.u8(), r.u8()
    require(1 <= stages <= 8, "C-6.8-3", f"stage_count is {stages}")
    require(1 <= log2 <= 10, "C-6.8-4", f"codebook_log2 is {log2}")
    gop.head[name] = [(r.step(), None) for _ in range(stages)]
    for m in range(stages):
        gop.symbols[f"{name}.codebook[{m}]"] = r.plane(components << log2).reshape(-1, components)
    index = np.stack([r.column(n, r.new) for _ in range(stages)], axis=1)
    require(((index >= 0) & (index < 1 << log2)).all(), "C-6.8-5", "an index is outside its codebook")
    gop.symbols[name] = index


def read_grid(r: Reader) -> dict[str, Any]:
    levels = choice(r, "level_count", "C-6.10-2", 16)
    features = r.u8()
    require(features in (1, 2, 4, 8), "C-6.10-3", f"feature_count is {features}")
    log2 = choice(r, "log2_table_size", "C-6.10-4", 20)
    shape = []
    for _ in range(levels):
        resolution, scale = r.uvar(), r.f32()
        require(2 <= resolution <= 65535, "C-6.10-5", f"resolution is {resolution}")
        require(0 < scale <= resolution, "C-6.10-6", f"scale is {scale}")
        shape.append((resolution, scale))
    return {"features": features, "size": 1 << log2, "levels": shape}


def read_field(r: Reader, gop: Gop) -> None:
    """The hash field: geometry, then all tensors (5.10, 6.10)."""
    f: dict[Any, Any] = {"input_scale": [r.f32() for _ in range(3)]}
    require(all(0 < s <= 1 for s in f["input_scale"]), "C-6.10-1", "input_scale is out of range")
    f[2], f[3] = read_grid(r), read_grid(r)
    f["frequencies"] = choice(r, "frequency_count", "C-6.10-7", 16)
    h = f["hidden"] = r.uvar()
    require(1 <= h <= 1024, "C-6.10-8", f"hidden_width is {h}")
    f["mean_scale"], f["colour_scale"] = r.f32(), r.f32()
    inputs = sum(len(f[d]["levels"]) * f[d]["features"] for d in (2, 3)) + 2 * f["frequencies"]
    require(inputs, "C-6.10-9", "the network has no input")
    sizes = {}
    for d in (2, 3):
        for i, (resolution, _) in enumerate(f[d]["levels"]):
            sizes[f"grid{d}_table[{i}]"] = min((resolution**d + 7) // 8 * 8, f[d]["size"]) * f[d]["features"]
    sizes |= {"w1": h * inputs, "b1": h, "w2": h * h, "b2": h}
    sizes |= {"w_mean": 2 * h, "b_mean": 2, "w_colour": 3 * h, "b_colour": 3}
    require(sum(sizes.values()) <= 2**16 + 64 * len(r.data), "C-6.10-10", "the field has too many parameters")
    f["steps"] = {}
    for name, size in sizes.items():
        f["steps"][name] = r.step()
        gop.symbols[f"field.{name}"] = r.plane(size)
    gop.head["field"] = f


def read_detail(r: Reader, gop: Gop, before: Gop | None) -> None:
    """Coefficients of blocks; in a predicted GoP maybe differences to those of the reference (5.21, 6.21)."""
    head, rows, columns = gop.head, *((gop.sequence[side] + 7) // 8 for side in ("height", "width"))
    n, inherited = rows * columns, 0
    numbers: list[np.ndarray] = []  # the columns of `kept` and `coded_count`
    if head["reference_mode"]:
        inherited = choice(r, "detail_reference", "C-6.21-2")
        require(not inherited or before.head["detail_type"], "C-6.21-2", "the reference has no detail to go on from")
    if inherited:
        head["detail_step"], kept = before.head["detail_step"], r.column(n, numbers)
        require(((kept == 0) | (kept == 1)).all(), "C-6.21-4", "a symbol of kept is neither 0 nor 1")
        symbols = before.symbols["detail"].reshape(3, n, 64) * kept[:, None]
        gop.symbols["kept"] = kept.reshape(rows, columns)
    else:
        head["detail_step"], symbols = [r.f32(), r.f32()], np.zeros((3, n, 64), np.int64)
        require(min(head["detail_step"]) > 0, "C-6.21-3", "a step of the detail is not positive")
    for component in symbols:
        coded, found = r.column(n, numbers), np.zeros((n, 64), np.int64)
        require(((coded >= 0) & (coded <= 64)).all(), "C-6.21-5", "a coded_count is out of range")
        for k in range(int(coded.max())):
            has = np.flatnonzero(coded > k)
            found[has, k] = r.plane(len(has), [coded[has], *found[has, max(0, k - 5) : k].T])
        component += found
    require(symbols.min() >= -(2**31) and symbols.max() < 2**31, "C-6.11-5", "a symbol is out of range")
    gop.symbols["detail"] = symbols.reshape(3, rows, columns, 64)


def read_residual(r: Reader, gop: Gop) -> None:
    """Coefficients of blocks in space and time, diagonal by diagonal (5.22, 6.22)."""
    frames, rows, columns = (
        gop.head["residual_frames"],
        *((gop.sequence[side] + 7) // 8 for side in ("height", "width")),
    )
    shape = -(-gop.head["distinct_count"] // frames), rows, columns
    order = residual_order(frames)
    number = {frequencies: n for n, frequencies in enumerate(order)}
    gop.head["residual_step"] = [r.f32(), r.f32()]
    require(min(gop.head["residual_step"]) > 0, "C-6.22-1", "a step of the residual is not positive")
    if 3 * 8 * 64 * frames * math.prod(shape) > MAX_OUTPUT:
        raise Malformed(f"the residual needs more than {MAX_OUTPUT} bytes")
    symbols, lengths = np.zeros((3, *shape, 64 * frames), np.int64), np.zeros((3, *shape), np.int64)
    free = 2**16 + 64 * len(r.data)
    for c in range(3):
        count = np.zeros(shape, np.int64)
        for row, column in ((0, 0), (1, 1), (0, 1), (1, 0)):
            phase = np.s_[:, row::2, column::2]
            near = [around(lengths[c]), *(x for k in range(c) for x in (lengths[k], around(lengths[k])))]
            coded = r.plane(count[phase].size, [x[phase].ravel() for x in near])
            require(((coded >= 0) & (coded <= 64 * frames)).all(), "C-6.22-2", "a coded_count is out of range")
            count[phase] = coded.reshape(count[phase].shape)
            lengths[c][phase] = bit_length(count[phase])
        free -= int(count.sum())
        require(free >= 0, "C-6.22-3", "the residual has too many coefficients")
        found, total, near = (
            symbols[c].reshape(-1, 64 * frames),
            np.zeros(count.size, np.int64),
            around(lengths[c]).ravel(),
        )
        length, others = lengths[c].ravel(), symbols[:c].reshape(c, count.size, 64 * frames)
        for s in range(frames + 14):
            members = [n for n in range(len(order)) if sum(order[n]) == s]
            pairs = [(n, b) for n in members for b in np.flatnonzero(count.ravel() > n)]
            if not pairs:
                break
            n, b = np.array(pairs).T
            sizes = np.zeros(len(n), np.int64)
            for axis in range(3):
                lower = [number.get(tuple(np.subtract(order[k], np.eye(3, dtype=int)[axis])), -1) for k in n]
                sizes += np.where(np.array(lower) < 0, 0, np.abs(found[b, lower]))
            looks = [length[b], near[b], bit_length(total[b]), bit_length(count.ravel()[b] - n)]
            looks += [np.array([order[k][0] for k in n]), sizes, *(np.abs(other[b, n]) for other in others)]
            found[b, n] = r.plane(len(n), looks)
            np.add.at(total, b, np.abs(found[b, n]))
    gop.head["residual_shape"] = (*shape, 64 * frames)
    for c in range(3):  # few are not 0
        gop.symbols[f"residual[{c}].index"] = np.flatnonzero(symbols[c])
        gop.symbols[f"residual[{c}].values"] = symbols[c][symbols[c] != 0]


def residual_order(frames: int) -> list[tuple[int, ...]]:
    """(K, V, U) of a block's coefficients in their order (6.22)."""
    return sorted(np.ndindex(frames, 8, 8), key=lambda f: (sum(f), f[0], f[1]))


def bit_length(x: np.ndarray) -> np.ndarray:
    """L of 6.22: bits of numbers that are not negative."""
    return np.frexp(x.astype(np.float64))[1].astype(np.int64)


def around(planes: np.ndarray) -> np.ndarray:
    """The sum over the up to eight blocks around each block [groups, rows, columns]."""
    wide = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
    rows, columns = planes.shape[1:]
    return sum(wide[:, y : y + rows, x : x + columns] for y in range(3) for x in range(3)) - planes


# --------------------------------------------------------------------------------------------------------------------
# The file: sections 5.2 to 5.4, 5.13, 5.14


def read_chunks(data: bytes) -> list[tuple[bytes, int, int, bytes]]:
    """(type, start, end, payload) of all chunks, front to back (6.2, 6.3)."""
    require(data[:8] == SIGNATURE, "C-6.2-1", "this is no .gsv file")
    require(data[8:10] == b"\0\x0a", "C-6.2-2", "the version is not 0.10")
    require(data[-21:-17] == b"ENDF" and data[-16:-12] == b"\x08\0\0\0", "C-6.2-4", "the file does not end in ENDF")
    r, chunks = Reader(data, 10), []
    while r.at < len(data):
        start, kind, flags = r.at, r.take(4), r.u8()
        payload = r.take(r.le(4))
        crc = zlib.crc32(data[start : r.at])
        require(r.le(4) == crc, "C-6.3-4", f"the CRC of the chunk at byte {start} is wrong")
        require(flags < 2, "C-6.3-1", f"reserved flags are set at byte {start}")
        known = kind in KNOWN_CHUNKS
        require(known or not flags, "C-6.3-2", f"a critical chunk of unknown type at byte {start}")
        require(flags or not known, "C-6.3-3", f"a chunk is not marked critical at byte {start}")
        chunks.append((kind, start, r.at, payload))
    require(chunks[0][0] == b"SEQH", "C-6.2-3", "the first chunk is not SEQH")
    copies = [chunk[3] for chunk in chunks if chunk[0] == b"seqh"]
    require(all(copy == chunks[0][3] for copy in copies), "C-6.4-12", "a copy of the sequence header differs")
    chunks = [chunk for chunk in chunks if chunk[0] in KNOWN_CHUNKS]
    order = [b"SEQH", *[b"GOPD"] * max(1, len(chunks) - 3), b"INDX", b"ENDF"]
    require([kind for kind, *_ in chunks] == order, "C-6.2-3", "chunks are missing or out of order")
    require(len(chunks[-1][3]) == 8, "C-6.2-4", "the file does not end in ENDF")
    return chunks


def read_sequence(payload: bytes) -> dict[str, Any]:
    r, s = Reader(payload), {}
    for name, descriptor in (item.split(":") for item in SEQUENCE_FIELDS.split()):
        s[name] = getattr(r, descriptor)()
    require(r.at == len(payload), "C-6.3-5", "bytes are left at the end of SEQH")
    require(s["profile"] <= 1, "C-6.4-1", f"profile is {s['profile']}")
    require(s["level"] in LEVELS, "C-6.4-2", f"level is {s['level']}")
    require(1 <= s["width"] <= 65535 and 1 <= s["height"] <= 65535, "C-6.4-3", "the size is out of range")
    require(s["width"] * s["height"] <= LEVELS[s["level"]][0], "C-6.4-4", "frames are larger than the level allows")
    ratios = s["sar_num"] and s["sar_den"] and s["time_base_num"] and s["time_base_den"]
    require(ratios, "C-6.4-5", "the aspect ratio or the time base has a 0")
    require(s["bit_depth"] in (8, 10, 12), "C-6.4-6", f"bit_depth is {s['bit_depth']}")
    require(s["full_range"] <= 2, "C-6.4-7", f"full_range is {s['full_range']}")
    require(1 <= s["max_gop_frames"] <= 4096, "C-6.4-8", f"max_gop_frames is {s['max_gop_frames']}")
    require(s["frame_count"], "C-6.4-9", "there are no frames")
    end = s["start_pts"] + s["frame_count"] * s["frame_duration"]
    require(end < 2**63, "C-6.4-10", "a time stamp is out of range")
    require(s["max_entry_distance"] >= s["max_gop_frames"], "C-6.4-11", "max_entry_distance is too small")
    return s


def read_file(data: bytes) -> list[Gop]:
    """Everything in the file, checked; no floating-point arithmetic so far."""
    chunks = read_chunks(data)
    sequence = read_sequence(chunks[0][3])
    gops, frame, entry, pts = [], 0, 0, None
    for _, _, _, payload in chunks[1:-2]:
        gop = read_gop(payload, sequence, gops[-1] if gops else None)
        require(gop.head["first_frame"] == frame, "C-6.2-5", "GoPs do not follow each other in display order")
        entry = entry if gop.head["reference_mode"] else frame
        frame += gop.head["frame_count"]
        require(frame - entry <= sequence["max_entry_distance"], "C-6.5-18", "a GoP is too far from where one enters")
        if "pts" in gop.head:
            require(pts is None or gop.head["pts"][0] > pts, "C-6.5-5", "time stamps go back")
            pts = gop.head["pts"][-1]
        gops.append(gop)
    require(frame == sequence["frame_count"], "C-6.2-5", "frames are missing")
    check_index(chunks, gops)
    return gops


def check_index(chunks: list[tuple[bytes, int, int, bytes]], gops: list[Gop]) -> None:
    """INDX and ENDF (6.13, 6.14) say what reading the file front to back found."""
    _, start, end, payload = chunks[-2]
    r, at, entries, deltas = Reader(payload), 0, [], [-1]
    for _ in range(r.uvar()):
        at += r.uvar64()
        entries.append((at, at + r.uvar(), r.uvar()))
        at = entries[-1][1]
        deltas.append(r.uvar())
        require(deltas[-1] in (0, deltas[-2] + 1), "C-6.13-4", "an entry_delta does not follow")
    require(r.at == len(payload), "C-6.3-5", "bytes are left at the end of INDX")
    frames = gops[0].sequence["frame_count"]
    require(sum(count for *_, count in entries) == frames, "C-6.13-1", "frame counts of the index do not add up")
    inside = all(a >= chunks[0][2] and b <= start and b - a > 13 for a, b, _ in entries)
    predicted = [delta > 0 for delta in deltas[1:]] == [bool(gop.head["reference_mode"]) for gop in gops]
    require(inside, "C-6.13-2", "the index points out of the data")
    found = [(a, b, gop.head["frame_count"]) for (_, a, b, _), gop in zip(chunks[1:-2], gops, strict=True)]
    right = entries == found and predicted and end == chunks[-1][1]
    require(right, "C-6.13-3", "the index does not name the GOPD chunks")
    require(int.from_bytes(chunks[-1][3], "little") == start, "C-6.14-1", "index_offset does not lead to INDX")


def decode_symbols(data: bytes) -> list[dict[str, np.ndarray]]:
    """Per GoP the integer arrays by name."""
    return [gop.symbols for gop in read_file(data)]


# --------------------------------------------------------------------------------------------------------------------
# Integers to float32 parameters (7.6). numpy rounds each float32 product and sum once, and never fuses them.


def dequantise(gop: Gop) -> dict[str, np.ndarray]:
    head, symbols = gop.head, {name: array.astype(np.float32) for name, array in gop.symbols.items()}

    def coded(name: str) -> np.ndarray:
        steps = head[name]
        if steps[0][1] is not None:
            step, offset = (np.array(column, np.float32) for column in zip(*steps, strict=True))
            return step * symbols[name] + offset
        total = None
        for m, (step, _) in enumerate(steps):
            word = step * symbols[f"{name}.codebook[{m}]"][gop.symbols[name][:, m]]
            total = word if total is None else total + word
        return total

    p = {"mean": symbols["grid"] * np.float32(0.5 ** head["fraction_bits"]) - np.float32(head["margin"])}
    p |= {"shape": coded("shape"), "colour": coded("colour")}
    if head["motion_degree"]:
        p["motion"] = np.stack([coded(f"motion[{k}]") for k in range(1, head["motion_degree"] + 1)], axis=1)
    if head["colour_drift"]:
        p["drift"] = coded("drift_data")
    if head["window_type"]:
        death = (gop.symbols["birth"] + gop.symbols["duration"]).astype(np.float32)
        p["birth"], p["death"] = (x / np.float32(head["denominator"]) for x in (symbols["birth"], death))
    if head["field_type"]:
        steps, none = head["field"]["steps"], np.zeros(0, np.float32)
        tensors = {name: steps[name] * symbols[f"field.{name}"] for name in steps}
        for d in (2, 3):  # all levels in one array, one after the other
            tables = [tensors.pop(f"grid{d}_table[{i}]") for i in range(len(head["field"][d]["levels"]))]
            p[f"field.table{d}"] = np.concatenate([none, *tables]).reshape(-1, head["field"][d]["features"])
        p |= {f"field.{name}": tensor for name, tensor in tensors.items()}
    if head["camera_type"]:
        bits = np.repeat([head["offset_bits"], head["slope_bits"]], [2, 4])
        p["camera"] = symbols["camera"] * (0.5**bits).astype(np.float32)
    if head["detail_type"]:
        p["detail"] = symbols["detail"] * np.repeat(head["detail_step"], [1, 2]).reshape(3, 1, 1, 1)
    if head["residual_frames"]:
        for c, step in enumerate(np.repeat(head["residual_step"], [1, 2])):
            p[f"residual[{c}].values"] = symbols[f"residual[{c}].values"] * step
    if head["filter_type"]:
        p["filter"] = symbols["filter"] * np.float32(2.0**-7)
    for name, array in p.items():
        require(np.isfinite(array).all(), "C-6.8-6", f"{name} is not finite")
    return p


def decode_parameters(data: bytes) -> list[dict[str, np.ndarray]]:
    """Per GoP the float32 arrays by name."""
    with np.errstate(all="ignore"):
        return [dequantise(gop) for gop in read_file(data)]


# --------------------------------------------------------------------------------------------------------------------
# Parameters to pictures, in float64 (7.7, 7.8, 7.10 to 7.12)


def hash_field(gop: Gop, p: dict[str, np.ndarray], i: float) -> tuple[np.ndarray, np.ndarray]:
    """dmean [N, 2] and dcolour [N, 3] (7.7)."""
    f, n = gop.head["field"], len(p["mean"])
    t = (i + 0.5) / gop.head["distinct_count"]
    x = np.column_stack([p["mean"] / (gop.sequence["width"], gop.sequence["height"]), np.full(n, t)])
    u = np.clip(x, 0, 1) * np.array(f["input_scale"], np.float64)
    inputs = [grid_features(f[d], d, p[f"field.table{d}"], u[:, :d]) for d in (2, 3)]
    angles = [2**k * np.pi * t for k in range(f["frequencies"])]
    waves = np.array([wave for a in angles for wave in (math.sin(a), math.cos(a))])
    h = np.hstack([*inputs, np.tile(waves, (n, 1))])

    def layer(h: np.ndarray, w: str, b: str) -> np.ndarray:
        return h @ p[f"field.{w}"].reshape(-1, h.shape[1]).T + p[f"field.{b}"]

    h = np.maximum(layer(h, "w1", "b1"), 0)
    h = np.maximum(layer(h, "w2", "b2"), 0)
    mean_scale, colour_scale = float(f["mean_scale"]), float(f["colour_scale"])
    return mean_scale * layer(h, "w_mean", "b_mean"), colour_scale * layer(h, "w_colour", "b_colour")


def grid_features(grid: dict[str, Any], d: int, table: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Interpolated table entries of all levels of grid D (7.7): [N, levels * features]."""
    features, start = [np.zeros((len(u), 0))], 0
    for resolution, scale in grid["levels"]:
        n = min((resolution**d + 7) // 8 * 8, grid["size"])
        g = np.floor(scale * u + 0.5)
        f, g, total = scale * u + 0.5 - g, g.astype(np.int64), 0.0
        for corner in np.ndindex(*(2,) * d):
            v = np.minimum(g + corner, resolution - 1)
            if resolution**d <= n:
                address = sum(v[:, a] * resolution**a for a in range(d)) % n
            else:
                primes = (1, 2654435761, 805459861)
                address = np.bitwise_xor.reduce([v[:, a] * primes[a] & 0xFFFFFFFF for a in range(d)]) % n
            weight = np.where(corner, f, 1 - f).prod(axis=1)
            total = total + weight[:, None] * table[start + address]
        features.append(total)
        start += n
    return np.hstack(features)


def gaussians_at(gop: Gop, p: dict[str, np.ndarray], i: float) -> tuple[np.ndarray, ...]:
    """mean' [N, 2], Cholesky factor [N, 3], colour' [N, 3] and r [N] at position i of the GoP (7.7)."""
    head, frames = gop.head, gop.head["distinct_count"]
    p = {name: array.astype(np.float64) for name, array in p.items()}
    n = len(p["mean"])
    r, tc = np.ones(n), np.zeros(n)
    if head["window_type"]:
        b, d, edge, j = p["birth"], p["death"], float(head["edge"]), np.clip(i, 0, frames - 1)
        r = np.clip((j - b) / edge + 0.5, 0, 1) * np.clip((d - j) / edge + 0.5, 0, 1)
        tc = (np.clip(b, 0, frames - 1) + np.clip(d, 0, frames - 1)) / 2
    tau = (2 * (i - tc) / frames)[:, None]
    mean = p["mean"] + sum(p["motion"][:, k] * tau ** (k + 1) for k in range(head["motion_degree"]))
    l11, l21, l22 = p["shape"].T
    if head["shape_type"]:
        l11, l22 = (np.clip(np.exp(np.clip(s, -16, 16)), 2**-4, 2**14) for s in (l11, l22))
        l21 = l21 * l22
    l11, l22, l21 = np.clip(l11, 2**-4, 2**14), np.clip(l22, 2**-4, 2**14), np.clip(l21, -(2**14), 2**14)
    norm = np.sqrt(np.pi * l11 * l22)[:, None] if head["colour_norm"] else 1.0
    colour = p["colour"] / norm
    if head["colour_drift"]:
        colour = colour + p["drift"] * tau / norm
    if head["field_type"]:
        dmean, dcolour = hash_field(gop, p, i)
        mean, colour = mean + dmean, colour + dcolour
    if head["colour_space"]:
        colour = rgb_of(colour)
    if head["camera_type"]:
        j, size = np.clip(i, 0, frames - 1), np.array([gop.sequence["width"], gop.sequence["height"]])
        at = np.array([np.interp(j, np.arange(frames), column) for column in p["camera"].T])
        mean = mean + at[:2] + (mean - size / 2) @ at[2:].reshape(2, 2).T
    return mean, np.column_stack([l11, l21, l22]), colour, r


def rgb_of(ycc: np.ndarray) -> np.ndarray:
    y, u, v = np.moveaxis(ycc / np.sqrt([3, 2, 6]), -1, 0)
    return np.stack([y + u + v, y - 2 * v, y - u + v], axis=-1)


def ycc_of(rgb: np.ndarray) -> np.ndarray:
    r, g, b = np.moveaxis(rgb, -1, 0)
    return np.stack([r + g + b, r - b, r - 2 * g + b], axis=-1) / np.sqrt([3, 2, 6])


def detail_at(gop: Gop, p: dict[str, np.ndarray], shift: np.ndarray) -> np.ndarray:
    """The detail [H, W, 3] that pixels take whose Gaussians have gone [H, W, 2] (7.10)."""
    height, width, _ = shift.shape
    blocks = np.zeros((*p["detail"].shape[:3], 8, 8))
    for k, (v, u) in enumerate(FREQUENCIES):
        blocks[..., v, u] = p["detail"][..., k]
    picture = picture_of(blocks)[:height, :width]
    at = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1) - shift  # q - 0.5
    at = np.where(np.isnan(at), 0, np.clip(at, 0, (width - 1, height - 1)))
    first = np.floor(at).astype(np.int64)
    (fx, fy), (x0, y0) = np.moveaxis(at - first, -1, 0)[..., None], np.moveaxis(first, -1, 0)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    above = (1 - fx) * picture[y0, x0] + fx * picture[y0, x1]
    return (1 - fy) * above + fy * ((1 - fx) * picture[y1, x0] + fx * picture[y1, x1])


def picture_of(blocks: np.ndarray) -> np.ndarray:
    """RGB of blocks [3, rows, columns, V, U], with what lies beyond the frame."""
    picture = np.einsum("bv,crkvu,au->rbkac", COSINES, blocks, COSINES)
    return rgb_of(picture.reshape(8 * blocks.shape[1], 8 * blocks.shape[2], 3))


def residual_at(gop: Gop, p: dict[str, np.ndarray], i: float) -> np.ndarray:
    """The residual [H, W, 3] at position i (7.11)."""
    frames, shape = gop.head["residual_frames"], gop.head["residual_shape"]
    group = min(max(math.floor((i + 0.5) / frames), 0), shape[0] - 1)
    coefficients, blocks = np.zeros((3, *shape)), np.zeros((3, *shape[1:3], 8, 8))
    for c in range(3):
        coefficients[c].flat[gop.symbols[f"residual[{c}].index"]] = p[f"residual[{c}].values"]
    for n, (k, v, u) in enumerate(residual_order(frames)):
        weight = math.sqrt((2 if k else 1) / frames) * math.cos(
            (2 * (i - group * frames) + 1) * k * math.pi / (2 * frames)
        )
        blocks[..., v, u] += weight * coefficients[:, group, :, :, n]
    return picture_of(blocks)[: gop.sequence["height"], : gop.sequence["width"]]


def draw(gop: Gop, p: dict[str, np.ndarray], i: float) -> np.ndarray:
    """The picture at position i of the GoP before rounding: float64 [H, W, 3] in 0 .. 1 (7.8, 7.10 to 7.12)."""
    width, height = gop.sequence["width"], gop.sequence["height"]
    mean, cholesky, colour, r = gaussians_at(gop, p, i)
    gone = np.zeros_like(mean)  # since the home frame, where the detail moves
    if gop.head["detail_type"] == 1:
        gone = mean - gaussians_at(gop, p, gop.head["distinct_count"] // 2)[0]
        gone[~np.isfinite(gone).all(axis=1)] = 0
    drawn = (r > 0) & np.isfinite(mean).all(axis=1) & np.isfinite(colour).all(axis=1)
    mean, cholesky, colour, r, gone = (array[drawn] for array in (mean, cholesky, colour, r, gone))
    # The smallest box around each support, as first and last pixel that has its centre in it.
    reach = 3 * np.column_stack([cholesky[:, 0], np.hypot(cholesky[:, 1], cholesky[:, 2])])
    first = np.clip(np.ceil(mean - reach - 0.5), 0, (width, height)).astype(np.int64)
    last = np.clip(np.floor(mean + reach - 0.5), -1, (width - 1, height - 1)).astype(np.int64)
    covered = int(np.maximum(last - first + 1, 0).prod(axis=1).sum())
    require(covered <= LEVELS[gop.sequence["level"]][2], "C-6.5-16", "a frame is too much work for the level")
    out, weights, shift = (np.zeros((height, width, n)) for n in (3, 1, 2))
    for (mx, my), (l11, l21, l22), rgb, fade, far, (x0, y0), (x1, y1) in zip(
        mean, cholesky, colour, r, gone, first.tolist(), last.tolist(), strict=True
    ):
        u = (np.arange(x0, x1 + 1) + 0.5 - mx) / l11  # (u, v) = L^-1 d, so d^T Sigma^-1 d = u^2 + v^2
        v = (np.arange(y0, y1 + 1)[:, None] + 0.5 - my - l21 * u) / l22
        sigma = 0.5 * (u * u + v * v)
        g = fade * np.where(sigma < CUTOFF, np.exp(-sigma) - math.exp(-CUTOFF), 0.0)[:, :, None]
        out[y0 : y1 + 1, x0 : x1 + 1] += g * rgb
        weights[y0 : y1 + 1, x0 : x1 + 1] += g
        shift[y0 : y1 + 1, x0 : x1 + 1] += g * far
    if gop.head["blend_mode"]:
        epsilon = float(gop.head["blend_epsilon"])
        out = (out + epsilon * np.array(gop.head["background"], np.float64)) / (weights + epsilon)
        if gop.head["detail_type"]:
            out = out + detail_at(gop, p, shift / (weights + epsilon))
    if gop.head["residual_frames"]:
        out = out + residual_at(gop, p, i)
    out = np.clip(np.nan_to_num(out, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
    return filtered(out, p["filter"]) if gop.head["filter_type"] else out


def filtered(out: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A picture [H, W, 3] behind the filter of its GoP (7.12)."""
    height, width, _ = out.shape
    wide = ycc_of(np.pad(out, ((3, 3), (3, 3), (0, 0)), "edge"))

    def moved(dx: int, dy: int) -> np.ndarray:
        return wide[3 + dy : 3 + dy + height, 3 + dx : 3 + dx + width]

    half = [(dx, dy) for dy in range(4) for dx in range(-3, 4) if abs(dx) + dy <= 3 and (dy > 0 or dx > 0)]
    found = moved(0, 0).copy()
    for k, (dx, dy) in enumerate(half):
        found += weights[:, k] * (moved(dx, dy) + moved(-dx, -dy) - 2 * moved(0, 0))
    return np.clip(rgb_of(found), 0, 1)


def position_in(gop: Gop, g: float) -> float:
    """The position i of the GoP that a real position g among all of its frames shows (7.7)."""
    repeats, n = gop.head["repeats"], min(max(math.floor(g), 0), gop.head["frame_count"] - 1)
    return n - sum(repeat <= n for repeat in repeats) + (0.0 if n + 1 in repeats else g - n)


def decode_exact(data: bytes) -> Iterator[np.ndarray]:
    """The frames one by one in display order, before rounding."""
    with np.errstate(all="ignore"):
        for gop in read_file(data):
            p = dequantise(gop)
            for frame in range(gop.head["frame_count"]):
                if frame not in gop.head["repeats"]:
                    picture = draw(gop, p, position_in(gop, frame))
                yield picture


def decode_frames(data: bytes) -> np.ndarray:
    """All frames, [frames, height, width, 3]: uint8, or uint16 (white is 65535) where the file has more than 8 bits."""
    s = read_sequence(read_chunks(data)[0][3])
    kind = np.uint8 if s["bit_depth"] == 8 else np.uint16
    if s["frame_count"] * s["width"] * s["height"] * 3 * np.dtype(kind).itemsize > MAX_OUTPUT:
        raise Malformed(f"the frames need more than {MAX_OUTPUT} bytes")
    frames = np.empty((s["frame_count"], s["height"], s["width"], 3), kind)
    for i, frame in enumerate(decode_exact(data)):
        frames[i] = np.floor(frame * np.iinfo(kind).max + 0.5)
    return frames


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: minimal_decoder.py in.gsv out.npy", file=sys.stderr)
        return 1
    try:
        with open(arguments[0], "rb") as source:
            frames = decode_frames(source.read())
        with open(arguments[1], "wb") as target:
            np.save(target, frames)
    except (Malformed, OSError, MemoryError) as error:
        print(f"{arguments[0]}: {error or 'not enough memory'}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
