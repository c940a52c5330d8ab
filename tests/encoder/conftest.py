# SPDX-License-Identifier: MIT
"""A tiny clip: a textured background and a disc that moves over it."""

import av
import numpy as np
import pytest

SIZE = (48, 64)  # height, width


def moving_disc(frames: int) -> np.ndarray:
    """[T, 48, 64, 3] uint8."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    background = np.stack([90 + 60 * np.sin(columns / 7), 110 + 50 * np.cos(rows / 5), 80 + rows + 0 * columns], -1)
    out = []
    for t in range(frames):
        disc = (rows - 24) ** 2 + (columns - 14 - 5 * t) ** 2 < 81
        out.append(np.where(disc[..., None], (230, 60, 40), background))
    return np.clip(out, 0, 255).astype(np.uint8)


def write_clip(path, pictures):
    """A lossless RGB file of pictures [T, H, W, 3] uint8; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=10, options={"crf": "0"})
        stream.height, stream.width, stream.pix_fmt = *pictures.shape[1:3], "rgb24"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def disc_clip(tmp_path_factory):
    """A lossless RGB file of 7 frames."""
    return write_clip(tmp_path_factory.mktemp("clips") / "disc.mkv", moving_disc(7))
