# SPDX-License-Identifier: MIT
"""Colour: which matrix and range a picture is in, and its conversion to and from RGB.

swscale converts 8-bit pictures and resamples all of them; what it would shift (more than 8 bits, and full range on the
way out) goes through `exact`. Code points are those of ITU-T H.273. Imports no torch.
"""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from gscodec_cli.errors import MediaError
from gscodec_cli.video import exact

BT709, BT601, RGB, UNSPECIFIED = 1, 6, 0, 2
HD_LINES = 720  # unspecified matrices: BT.709 from this many lines on, BT.601 below
# Full chroma interpolation and exact rounding: a flat patch converts within half a step of the real-valued formula.
QUALITY = (
    Interpolation.LANCZOS | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
_SWSCALE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
_REFUSED = {
    8: "YCgCo",
    10: "BT.2020 constant luminance",
    11: "YDzDx",
    12: "chromaticity-derived",
    13: "chromaticity-derived",
    14: "ICtCp",
}


def is_rgb(format: av.VideoFormat) -> bool:
    """True when `format` holds RGB samples (palettes included), so that no matrix applies."""
    return format.is_rgb or format.has_palette


def resolve_matrix(code: int, height: int, rgb: bool) -> int:
    """Return the H.273 matrix to convert with: 0 for RGB, else `code`, or by the lines where it is unspecified.

    Raises MediaError for matrices that are no plain linear YCbCr.
    """
    if rgb:
        return RGB
    if code in _SWSCALE:
        return code
    if code in _REFUSED:
        raise MediaError(f"colour matrix {code} ({_REFUSED[code]}) is not supported; convert the clip to BT.709 first")
    return BT709 if height >= HD_LINES else BT601


def resolve_full_range(frame: av.VideoFrame) -> int:
    """Return the H.273 range of `frame`: 1 full, 0 limited, 2 unspecified (read as limited)."""
    if is_rgb(frame.format) or frame.format.name.startswith("yuvj"):
        return 1
    return {ColorRange.MPEG: 0, ColorRange.JPEG: 1}.get(ColorRange(frame.color_range), UNSPECIFIED)


def bits_of(format: av.VideoFormat) -> int:
    """Bits per component of a pixel format; the largest where they differ."""
    return max(c.bits for c in format.components)


def to_rgb(
    frame: av.VideoFrame, reformatter: VideoReformatter, matrix: int, full_range: int, size: tuple[int, int] | None
) -> np.ndarray:
    """Convert a decoded frame to RGB [H, W, 3], scaled to `size` (width, height) when given.

    uint8, or uint16 (white is 65535) for frames of more than 8 bits. `matrix` is a result of `resolve_matrix`,
    `full_range` 1 or 0/2 (limited). 8-bit and 16-bit RGB sources stay bit exact.
    """
    width, height = size or (frame.width, frame.height)
    bits = bits_of(frame.format)
    if bits > 8 and not is_rgb(frame.format):
        depth = min(d for d in exact.DEPTHS if d >= min(bits, exact.DEPTHS[-1]))
        planes = _resampled(frame, reformatter, f"yuv444p{depth}le", full_range, (width, height))
        return exact.rgb_of(exact.planes_of(planes, depth), depth, matrix, full_range == 1)
    space = _SWSCALE.get(matrix)
    source = ColorRange.JPEG if full_range == 1 else ColorRange.MPEG
    rgb = reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24" if bits == 8 else "rgb48le",
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=source,
        dst_color_range=ColorRange.JPEG,
        interpolation=QUALITY,
    )
    return np.ascontiguousarray(rgb.to_ndarray())


def _resampled(
    frame: av.VideoFrame, reformatter: VideoReformatter, format: str, full_range: int, size: tuple[int, int] | None
) -> av.VideoFrame:
    """The same YCbCr samples with other chroma resolution and size; matrix, range and depth stay."""
    kept = ColorRange.JPEG if full_range == 1 else ColorRange.MPEG
    width, height = size or (None, None)
    return reformatter.reformat(
        frame,
        width=width,
        height=height,
        format=format,
        src_color_range=kept,
        dst_color_range=kept,
        interpolation=QUALITY,
    )


def from_rgb(
    rgb: np.ndarray,  # [H, W, 3] uint8, or uint16 of full scale
    reformatter: VideoReformatter,
    pixel_format: str,
    matrix: int,
    full_range: int,
) -> av.VideoFrame:
    """Convert RGB to `pixel_format` with the given H.273 matrix and range; RGB formats are only repacked."""
    target_format = av.VideoFormat(pixel_format)
    deep = rgb.dtype == np.uint16 or bits_of(target_format) > 8
    if not is_rgb(target_format) and (deep or full_range == 1):
        depth = bits_of(target_format)
        whole = exact.frame_of(exact.ycc_of(rgb, depth, matrix, full_range == 1), depth)
        same = whole.format.name == pixel_format
        return whole if same else _resampled(whole, reformatter, pixel_format, full_range, None)
    if deep and pixel_format.startswith("gbrp"):
        return exact.frame_of(exact.gbr_of(rgb, bits_of(target_format)), bits_of(target_format), "gbrp")
    frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(rgb), format="rgb24" if rgb.dtype == np.uint8 else "rgb48le"
    )
    space = _SWSCALE.get(matrix)
    target = ColorRange.JPEG if full_range == 1 else ColorRange.MPEG
    return reformatter.reformat(
        frame,
        format=pixel_format,
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=ColorRange.JPEG,
        dst_color_range=target,
        interpolation=QUALITY,
    )


def output_format(
    width: int, height: int, matrix: int, full_range: int, pixel_format: str | None, chroma: str = "420", bits: int = 8
) -> tuple[str, int, int]:
    """Choose (pixel format, matrix, range) of a YCbCr output of a source with this `chroma` and `bits` per component.

    The source's own 4:2:2 or 4:4:4 is kept, everything else becomes 4:2:0, which all players show; 4:4:4 for odd sizes,
    because the others cannot hold them. Matrices that
    are no plain YCbCr (RGB, unspecified, YCgCo, ...) become BT.709 or BT.601 by the lines; only a YCbCr source's full
    range is kept.
    """
    kept = chroma if chroma in ("422", "444") else "420"
    fits = width % 2 == 0 and (height % 2 == 0 or kept == "422")
    chosen = pixel_format or f"yuv{kept if fits else '444'}p{'' if bits == 8 else bits}"
    chosen += "le" if chosen[-1].isdigit() else ""
    kept_range = 1 if full_range == 1 and matrix != RGB else 0
    return chosen, resolve_matrix(matrix if matrix in _SWSCALE else UNSPECIFIED, height, False), kept_range
