# SPDX-License-Identifier: MIT
"""Encode clips as a user would and append what came out to benchmarks/results/encode.csv.

    python benchmarks/encode.py ../shared/data/bunny/bunny_1280x640_132f_rgb.mkv --frames 0:10 -- --profile stgv
    --preset medium

Everything after `--` goes to `gsv encode`. Quality is measured by `gsv eval` on the file that was written; bpp is the
size of that file.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import shlex
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "encode.csv"
FIELDS = (
    "commit",
    "dirty",
    "date",
    "machine",
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
        append(row)
        print(", ".join(f"{name} {row[name]}" for name in FIELDS[4:]))


def measure(clip: Path, frames: str | None, options: list[str], folder: Path) -> dict[str, object]:
    """One row: encode `clip`, then evaluate the file."""
    target = folder / f"{clip.stem}.gsv"
    span = ["--frames", frames] if frames else []
    commit, dirty = _git("rev-parse", "--short", "HEAD"), _is_dirty()  # of the code that runs, not of later commits
    began = time.monotonic()
    encoded = _json(["gsv", "encode", str(clip), "-o", str(target), "-y", "--json", "--quiet", *span, *options])
    seconds = time.monotonic() - began
    found = _json(["gsv", "eval", str(clip), str(target), "--json", *span])
    info = _json(["gsv", "info", str(target), "--json"])
    return {
        "commit": commit,
        "dirty": int(dirty),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M"),
        "machine": machine(),
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
        "ms_ssim": f"{found['ms_ssim']:.5f}",
        "encode_s": f"{seconds:.0f}",
    }


def append(row: dict[str, object]) -> None:
    """Add a row to the CSV, with its header where the file is new."""
    new = not RESULTS.exists()
    with RESULTS.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow(row)


def machine() -> str:
    """Processor and number of cores."""
    import os

    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} cores"


def _json(command: list[str]) -> dict:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def _is_dirty() -> bool:
    """Whether tracked files other than results differ from the commit."""
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results"))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    main()
