# SPDX-License-Identifier: MIT
"""Conformance rules of SPEC 6.1 to 6.5: descriptors, file, chunks, sequence header, GoP header.

One function per sentence, in the order of the sentences; it returns None, or what was found and what was expected.
Readers and writers call the same rules. Imports rules and limits only.
"""

from __future__ import annotations

import math

from .limits import LEVELS, MAX_GOP_FRAMES, MAX_RESIDUAL_FRAMES, MAX_SIDE
from .rules import between, rule

# 6.1 Descriptors


@rule("C-6.1-1")
def bytes_are_there(needed: int, left: int) -> str | None:
    """A field lies wholly inside its payload, a structure inside the file."""
    return None if needed <= left else f"cut short: {needed} bytes needed, {max(left, 0)} left"


@rule("C-6.1-2")
def leb128_is_shortest(last_byte: int, length: int) -> str | None:
    """A variable-length integer is no longer than needed and ends within 5 (10) bytes."""
    if last_byte >= 0x80:
        return f"variable-length integer goes on after {length} bytes"
    return "variable-length integer is padded with a zero byte" if last_byte == 0 and length > 1 else None


@rule("C-6.1-3")
def integer_fits(value: int, bits: int) -> str | None:
    """An integer fits its descriptor."""
    return None if 0 <= value < 1 << bits else f"integer {value} does not fit {bits} bits"


@rule("C-6.1-4")
def float_is_finite(value: float) -> str | None:
    """A float is neither infinite nor NaN."""
    return None if math.isfinite(value) and abs(value) < 2.0**128 else f"float is {value}, expected a finite number"


# 6.2 File


@rule("C-6.2-1")
def signature(found: bytes, expected: bytes) -> str | None:
    """The file begins with the signature."""
    return None if found == expected else f"signature is {found.hex(' ') or 'missing'}, expected {expected.hex(' ')}"


@rule("C-6.2-2")
def version(major: int, minor: int, expected: tuple[int, int]) -> str | None:
    """The version is exactly the one of this document."""
    if (major, minor) == expected:
        return None
    return (
        f"version {major}.{minor}, this program reads {expected[0]}.{expected[1]} only; use the program that wrote it"
    )


@rule("C-6.2-3")
def chunk_order(kind: str, before: str) -> str | None:
    """SEQH first and once, GOPD chunks, INDX once, ENDF once and last."""
    allowed = {"": {"SEQH"}, "SEQH": {"GOPD"}, "GOPD": {"GOPD", "INDX"}, "INDX": {"ENDF"}, "ENDF": set()}
    return None if kind in allowed[before] else f"{kind} chunk after {before or 'the signature'}"


@rule("C-6.2-4")
def file_ends_with_end(ends_there: bool) -> str | None:
    """The last 21 bytes are the ENDF chunk."""
    return None if ends_there else "the file does not end with an ENDF chunk (cut off, or bytes were added)"


@rule("C-6.2-5")
def frames_are_covered(found: int, expected: int) -> str | None:
    """The GoPs together hold each frame of the sequence once, in display order."""
    return None if found == expected else f"the GoPs reach frame {found}, expected {expected}"


# 6.3 Chunk


@rule("C-6.3-1")
def chunk_flags(flags: int) -> str | None:
    """Reserved flag bits are zero."""
    return None if flags & ~1 == 0 else f"chunk flags are {flags:#04x}, reserved bits must be 0"


@rule("C-6.3-2")
def chunk_type_is_known(kind: str, critical: bool, known: bool) -> str | None:
    """Critical chunks are of a known type."""
    return None if known or not critical else f"critical chunk of unknown type {kind!r}; a newer program may read it"


@rule("C-6.3-3")
def chunk_is_critical(kind: str, critical: bool, expected: bool) -> str | None:
    """The chunk types of this document carry the critical flag, or do not, as its table says."""
    if critical == expected:
        return None
    return f"{kind} chunk {'without' if expected else 'with'} the critical flag"


@rule("C-6.3-4")
def chunk_crc(found: int, computed: int) -> str | None:
    """The CRC is that of the chunk's bytes."""
    return None if found == computed else f"CRC is {found:08x}, the bytes give {computed:08x}: the chunk is damaged"


