# SPDX-License-Identifier: MIT
"""Write a made-up .gsv file of 20 000 Gaussians at 1280x640 to measure decoding with.

    python benchmarks/made.py stgv|main FRAMES OUT.gsv

`stgv` has the paper's field; `main` has windows, all open, motion and log shapes, and no field. The Gaussians are of
random place and shape; their supports hold 8.4 million pixels in all, as those trained on one frame of Bunny do.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for the tests' synthetic files

from tests.decoder.synthetic import PAPER_FIELD, make_file, make_header

WIDTH, HEIGHT, GAUSSIANS = 1280, 640, 20_000
LOG_EXTENT = (1.22, 0.5)  # of ln l11 and ln l22: 420 pixels in the mean support


def main(profile: str, frames: str, path: str) -> None:
    """Write one file."""
    length = 32 if profile == "main" else 10
    header = make_header(WIDTH, HEIGHT, int(frames), level=2, profile=int(profile == "main"), max_gop_frames=length)
    tools = ("motion", "alive", "log", "ycc", "energy") if profile == "main" else ("field",)
    options = {"log_extent": LOG_EXTENT, "gain": 0.1, "field_layout": PAPER_FIELD}
    Path(path).write_bytes(make_file(header, GAUSSIANS, tools, **options))


if __name__ == "__main__":
    main(*sys.argv[1:])
