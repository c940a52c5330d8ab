# SPDX-License-Identifier: MIT
"""Decode a file into RGB arrays and append frames per second and peak memory to benchmarks/results/decode.csv.

    python benchmarks/decode.py clip.gsv
    python benchmarks/decode.py --made stgv --frames 132     (20 000 Gaussians at 1280x640, the paper's field)
    python benchmarks/decode.py --made main --frames 132     (windows, all open; motion, log shapes; no field)

A made-up file is one of `made.py`. Every run is a process of its own: imports and opening are not timed, reading and
entropy decoding are. `cpu_ms_per_frame` is the processor time of all threads, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from common import ROOT, append, provenance

FIELDS = (
    *("commit", "dirty", "date", "machine", "cores", "engine", "case", "size", "gaussians", "frames", "bytes"),
    *("threads", "fps_best", "fps_median", "cpu_ms_per_frame", "peak_rss_mb", "command"),
)
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
    append("decode.csv", FIELDS, [row])
    print(", ".join(f"{name} {row[name]}" for name in FIELDS[5:-1]))


def make(profile: str, frames: int, path: Path) -> Path:
    """Write a made-up file, in a process of its own so that its memory is not counted."""
    script = ROOT / "benchmarks" / "made.py"
    subprocess.run([sys.executable, str(script), profile, str(frames), str(path)], check=True)
    return path


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


if __name__ == "__main__":
    main()