@rule("C-6.3-5")
def payload_is_used_up(left: int) -> str | None:
    """The syntax uses every byte of the payload."""
    return None if left == 0 else f"{left} bytes left over at the end of the payload"


# 6.4 Sequence header


@rule("C-6.4-1")
def profile(value: int) -> str | None:
    """profile is 0 or 1."""
    return between("profile", value, 0, 1)


@rule("C-6.4-2")
def level(value: int) -> str | None:
    """level is 1 to 5."""
    return between("level", value, min(LEVELS), max(LEVELS))


@rule("C-6.4-3")
def frame_side(name: str, value: int) -> str | None:
    """width and height are 1 to 65535."""
    return between(name, value, 1, MAX_SIDE)


@rule("C-6.4-4")
def pixels_in_level(pixels: int, level: int) -> str | None:
    """width * height is within the level."""
    return None if pixels <= LEVELS[level].pixels else f"{pixels} pixels, level {level} allows {LEVELS[level].pixels}"


@rule("C-6.4-5")
def positive_ratio(name: str, value: int) -> str | None:
    """Aspect ratio and time base have no zero part."""
    return None if value > 0 else f"{name} is 0, expected at least 1"


@rule("C-6.4-6")
def bit_depth(value: int) -> str | None:
    """bit_depth is 8, 10 or 12."""
    return None if value in (8, 10, 12) else f"bit_depth is {value}, expected 8, 10 or 12"


@rule("C-6.4-7")
def full_range(value: int) -> str | None:
    """full_range is 0, 1 or 2."""
    return between("full_range", value, 0, 2)


@rule("C-6.4-8")
def max_gop_frames(value: int) -> str | None:
    """max_gop_frames is 1 to 4096."""
    return between("max_gop_frames", value, 1, MAX_GOP_FRAMES)


@rule("C-6.4-9")
def sequence_is_not_empty(frame_count: int) -> str | None:
    """A sequence has at least one frame."""
    return None if frame_count > 0 else "frame_count is 0, expected at least 1"


@rule("C-6.4-10")
def time_stamp_fits(pts: int) -> str | None:
    """Time stamps fit 64 bits."""
    return None if -(1 << 63) <= pts < 1 << 63 else f"time stamp {pts} does not fit 64 bits"


@rule("C-6.4-11")
def entry_distance_holds_a_gop(value: int, max_gop_frames: int) -> str | None:
    """max_entry_distance is at least max_gop_frames."""
    return None if value >= max_gop_frames else f"max_entry_distance is {value}, expected {max_gop_frames} or more"


@rule("C-6.4-12")
def copy_agrees(name: str, found: int, expected: int) -> str | None:
    """A copy of the sequence header has the values of the SEQH chunk."""
    return None if found == expected else f"{name} is {found} in the copy of the sequence header, {expected} in SEQH"


# 6.5 GoP header


@rule("C-6.5-1")
def gop_frame_count(value: int, most: int) -> str | None:
    """frame_count is 1 to max_gop_frames."""
    return between("frame_count", value, 1, most)


@rule("C-6.5-2")
def gop_in_sequence(first_frame: int, frame_count: int, total: int) -> str | None:
    """The GoP's frames are frames of the sequence."""
    end = first_frame + frame_count
    return None if end <= total else f"GoP of frames {first_frame} to {end - 1}, the sequence has {total}"


@rule("C-6.5-3")
def pts_delta(value: int) -> str | None:
    """Time stamps rise."""
    return None if value > 0 else "pts_delta is 0, expected at least 1"


@rule("C-6.5-4")
def first_time_stamp(pts: int, start_pts: int) -> str | None:
    """The first GoP starts at start_pts."""
    return None if pts == start_pts else f"first_pts is {pts} at frame 0, start_pts is {start_pts}"


@rule("C-6.5-5")
def time_stamps_rise(previous: int, first: int) -> str | None:
    """Time stamps rise from GoP to GoP."""
    return None if first > previous else f"first_pts is {first}, the GoP before ends at {previous}"


