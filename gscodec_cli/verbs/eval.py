# SPDX-License-Identifier: MIT
"""`gsv eval REF DIST`: how far a clip is from its reference. Torch serves MS-SSIM only, where it is installed."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.errors import MediaError
from gscodec_cli.metrics.compare import Metric, compare
from gscodec_cli.verbs.common import FrameRange, limit_options, naming, print_json, take_limits
from gscodec_cli.verbs.progress import progress_bar


@dataclass(frozen=True)
class _Clip:
    """Something with frames [H, W, 3], uint8 or uint16. `file_bits`: of a .gsv file, without sound and subtitles."""

    name: str
    width: int
    height: int
    frame_count: int
    matrix: int
    frames: Iterator[np.ndarray]
    file_bits: int | None = None


@click.command(name="eval", short_help="Measure a clip against its reference.")
@click.argument("reference", metavar="REF", type=click.Path())
@click.argument("distorted", metavar="DIST", type=click.Path())
@click.option("--frames", type=FrameRange(), help="Frames of REF to compare with all of DIST.")
@click.option("--no-ms-ssim", is_flag=True, help="Leave out MS-SSIM.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="0 is all cores.", metavar="N")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@limit_options
def command(reference: str, distorted: str, frames: Any, as_json: bool, quiet: bool, **options: Any) -> None:
    """Compare DIST (a video, pictures or a .gsv file) with REF, frame by frame.

    RGB-PSNR is the mean over frames of the PSNR of 8-bit RGB, Y-PSNR that of the luma (REF's own matrix, BT.709 for
    RGB), MS-SSIM that of RGB at five scales; identical frames count as 100 dB. MS-SSIM needs torch and
    pytorch-msssim, and frames of at least 161 pixels a side. bpp is the size of a .gsv file without sound
    and subtitles, in bits over its frames and pixels.
    """
    limits = take_limits(options)
    ref = _open(reference, frames, options["threads"], limits)
    dist = _open(distorted, None, options["threads"], limits)
    _check_comparable(ref, dist)
    ms_ssim, reason = (None, "") if options["no_ms_ssim"] else _ms_ssim(ref, options["threads"])
    with progress_bar("comparing", ref.frame_count, quiet=quiet or as_json) as advance:
        result = _compare(ref, dist, ms_ssim, advance)
    result["ms_ssim_note"] = reason
    if as_json:
        print_json(result)
    else:
        _print_table(result)


def _open(path: str, frames: tuple[int, int | None] | None, threads: int, limits: Any) -> _Clip:
    if Path(path).suffix.lower() == ".gsv":
        return _open_gsv(path, frames, threads, limits)
    from gscodec_cli.video.reader import open_video

    source = open_video(path, frames=frames)
    info = source.info
    pictures = (rgb for rgb, _ in source)
    return _Clip(path, info.width, info.height, len(source), info.conversion_matrix, pictures)


def _open_gsv(path: str, frames: tuple[int, int | None] | None, threads: int, limits: Any) -> _Clip:
    with naming(path):
        decoder = StreamDecoder(path, threads=threads, limits=limits)
    header = decoder.header
    start, stop = decoder.check_range(frames)
    matrix = header.matrix_coefficients
    bits = None if frames else 8 * decoder.counted_bytes
    return _Clip(path, header.width, header.height, stop - start, matrix, _drawn(decoder, start, stop), bits)


def _drawn(decoder: StreamDecoder, start: int, stop: int) -> Iterator[np.ndarray]:
    with naming(decoder.name):
        yield from decoder.frames(start, stop)


def _check_comparable(ref: _Clip, dist: _Clip) -> None:
    if (ref.width, ref.height) != (dist.width, dist.height):
        sizes = f"{ref.width}x{ref.height} and {dist.width}x{dist.height}"
        raise MediaError(f"{ref.name} and {dist.name} differ in size: {sizes}; decode with --size to compare")
    if ref.frame_count != dist.frame_count:
        counts = f"{ref.frame_count} and {dist.frame_count}"
        raise MediaError(f"{ref.name} and {dist.name} differ in frames: {counts}; choose REF's with --frames A:B")


def _ms_ssim(clip: _Clip, threads: int) -> tuple[Metric | None, str]:
    """MS-SSIM for the frames of `clip`; or None, and why it cannot be measured."""
    from gscodec_cli.metrics.msssim import SMALLEST_SIDE, load_ms_ssim

    if min(clip.width, clip.height) < SMALLEST_SIDE:
        return None, f"needs frames of at least {SMALLEST_SIDE} pixels a side"
    try:
        return load_ms_ssim(threads), ""
    except ImportError as error:
        return None, f'needs torch and pytorch-msssim: install them with pip install "gscodec[encode]" ({error})'


def _compare(ref: _Clip, dist: _Clip, ms_ssim: Metric | None, advance: Callable[[int], None]) -> dict[str, Any]:
    found = compare(ref.frames, dist.frames, ref.matrix, ms_ssim, advance)
    pixels = ref.frame_count * ref.width * ref.height
    return {
        "frames": ref.frame_count,
        "width": ref.width,
        "height": ref.height,
        **asdict(found),
        "ms_ssim_note": "",
        "bpp": None if dist.file_bits is None else dist.file_bits / pixels,
        "bytes": None if dist.file_bits is None else dist.file_bits // 8,
    }


def _print_table(result: dict[str, Any]) -> None:
    print(f"frames    {result['frames']} of {result['width']}x{result['height']}")
    print(f"RGB-PSNR  {result['psnr_rgb']:.3f} dB (lowest frame {result['psnr_rgb_min']:.3f})")
    print(f"Y-PSNR    {result['psnr_y']:.3f} dB")
    if result["ms_ssim"] is not None:
        print(f"MS-SSIM   {result['ms_ssim']:.5f}")
    elif result["ms_ssim_note"]:
        print(f"MS-SSIM   not measured: {result['ms_ssim_note']}")
    if result["bpp"] is not None:
        print(f"bpp       {result['bpp']:.5f} ({result['bytes']} bytes)")
