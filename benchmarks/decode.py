# SPDX-License-Identifier: MIT
"""Decode a file into RGB arrays and append frames per second and peak memory to benchmarks/results/decode.csv.

    python benchmarks/decode.py clip.gsv
    python benchmarks/decode.py --made stgv --frames 132     (20 000 Gaussians at 1280x640, the paper's field)
    python benchmarks/decode.py --made main --frames 132     (windows, all open; motion, log shapes; no field)

A made-up file has Gaussians of random place and shape whose supports hold 8.4 million pixels in all, as those trained
on one frame of Bunny do. Every run is a process of its own: imports and opening are not timed, reading and entropy
decoding are. `cpu_ms_per_frame` is the processor time of all threads, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "decode.csv"
FIELDS = (
    *("commit", "dirty", "date", "machine", "cpus", "engine", "case", "size", "gaussians", "frames", "bytes"),
    *("threads", "fps_best", "fps_median", "cpu_ms_per_frame", "peak_rss_mb", "command"),
)
WIDTH, HEIGHT, GAUSSIANS = 1280, 640, 20_000
LOG_EXTENT = (1.22, 0.5)  # of ln l11 and ln l22: 420 pixels in the mean support
CHILD = """
import sys, time
from gscodec.kernels import last_engine
from gscodec_cli.decoder.decode import StreamDecoder
path, threads = sys.argv[1], int(sys.argv[2])
decoder = StreamDecoder(path, threads=threads)
began, spent = time.perf_counter(), time.process_time()
for rgb in decoder.frames(0, decoder.frame_count):
    pass
seconds, spent = time.perf_counter() - began, time.process_time() - spent
engine = last_engine()
with open("/proc/self/status") as status:  # getrusage would count the parent's memory before exec
    peak = int(next(line.split()[1] for line in status if line.startswith("VmHWM"))) / 1024
header, gop = decoder.header, decoder.reader.read_gop(0)
print(header.frame_count / seconds, 1000 * spent / header.frame_count, peak, engine.name, engine.isa)
print(header.width, header.height, header.frame_count, gop.gaussian_count)
"""


def main() -> None:
    """Measure one file, print and append one row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help=".gsv file; left out with --made")
    parser.add_argument("--made", choices=["stgv", "main"], help="measure a made-up file of this profile")
    parser.add_argument("--frames", type=int, default=132, help="frames of a made-up file")
    parser.add_argument("--threads", type=int, default=0, help="0 is all cores")
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    if (args.file is None) == (args.made is None):
        parser.error("give a file or --made")
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or make(args.made, args.frames, Path(folder) / f"{args.made}.gsv")
        row = measure(path, args.threads, args.repeat)
    row["case"] = f"made {args.made}" if args.made else path.name
    append(row)
    print(", ".join(f"{name} {row[name]}" for name in FIELDS[5:-1]))


def make(profile: str, frames: int, path: Path) -> Path:
    """Write a made-up file, in a process of its own so that its memory is not counted."""
    code = "import sys; from benchmarks.decode import write_made; write_made(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, profile, str(frames), str(path)], check=True, cwd=ROOT)
    return path


def write_made(profile: str, frames: str, path: str) -> None:
    """Write the file of `make`."""
    from tests.decoder.synthetic import PAPER_FIELD, make_file, make_header

    header = make_header(
        WIDTH,
        HEIGHT,
        int(frames),
        level=2,
        profile=int(profile == "main"),
        max_gop_frames=32 if profile == "main" else 10,
    )
    tools = ("motion", "alive", "log", "ycc", "energy") if profile == "main" else ("field",)
    options = {"log_extent": LOG_EXTENT, "gain": 0.1, "field_layout": PAPER_FIELD}
    Path(path).write_bytes(make_file(header, GAUSSIANS, tools, **options))


def measure(path: Path, threads: int, repeat: int) -> dict[str, object]:
    """Decode the whole file `repeat` times, each in a new process."""
    runs = []
    for _ in range(repeat):
        command = [sys.executable, "-c", CHILD, str(path), str(threads)]
        runs.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    rates = sorted(float(run[0]) for run in runs)
    name, isa, width, height, frames, count = runs[0][3:]
    return {
        **provenance(),
        "engine": f"{name} {isa}",
        "size": f"{width}x{height}",
        "gaussians": count,
        "bytes": path.stat().st_size,
        "frames": frames,
        "threads": threads or os.cpu_count(),
        "fps_best": f"{rates[-1]:.1f}",
        "fps_median": f"{rates[len(rates) // 2]:.1f}",
        "cpu_ms_per_frame": f"{min(float(run[1]) for run in runs):.2f}",
        "peak_rss_mb": f"{max(float(run[2]) for run in runs):.0f}",
    }


def provenance() -> dict[str, object]:
    """Where and from what these numbers came."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return {
        "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": int(bool(git("status", "--porcelain", "--untracked-files=no"))),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "machine": cpu_name(),
        "cpus": os.cpu_count(),
        "command": shlex.join(["python", "benchmarks/decode.py", *sys.argv[1:]]),
    }


def cpu_name() -> str:
    """Name of the processor, as the system gives it."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def append(row: dict[str, object]) -> None:
    """Add one row to the table."""
    new = not RESULTS.exists()
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        if new:
            writer.writeheader()
        writer.writerow(row)


if __name__ == "__main__":
    main()
