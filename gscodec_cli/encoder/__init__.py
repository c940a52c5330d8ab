# SPDX-License-Identifier: MIT
"""The trainer: frames in, `GopRecord`s out.

The only package that imports torch, and only once `encode` is asked for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gscodec_cli.encoder.options import EncodeOptions

if TYPE_CHECKING:
    from gscodec_cli.encoder.pipeline import Encode, EncodeResult, Status, encode

__all__ = ["Encode", "EncodeOptions", "EncodeResult", "Status", "encode"]


def __getattr__(name: str):
    """Import the trainer, and torch with it, on first use."""
    if name not in __all__:
        raise AttributeError(name)
    # Torch's threads must sleep, not spin, when they wait: the kernels' own threads want the same cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from gscodec_cli.encoder import pipeline

    return getattr(pipeline, name)
