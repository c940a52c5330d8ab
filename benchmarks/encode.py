# SPDX-License-Identifier: MIT
"""Encode clips as a user would and append what came out to benchmarks/results/encode.csv.

    python benchmarks/encode.py ../shared/data/bunny/bunny_1280x640_132f_rgb.mkv --frames 0:10 -- --profile stgv
    --preset medium

Everything after `--` goes to `gsv encode`. Quality is measured by `gsv eval` on the file that was written; bpp is the
size of that file.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from common import PROVENANCE, append, provenance

FIELDS = (
    *PROVENANCE,
    "clip",
    "frames",
    "size",
    "options",
    "gaussians",
    "bytes",
    "bpp",
    "rgb_psnr",
    "rgb_psnr_min",
    "y_psnr",
    "ms_ssim",
    "encode_s",
)


def main() -> None:
    """Encode, measure, append one row for each clip."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", help="A:B of every clip")
    parser.add_argument("--keep", type=Path, default=Path("out"), help="folder for the .gsv files")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, options = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1 :]
    args.keep.mkdir(exist_ok=True)
    for clip in args.clips:
        row = measure(clip, args.frames, options, args.keep)
        append("encode.csv", FIELDS, [row])
        print(", ".join(f"{name} {row[name]}" for name in FIELDS[len(PROVENANCE) :]))


def measure(clip: Path, frames: str | None, options: list[str], folder: Path) -> dict[str, object]:
    """One row: encode `clip`, then evaluate the file."""
    target = folder / f"{clip.stem}.gsv"
    span = ["--frames", frames] if frames else []
    origin = provenance()
    began = time.monotonic()
    encoded = _json(["gsv", "encode", str(clip), "-o", str(target), "-y", "--json", "--quiet", *span, *options])
    seconds = time.monotonic() - began
    found = _json(["gsv", "eval", str(clip), str(target), "--json", *span])
    info = _json(["gsv", "info", str(target), "--json"])
    return {
        **origin,
        "clip": clip.name,
        "frames": frames or f"0:{info['frames']}",
        "size": f"{info['width']}x{info['height']}",
        "options": shlex.join(options),
        "gaussians": encoded["gaussians"],
        "bytes": target.stat().st_size,
        "bpp": f"{found['bpp']:.5f}",
        "rgb_psnr": f"{found['psnr_rgb']:.3f}",
        "rgb_psnr_min": f"{found['psnr_rgb_min']:.3f}",
        "y_psnr": f"{found['psnr_y']:.3f}",
        "ms_ssim": "" if found["ms_ssim"] is None else f"{found['ms_ssim']:.5f}",
        "encode_s": f"{seconds:.0f}",
    }


def _json(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    main()
