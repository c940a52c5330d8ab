# SPDX-License-Identifier: MIT
"""`gsv verify` and `gsv decode --keep-going` on damaged files, as a user runs them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gscodec.format.chunks import COPY
from gscodec.format.container import ContainerReader
from tests.conformance.broken import broken_files
from tests.decoder.synthetic import make_file, make_header


@pytest.fixture
def damaged(clip, tmp_path):
    """`bad.gsv`: the second of three GoPs is damaged."""
    data = bytearray(clip.read_bytes())
    entry = ContainerReader(bytes(data)).gop_table[1]
    data[entry.offset + 60] ^= 1
    (tmp_path / "bad.gsv").write_bytes(data)
    return entry


def test_a_whole_file(gsv, clip):
    result = gsv("verify", clip)
    assert (result.code, result.out, result.lines) == (0, b"whole: 24 frames in 3 GoPs\n", [])
    assert gsv("verify", "-", input=clip.read_bytes()).out == result.out


def test_damage_is_named(gsv, damaged):
    result = gsv("verify", "bad.gsv")
    assert result.code == 1
    assert "1 damaged place; frames 10:20 are missing" in result.error
    (line,) = result.out.decode().splitlines()
    assert line.startswith(f"byte {damaged.offset:#x}, GOPD chunk of {damaged.length} bytes, frames 10:20: CRC is ")
    facts = json.loads(gsv("verify", "bad.gsv", "--json").out)
    assert (facts["whole"], facts["gops"], facts["frames"], facts["missing"]) == (False, 2, 24, [[10, 20]])
    (fault,) = facts["faults"]
    assert (fault["offset"], fault["length"], fault["kind"]) == (damaged.offset, damaged.length, "GOPD")
    assert (fault["frames"], fault["code"]) == ([10, 20], "C-6.3-4")


def test_a_lost_header_is_named_with_the_rest(gsv, tmp_path, damaged):
    data = bytearray((tmp_path / "bad.gsv").read_bytes())
    data[copy_of(data).payload_offset + 5] ^= 1
    data[25] ^= 1
    (tmp_path / "bad.gsv").write_bytes(data)
    result = gsv("verify", "bad.gsv")
    assert result.code == 1
    assert [line.split(", ")[1].split()[0] for line in result.out.decode().splitlines()] == ["SEQH", "GOPD", "seqh"]
    assert "no sequence header is left" in gsv("decode", "bad.gsv", "-o", "a.npy", "--keep-going").error


def copy_of(data):
    """The chunk with the copy of the sequence header."""
    reader = ContainerReader(bytes(data))
    return next(chunk for chunk, _ in reader.ancillary(reader.gop_count) if chunk.kind == COPY)


def test_a_copy_of_the_header_shows_every_frame(gsv, clip, tmp_path):
    data = bytearray(clip.read_bytes())
    copy = copy_of(data).offset
    data[25] ^= 1
    (tmp_path / "bad.gsv").write_bytes(data)
    result = gsv("verify", "bad.gsv")
    (line,) = result.out.decode().splitlines()
    assert line.startswith("byte 0xa, SEQH chunk of ")
    assert f"the copy of the sequence header at byte {copy:#x} is good and stands in for it" in line
    assert (result.code, "1 damaged place" in result.error, "missing" in result.error) == (1, True, False)
    result = gsv("decode", "bad.gsv", "-o", "a.npy", "--keep-going")
    assert result.code == 0
    assert any("stands in for it" in line for line in result.lines)
    assert gsv("decode", clip, "-o", "b.npy", "-q").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    result = gsv("decode", "bad.gsv", "-o", "c.npy", "-q")
    assert (result.code, len(result.lines)) == (1, 1)
    assert "--keep-going shows what is left" in result.error


def test_a_pipe_has_no_way_back_from_the_copy(gsv, clip, tmp_path):
    data = bytearray(clip.read_bytes())
    data[25] ^= 1
    for command in (("verify", "-"), ("decode", "-", "-o", "a.npy", "--keep-going", "-q")):
        result = gsv(*command, input=bytes(data))
        assert (result.code, result.out, len(result.lines)) == (1, b"", 1)
        assert "save it as a file to see what is left" in result.error
    assert not (tmp_path / "a.npy").exists()


def test_other_files_and_limits(gsv, clip, tmp_path):
    (tmp_path / "text.gsv").write_text("this is no gsv file " * 9)
    assert gsv("verify", "text.gsv").code == 1
    assert "No such file" in gsv("verify", "none.gsv").error
    (tmp_path / "new.gsv").write_bytes(broken_files()["C-6.2-2"])
    assert "use the program that wrote it" in gsv("verify", "new.gsv").error
    result = gsv("verify", clip, "--limit-gaussians", 3)
    assert (result.code, "--limit-gaussians" in result.error) == (3, True)


@pytest.mark.parametrize("source", ["bad.gsv", "-"])
def test_keep_going_shows_the_rest(gsv, clip, tmp_path, damaged, source):
    data = (tmp_path / "bad.gsv").read_bytes()
    result = gsv("decode", source, "-o", "a.npy", "--keep-going", input=data)
    name = "standard input" if source == "-" else source
    assert result.code == 1
    assert result.lines[-1] == f"gsv: {name}: frames 10:20 are missing and show the last one before them"
    assert any("GOPD chunk" in line for line in result.lines)
    assert gsv("decode", clip, "-o", "b.npy", "-q").code == 0
    shown, whole = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    np.testing.assert_array_equal(shown[:10], whole[:10])
    np.testing.assert_array_equal(shown[10:20], np.repeat(whole[9:10], 10, axis=0))
    np.testing.assert_array_equal(shown[20:], whole[20:])


@pytest.mark.parametrize("source", ["part.gsv", "-"])
@pytest.mark.parametrize("output", ["a.npy", "a.mp4", "a.y4m", "p/%d.png"])
def test_a_file_being_written_is_shown_up_to_its_last_whole_gop(gsv, clip, tmp_path, source, output):
    entry = ContainerReader(clip.read_bytes()).gop_table[2]
    data = clip.read_bytes()[: entry.offset + 30]
    (tmp_path / "part.gsv").write_bytes(data)
    result = gsv("decode", source, "-o", output, "--keep-going", "-q", input=data)
    assert result.code == 1
    assert "frames 20:24 are missing and left out" in result.error
    assert gsv("decode", clip, "-o", "whole.npy", "--frames", ":20", "-q").code == 0
    if output == "a.npy":
        np.testing.assert_array_equal(np.load(tmp_path / output), np.load(tmp_path / "whole.npy"))
    elif output.startswith("p"):
        assert len(list((tmp_path / "p").iterdir())) == 20


def test_what_is_not_missing_is_no_failure(gsv, clip, tmp_path, damaged):
    result = gsv("decode", "bad.gsv", "-o", "a.npy", "--keep-going", "--frames", "2:10")
    assert result.code == 0
    assert len(np.load(tmp_path / "a.npy")) == 8
    data = clip.read_bytes()
    (tmp_path / "bad.gsv").write_bytes(data[:-10])
    result = gsv("decode", "bad.gsv", "-o", "b.npy", "--keep-going")
    assert result.code == 0
    assert "ENDF" in result.lines[-1]
    assert len(np.load(tmp_path / "b.npy")) == 24


def test_without_keep_going_nothing_is_shown_and_the_way_out_is_said(gsv, tmp_path, damaged):
    for source in ("bad.gsv", "-"):
        result = gsv("decode", source, "-o", "a.npy", "-q", input=(tmp_path / "bad.gsv").read_bytes())
        assert result.code == 1
        assert "--keep-going shows what is left" in result.error
        assert not (tmp_path / "a.npy").exists()


def test_only_missing_frames_are_an_error(gsv, tmp_path):
    (tmp_path / "a.gsv").write_bytes(make_file(make_header(frames=30))[:300])
    assert "no GoP is whole" in gsv("decode", "a.gsv", "-o", "a.npy", "--keep-going").error
    data = make_file(make_header(frames=30))
    (tmp_path / "a.gsv").write_bytes(data[: ContainerReader(data).gop_table[1].offset + 4])
    result = gsv("decode", "a.gsv", "-o", "a.npy", "--keep-going", "--frames", "15:20")
    assert "the last whole GoP ends at frame 10" in result.error
