# SPDX-License-Identifier: MIT
"""PNG files of RGB frames of 8 or 16 bits (PNG specification, third edition). Imports stdlib and numpy only."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 4  # zlib effort: twice as fast as the default 6 for a few per cent more bytes on drawn frames


def png_bytes(rgb: np.ndarray) -> bytes:
    """Return the PNG file of one [H, W, 3] frame, uint8 or uint16; every row uses the filter `up`."""
    height, width, _ = rgb.shape
    flat = np.ascontiguousarray(rgb if rgb.dtype == np.uint8 else rgb.astype(">u2")).view(np.uint8).reshape(height, -1)
    rows = np.empty((height, 1 + flat.shape[1]), np.uint8)
    rows[:, 0] = 2
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, 8 * rgb.dtype.itemsize, 2, 0, 0, 0)
    data = zlib.compress(rows.data, _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind)))
