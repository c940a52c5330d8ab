# SPDX-License-Identifier: MIT
"""`gsv info` and `gsv eval`: stable keys, bits that add up, metrics that equal their definitions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gscodec_cli.metrics.psnr import mse_luma, psnr
from gscodec_cli.video.png import png_bytes
from gscodec_cli.video.reader import open_video
from tests.conformance.broken import base
from tests.decoder.synthetic import make_file, make_header

KEYS = [
    *("bytes", "bpp", "bitrate", "profile", "level", "width", "height", "frames", "gops", "max_entry_distance"),
    *("gaussians", "seconds"),
    *("fps", "time_base", "frame_duration", "start_pts", "sample_aspect_ratio", "bit_depth", "colour_primaries"),
    *("transfer_characteristics", "matrix_coefficients", "full_range", "picture", "tags", "chapters", "streams"),
    *("bits", "gop_table"),
]
COMPONENTS = [
    "camera",
    "carry",
    "means",
    "shapes",
    "colours",
    "codebooks",
    "field_tables",
    "mlp",
    "windows",
    "motion",
    "detail",
    "residual",
    "filter",
    "headers",
    "streams",
]


def test_info_json_has_stable_keys_and_bits_add_up(gsv, clip):
    facts = json.loads(gsv("info", clip, "--json").out)
    assert list(facts) == KEYS
    assert list(facts["bits"]) == COMPONENTS
    assert sum(facts["bits"].values()) == 8 * clip.stat().st_size == 8 * facts["bytes"]
    assert facts["bpp"] == 8 * facts["bytes"] / (24 * 48 * 32)
    assert (facts["frames"], facts["gops"], facts["gaussians"], facts["profile"]) == (24, 3, 180, "main")
    assert facts["gop_table"][1]["first_frame"] == 10
    assert facts["gop_table"][1]["tools"] == ["sum", "motion 2", "window", "field"]


@pytest.mark.parametrize("kind", ["detail", "still detail", "residual", "filter"])
def test_info_tells_what_is_added_to_gaussians(gsv, tmp_path, kind):
    (tmp_path / "detail.gsv").write_bytes(make_file(make_header(frames=3), 20, ("normalised", "camera", kind)))
    facts = json.loads(gsv("info", tmp_path / "detail.gsv", "--json").out)
    assert facts["gop_table"][0]["tools"] == ["normalised", "camera", kind]
    assert facts["bits"][kind.removeprefix("still ")] > 0
    assert sum(facts["bits"].values()) == 8 * facts["bytes"]


def test_info_tells_repeats(gsv, tmp_path):
    (tmp_path / "repeats.gsv").write_bytes(make_file(make_header(frames=7), 20, ("repeats",)))
    gop = json.loads(gsv("info", tmp_path / "repeats.gsv", "--json").out)["gop_table"][0]
    assert (gop["frames"], gop["repeats"]) == (7, 2)
    assert gop["tools"] == ["sum", "repeats"]


def test_info_tells_predicted_gops(gsv, tmp_path):
    (tmp_path / "chain.gsv").write_bytes(base("chain"))
    facts = json.loads(gsv("info", tmp_path / "chain.gsv", "--json").out)
    assert facts["max_entry_distance"] == 11
    assert [gop["entry"] for gop in facts["gop_table"]] == [0, 0, 0, 0, 4, 4]
    assert [gop["carried"] for gop in facts["gop_table"]] == [0, 41, 19, 30, 0, 9]
    assert ["predicted" in gop["tools"] for gop in facts["gop_table"]] == [False, True, True, True, False, True]
    assert facts["bits"]["carry"] > 0


def test_info_shows_tables_fields_and_engines(gsv, clip):
    text = gsv("info", clip).out.decode()
    assert all(name in text for name in (*COMPONENTS, "0:10", "20:24", "normalised" if "normalised" in text else "sum"))
    lines = gsv("info", clip, "--offsets").out.decode().splitlines()
    end = 0
    for line in lines:
        offset, length = int(line.split()[0], 16), int(line.split()[1])
        assert offset == end, line
        end += length
    assert end == clip.stat().st_size
    engines = gsv("info", "--backends").out.decode()
    assert "cpu" in engines
    assert "reference" in engines


def test_eval_of_a_file_against_its_own_frames(gsv, clip):
    assert gsv("decode", clip, "-o", "same.mkv", "--lossless", "-q").code == 0
    result = json.loads(gsv("eval", "same.mkv", clip, "--json").out)
    assert (result["psnr_rgb"], result["psnr_y"], result["frames"]) == (100.0, 100.0, 24)
    assert result["bpp"] == 8 * clip.stat().st_size / (24 * 48 * 32)
    assert result["ms_ssim"] is None
    assert "161 pixels" in result["ms_ssim_note"]


def test_eval_equals_the_definitions(gsv, shared_data):
    reference, other = (
        shared_data / "bunny" / name for name in ("bunny_320x160_16f_lossless.mkv", "bunny_320x160_16f.mp4")
    )
    result = json.loads(gsv("eval", reference, other, "--json").out)
    a, b = (np.stack([rgb for rgb, _ in open_video(path)]) for path in (reference, other))
    squared = ((a.astype(float) - b) ** 2).mean((1, 2, 3))
    per_frame = 10 * np.log10(255**2 / squared)
    luma = (((a.astype(float) - b) @ [0.2126, 0.7152, 0.0722]) ** 2).mean((1, 2))
    assert result["psnr_rgb"] == pytest.approx(per_frame.mean(), abs=1e-4)
    assert result["psnr_rgb_min"] == pytest.approx(per_frame.min(), abs=1e-4)
    assert result["psnr_y"] == pytest.approx((10 * np.log10(255**2 / luma)).mean(), abs=1e-4)
    assert "RGB-PSNR" in gsv("eval", reference, other).out.decode()


def test_eval_takes_a_range_of_the_reference(gsv, clip):
    assert gsv("decode", clip, "-o", "part.npy", "--frames", "4:9", "-q").code == 0
    assert gsv("decode", clip, "-o", "part/%d.png", "--frames", "4:9", "-q").code == 0
    result = json.loads(gsv("eval", clip, "part", "--frames", "4:9", "--json").out)
    assert (result["frames"], result["psnr_rgb"], result["bpp"]) == (5, 100.0, None)


def test_eval_refuses_what_cannot_be_compared(gsv, clip, tmp_path):
    (tmp_path / "wide.gsv").write_bytes(make_file(make_header(64, 32, 24), 5))
    (tmp_path / "short.gsv").write_bytes(make_file(make_header(48, 32, 9), 5))
    wide, short = gsv("eval", clip, "wide.gsv"), gsv("eval", clip, "short.gsv")
    assert (wide.code, short.code) == (1, 1)
    assert "48x32 and 64x32" in wide.error
    assert "24 and 9" in short.error


def test_eval_measures_ms_ssim_frame_by_frame(gsv, tmp_path):
    """Keeps to the definition that tables of learned compression use: pytorch-msssim with its defaults."""
    torch = pytest.importorskip("torch")
    library = pytest.importorskip("pytorch_msssim")
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 22, 26, 3)).repeat(8, 1).repeat(8, 2)[:, :171, :203]
    noisy = np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255)
    clips = coarse.astype(np.uint8), noisy.astype(np.uint8)
    for folder, clip in zip(("ref", "dist"), clips, strict=True):
        (tmp_path / folder).mkdir()
        for number, rgb in enumerate(clip):
            (tmp_path / folder / f"{number}.png").write_bytes(png_bytes(rgb))
    pair = [torch.from_numpy(clip.transpose(0, 3, 1, 2).astype(np.float32)) for clip in clips]
    expected = float(library.ms_ssim(*pair, data_range=255.0))
    result = json.loads(gsv("eval", "ref", "dist", "--json").out)
    assert (result["ms_ssim"], result["ms_ssim_note"]) == (pytest.approx(expected, abs=1e-6), "")
    assert expected < 0.999
    assert f"MS-SSIM   {expected:.4f}" in gsv("eval", "ref", "dist", "--threads", 1).out.decode()
    result = json.loads(gsv("eval", "ref", "dist", "--json", "--no-ms-ssim").out)
    assert (result["ms_ssim"], result["ms_ssim_note"]) == (None, "")


def test_psnr_of_known_errors():
    a = np.full((4, 4, 3), 100, np.uint8)
    assert psnr(a, a) == 100
    assert psnr(a, a + np.uint8(1)) == pytest.approx(48.1308, abs=1e-4)
    red = a.copy()
    red[..., 0] += 10
    assert mse_luma(a, red, 6) == pytest.approx(2.99**2, rel=1e-5)
