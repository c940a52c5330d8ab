# SPDX-License-Identifier: MIT
"""The `gsv` program and the Python face of the codec: `gscodec_cli.VideoDecoder`. Imports nothing until it is used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gscodec_cli.decoder.api import Frame, FrameBatch, VideoDecoder, VideoMetadata

__all__ = ["Frame", "FrameBatch", "VideoDecoder", "VideoMetadata"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gscodec_cli' has no attribute {name!r}")
    from gscodec_cli.decoder import api

    return getattr(api, name)