@rule("C-6.5-6")
def reference_mode(value: int) -> str | None:
    """reference_mode is 0 or 1."""
    return between("reference_mode", value, 0, 1)


@rule("C-6.5-7")
def gaussians_in_level(count: int, level: int) -> str | None:
    """gaussian_count is within the level."""
    most = LEVELS[level].gaussians
    return None if count <= most else f"gaussian_count is {count}, level {level} allows {most}"


@rule("C-6.5-8")
def gaussians_have_bits(count: int, payload_length: int) -> str | None:
    """A Gaussian that is not carried takes at least one bit of the payload."""
    most = 8 * payload_length
    return None if count <= most else f"{count} new Gaussians, a payload of {payload_length} bytes allows {most}"


@rule("C-6.5-9")
def blend_mode(value: int) -> str | None:
    """blend_mode is 0 or 1."""
    return between("blend_mode", value, 0, 1)


@rule("C-6.5-10")
def blend_epsilon(value: float) -> str | None:
    """blend_epsilon is positive."""
    return None if value > 0 else f"blend_epsilon is {value}, expected more than 0"


@rule("C-6.5-11")
def motion_degree(value: int) -> str | None:
    """motion_degree is 0 to 3."""
    return between("motion_degree", value, 0, 3)


@rule("C-6.5-12")
def colour_drift(value: int) -> str | None:
    """colour_drift is 0 or 1."""
    return between("colour_drift", value, 0, 1)


@rule("C-6.5-13")
def window_type(value: int) -> str | None:
    """window_type is 0 or 1."""
    return between("window_type", value, 0, 1)


@rule("C-6.5-14")
def field_type(value: int) -> str | None:
    """field_type is 0 or 1."""
    return between("field_type", value, 0, 1)


@rule("C-6.5-19")
def camera_type(value: int) -> str | None:
    """camera_type is 0 or 1."""
    return between("camera_type", value, 0, 1)


@rule("C-6.5-20")
def detail_type(value: int) -> str | None:
    """detail_type is 0, 1 or 2."""
    return between("detail_type", value, 0, 2)


@rule("C-6.5-21")
def residual_frames(value: int) -> str | None:
    """residual_frames is 0 to 64."""
    return between("residual_frames", value, 0, MAX_RESIDUAL_FRAMES)


@rule("C-6.5-22")
def filter_type(value: int) -> str | None:
    """filter_type is 0 or 1."""
    return between("filter_type", value, 0, 1)


@rule("C-6.5-23")
def repeat_count(value: int, frame_count: int) -> str | None:
    """The first frame of a GoP is no repeat."""
    return between("repeat_count", value, 0, frame_count - 1)


@rule("C-6.5-24")
def repeats_rise(deltas: list[int], frame_count: int) -> str | None:
    """Repeats are frames of the GoP but its first, each once, in order."""
    if 0 in deltas:
        return "repeat_delta is 0, expected at least 1"
    last = sum(deltas)
    return None if last < frame_count else f"frame {last} of the GoP is a repeat, it has {frame_count}"


@rule("C-6.5-15")
def tools_in_profile(profile: int, tools: tuple[str, ...]) -> str | None:
    """Profile 0 uses none of the tools of profile 1."""
    return None if profile or not tools else f"profile stgv does not have {', '.join(tools)}"


@rule("C-6.5-16")
def covered_pixels_in_level(covered: int, level: int) -> str | None:
    """The covered pixels of every frame are within the level."""
    most = LEVELS[level].covered_pixels
    return None if covered <= most else f"{covered} covered pixels in a frame, level {level} allows {most}"


@rule("C-6.5-17")
def reference_is_there(there: bool) -> str | None:
    """A predicted GoP has a GoP before it."""
    return None if there else "the GoP is predicted from the one before it, and there is none"


@rule("C-6.5-18")
def entry_is_near(distance: int, most: int) -> str | None:
    """From where a chain of GoPs begins to the end of each are at most max_entry_distance frames."""
    if distance <= most:
        return None
    return f"to show the GoP's last frame {distance} frames must be decoded, max_entry_distance is {most}"
