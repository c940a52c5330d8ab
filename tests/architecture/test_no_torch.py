# SPDX-License-Identifier: MIT
"""Decoding needs neither torch nor the encoder: shown in a process where neither can be imported."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.architecture.sources import ROOT

PRELUDE = """
import sys
for name in ("torch", "pytorch_msssim", "gscodec_cli.encoder"):
    sys.modules[name] = None  # from here on, importing it raises ImportError
"""


def run_without_torch(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a fresh process in which torch and the encoder cannot be imported."""
    command = [sys.executable, "-W", "error", "-c", PRELUDE + code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT / "tests")


def gsv_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `gsv` in such a process."""
    return run_without_torch("from gscodec_cli.__main__ import main; main()", *arguments)


def test_the_decoder_imports_without_torch():
    code = "import gscodec_cli.main, gscodec_cli.decoder, gscodec.format, gscodec.kernels; print('ok')"
    result = run_without_torch(code)
    assert (result.returncode, result.stdout.strip()) == (0, "ok"), result.stderr


def test_help_and_info_work_without_torch(first_vector):
    for arguments in (["--help"], ["encode", "--help"], ["info", str(first_vector)]):
        result = gsv_without_torch(*arguments)
        assert result.returncode == 0, result.stderr
        assert result.stdout


def test_decode_works_without_torch(first_vector, tmp_path):
    output = tmp_path / "frames.npy"
    result = gsv_without_torch("decode", str(first_vector), "-o", str(output), "--quiet")
    assert result.returncode == 0, result.stderr
    info = json.loads(gsv_without_torch("info", str(first_vector), "--json").stdout)
    assert output.stat().st_size > 0
    assert sum(info["bits"].values()) == 8 * first_vector.stat().st_size


def test_eval_without_torch_says_what_it_leaves_out(samples):
    clip = str(samples / "pan.mp4")
    result = gsv_without_torch("eval", clip, clip, "--json")
    assert result.returncode == 0, result.stderr
    measured = json.loads(result.stdout)
    assert (measured["psnr_rgb"], measured["ms_ssim"]) == (100, None)
    assert "pytorch-msssim" in measured["ms_ssim_note"]
    assert "MS-SSIM   not measured: needs torch" in gsv_without_torch("eval", clip, clip).stdout


def test_encode_without_torch_says_what_is_missing(samples, tmp_path):
    output = tmp_path / "out.gsv"
    result = gsv_without_torch("encode", str(samples / "pan.mp4"), "-o", str(output))
    assert result.returncode == 4
    assert "encode" in result.stderr
    assert "torch" in result.stderr
    assert "Traceback" not in result.stderr
    assert not output.exists()


def test_an_ordinary_decode_does_not_load_torch(first_vector, tmp_path):
    code = (
        "import sys\nfrom gscodec_cli.main import run\n"
        "assert run(sys.argv[1:]) == 0\n"
        "names = [n for n in sys.modules if n == 'torch' or n.startswith('gscodec_cli.encoder')]\n"
        "sys.exit(', '.join(names) or 0)"
    )
    command = [sys.executable, "-c", code, "decode", str(first_vector), "-o", str(tmp_path / "a.npy"), "--quiet"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT / "tests")
    assert result.returncode == 0, result.stderr
