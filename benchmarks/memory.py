# SPDX-License-Identifier: MIT
"""Peak memory of `gsv encode` and `gsv decode` on clips of different lengths, which should not differ.

    python benchmarks/memory.py                                   20 seconds and a minute
    python benchmarks/memory.py --seconds 20 --seconds 1200       and twenty minutes: some minutes on one core

The clips are made up: a square on a moving ramp, a scene cut every ten seconds, and a tone. Training is as short as the
command line allows, since how long it takes changes no memory; what grows with a clip is what is counted here. Every
run of `gsv` is a process of its own, whose peak the system counts. One row per run is added to
benchmarks/results/memory.csv.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import PROVENANCE, append, provenance

EFFORT = "--preset ultrafast --gaussians 30 --key-iterations 1 --joint-iterations 1 --tune-iterations 1 --no-field"
COLUMNS = (*PROVENANCE, *("size", "fps", "seconds", "frames", "bytes", "run", "took_s", "peak_rss_mb"))
RATE = 8000  # of the sound, Hz


def main() -> None:
    """Make, encode and decode a clip of every length; print and append one row per run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, action="append", help="length of a clip; may be repeated")
    parser.add_argument("--size", metavar="WxH", default="48x32")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--no-csv", action="store_true", help="only print")
    parser.add_argument("--make", metavar="CLIP", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make, *map(int, options.size.split("x")), options.fps, options.seconds[0])
        return
    origin = provenance()
    for seconds in options.seconds or [20, 60]:
        for row in measure(options.size, options.fps, seconds):
            if not options.no_csv:
                append("memory.csv", COLUMNS, [origin | row])


def measure(size: str, fps: int, seconds: int) -> list[dict[str, object]]:
    """Rows of one clip; prints a line for each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = ["--size", size, "--fps", str(fps), "--seconds", str(seconds), "--make", "clip.mkv"]
        peak_of([str(Path(__file__).resolve()), *clip], folder)
        rows = []
        for run in (f"encode clip.mkv -o clip.gsv {EFFORT}", "decode clip.gsv -o back.mp4"):
            began = time.monotonic()
            peak = peak_of(["-m", "gscodec_cli", *run.split(), "--quiet", "--threads", "1"], folder)
            row = {"size": size, "fps": fps, "seconds": seconds, "frames": fps * seconds, "run": f"gsv {run}"}
            row["bytes"] = (folder / "clip.gsv").stat().st_size
            rows.append(row | {"took_s": f"{time.monotonic() - began:.1f}", "peak_rss_mb": f"{peak:.1f}"})
            print(f"{seconds} s, {row['frames']} frames: {rows[-1]['peak_rss_mb']} MB, {rows[-1]['took_s']} s: {run}")
    return rows


def peak_of(arguments: list[str], folder: Path) -> float:
    """Megabytes that a Python program has in memory at most. Raises CalledProcessError.

    What the system counts includes this process up to where the other begins: nothing large is imported here.
    """
    child = subprocess.Popen([sys.executable, *arguments], cwd=folder)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    return usage.ru_maxrss / 1024


def make(path: str, width: int, height: int, fps: int, seconds: int) -> None:
    """Write the clip; runs in a process of its own, so that its memory is not counted."""
    import av
    import numpy as np

    with av.open(path, "w") as target:
        picture = target.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "ultrafast"})
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        sound = target.add_stream("flac", rate=RATE, layout="mono")
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        for number in range(fps * seconds):
            ramp = (2 * x + 3 * y + number) % 256
            rgb = np.stack([ramp, 255 - ramp, np.full_like(ramp, 80 * (number // (10 * fps) % 4))], 2).astype(np.uint8)
            left = number % max(1, width - 8)
            rgb[height // 4 : height // 4 + 8, left : left + 8] = 250
            target.mux(picture.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
            if number % fps == 0:
                wave = np.sin(np.arange(RATE) * (0.2 + 0.01 * (number // fps % 30))) * 8000
                frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
                frame.sample_rate, frame.pts = RATE, number // fps * RATE
                target.mux(sound.encode(frame))
        target.mux(picture.encode(None))
        target.mux(sound.encode(None))


if __name__ == "__main__":
    main()
