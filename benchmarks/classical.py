# SPDX-License-Identifier: MIT
"""What x264 and x265 make of the clips in benchmarks/results/encode.csv at the bpp that gsv reached there.

    python benchmarks/classical.py ../shared/data

Same frames, one key frame, preset medium, yuv420p with the accurate Lanczos conversion of gscodec_cli.video both
ways, RGB-PSNR as `gsv eval` has it, bits of the elementary stream. Interpolated in log(bpp) between CRFs; appended to
results/classical.csv.
"""

from __future__ import annotations

import csv
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from gscodec_cli.metrics.psnr import psnr
from gscodec_cli.video.colour import from_rgb, to_rgb
from gscodec_cli.video.reader import open_video

RESULTS = Path(__file__).parent / "results"
CRFS = range(14, 47, 4)
BT709 = 1


def main() -> None:
    """One row for each clip and codec."""
    if len(sys.argv) != 2:
        sys.exit(__doc__.split("\n\n")[1].strip())
    rows = list(csv.DictReader((RESULTS / "encode.csv").open()))
    with (RESULTS / "classical.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("clip", "frames", "codec", "bpp", "rgb_psnr", "gsv_rgb_psnr", "gsv_options"))
        for row in rows:
            for codec in ("libx264", "libx265"):
                value = psnr_at(Path(sys.argv[1]), row["clip"], row["frames"], codec, float(row["bpp"]))
                writer.writerow(
                    (row["clip"], row["frames"], codec, row["bpp"], f"{value:.2f}", row["rgb_psnr"], row["options"])
                )
                print(row["clip"], codec, row["bpp"], f"{value:.2f} dB, gsv {row['rgb_psnr']}", flush=True)


def psnr_at(data: Path, clip: str, span: str, codec: str, bpp: float) -> float:
    """RGB-PSNR in dB of a codec at `bpp`; NaN outside the range of CRFs."""
    first, last = map(int, span.split(":"))
    source = open_video(next(data.glob(f"*/{clip}")), frames=(first, last))
    pictures = [rgb for rgb, _ in source]
    curve = sorted(encode(pictures, codec, crf) for crf in CRFS)
    rates, quality = np.log([point[0] for point in curve]), [point[1] for point in curve]
    return float(np.interp(np.log(bpp), rates, quality, left=np.nan, right=np.nan))


def encode(pictures: list[np.ndarray], codec: str, crf: int) -> tuple[float, float]:
    """(bpp, RGB-PSNR in dB) of one encode, decoded again from its packets."""
    height, width = pictures[0].shape[:2]
    encoder = av.CodecContext.create(codec, "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = width, height, "yuv420p", Fraction(1, 25)
    encoder.gop_size = 10_000
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    encoder.options = {"crf": str(crf), "preset": "medium", **quiet}
    reformatter, packets = VideoReformatter(), []
    for number, rgb in enumerate(pictures):
        frame = from_rgb(rgb, reformatter, "yuv420p", BT709, 0)
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoder = av.CodecContext.create("h264" if codec == "libx264" else "hevc", "r")
    frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    back = VideoReformatter()
    values = [psnr(a, to_rgb(b, back, BT709, 0, None)) for a, b in zip(pictures, frames, strict=True)]
    bits = 8 * sum(packet.size for packet in packets if packet.size)
    return bits / (len(pictures) * height * width), float(np.mean(values))


if __name__ == "__main__":
    main()
