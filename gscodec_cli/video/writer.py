# SPDX-License-Identifier: MIT
"""Write decoded RGB frames as a clip: the target's name chooses the kind. Pipeline: output. Imports no torch.

MP4, MOV and MKV (x264), y4m, numbered PNG files, .npy and raw RGB24 on standard output. Every writer is a context
manager; the target appears under its name only when the block ends without an error.
"""

from pathlib import Path

from gscodec_cli.errors import UsageError
from gscodec_cli.video.simple import NUMBER, NpyWriter, PngWriter, RawWriter, Y4mWriter
from gscodec_cli.video.writing import DEFAULT_CRF, ClipFormat, FrameWriter, WriteOptions
from gscodec_cli.video.x264 import ENCODED_SUFFIXES, X264Writer

__all__ = ["DEFAULT_CRF", "KEEPS_TIMES", "ClipFormat", "FrameWriter", "WriteOptions", "open_writer"]

KEEPS_TIMES = tuple(ENCODED_SUFFIXES)  # kinds of files that hold a time stamp per frame


def open_writer(target: str, clip: ClipFormat, options: WriteOptions) -> FrameWriter:
    """Return the writer for `target`, chosen by its name.

    Raises UsageError for an unknown kind of name or a target that exists, OutputError when it cannot be created.
    """
    if target == "-":
        return RawWriter(target, clip, options)
    suffix = Path(target).suffix.lower()
    if suffix == ".png":
        if len(NUMBER.findall(Path(target).name)) != 1 and clip.frame_count > 1:
            raise UsageError(f"{target}: {clip.frame_count} pictures need a number in the name, such as frame_%04d.png")
        return PngWriter(target, clip, options)
    if suffix == ".npy":
        return NpyWriter(target, clip, options)
    if suffix == ".y4m":
        return Y4mWriter(target, clip, options)
    if suffix in ENCODED_SUFFIXES:
        return X264Writer(target, clip, options)
    kinds = " ".join((*ENCODED_SUFFIXES, ".y4m", ".png (numbered)", ".npy", "or - for raw RGB24"))
    raise UsageError(f"{target}: cannot tell what to write from this name; expected one of {kinds}")
