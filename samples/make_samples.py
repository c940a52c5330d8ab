# SPDX-License-Identifier: MIT
"""Draws the sample clips: two short scenes that behave like video, from numpy alone.

`pan.mp4`: a camera pans over hills, houses and lettering while textured balls roll by. `cut.mp4`: a pan, a cut to a
slow zoom on another scene, and a melody. Everything follows from fixed seeds. Imports nothing of the codec.

    python samples/make_samples.py [--frames-as-png FOLDER]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

Image = np.ndarray  # [H, W, 3] float64 in 0..1 unless a comment says otherwise

HERE = Path(__file__).resolve().parent
OVERSAMPLE = 3  # every scene is drawn this much larger and averaged down, so edges are smooth at any sub-pixel position
RATE = Fraction(24)
SOUND_RATE = 48000
# Six glyphs of a 5x7 letter, one string per row: lettering gives hard edges, which natural textures lack.
GLYPHS = {
    "G": ("01110", "10001", "10000", "10111", "10001", "10001", "01110"),
    "S": ("01111", "10000", "10000", "01110", "00001", "00001", "11110"),
    "V": ("10001", "10001", "10001", "10001", "10001", "01010", "00100"),
    "2": ("01110", "10001", "00001", "00110", "01000", "10000", "11111"),
    "D": ("11110", "10001", "10001", "10001", "10001", "10001", "11110"),
    " ": ("00000",) * 7,
}


def value_noise(seed: int, height: int, width: int, cell: float, octaves: int) -> np.ndarray:
    """Sum smooth random lattices, each octave twice as fine and 0.55 as strong. Returns [height, width] in 0..1."""
    total = np.zeros((height, width))
    norm = 0.0
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        strength = 0.55**octave
        total += strength * _lattice(np.random.default_rng([seed, octave]), height, width, size)
        norm += strength
    return np.clip((total / norm - 0.5) * 1.6 + 0.5, 0.0, 1.0)


def _lattice(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    nodes = rng.random((int(height / cell) + 2, int(width / cell) + 2))
    rows, row_share = _smooth_positions(height, cell)
    columns, column_share = _smooth_positions(width, cell)
    down = nodes[rows] * (1 - row_share[:, None]) + nodes[rows + 1] * row_share[:, None]
    return down[:, columns] * (1 - column_share) + down[:, columns + 1] * column_share


def _smooth_positions(count: int, cell: float) -> tuple[np.ndarray, np.ndarray]:
    position = np.arange(count) / cell
    index = position.astype(int)
    share = position - index
    return index, share * share * (3 - 2 * share)


def mix(low: tuple[float, ...], high: tuple[float, ...], share: np.ndarray) -> Image:
    """Blend two colours by a [H, W] share in 0..1."""
    return np.asarray(low) * (1 - share[..., None]) + np.asarray(high) * share[..., None]


def paste(image: Image, colour: Image | np.ndarray, mask: np.ndarray) -> None:
    """Lay a colour ([3] or [H, W, 3]) over an image where the [H, W] mask is 1, in place."""
    image += (colour - image) * mask[..., None]


def sky(height: int, width: int, seed: int) -> Image:
    """A gradient with clouds."""
    image = mix((0.30, 0.52, 0.86), (0.93, 0.88, 0.78), np.linspace(0, 1, height)[:, None].repeat(width, 1))
    clouds = np.clip(value_noise(seed, height, width, 150, 6) * 2.6 - 1.3, 0, 1)
    paste(image, np.array([0.97, 0.96, 0.95]), clouds * 0.85)
    return image


def ground(height: int, width: int, seed: int, low: tuple[float, ...], high: tuple[float, ...]) -> Image:
    """Grass or soil: noise down to single pixels, darker in broad patches."""
    fine = value_noise(seed, height, width, 24, 4)
    broad = value_noise(seed + 1, height, width, 220, 3)
    return mix(low, high, fine * 0.65 + broad * 0.35)


def skyline(width: int, level: float, swing: float, seed: int) -> np.ndarray:
    """The upper edge of a hill, in pixels from the top. [width]"""
    return level + swing * (value_noise(seed, 2, width, 260, 4)[0] - 0.5)


def house(image: Image, mask: np.ndarray, left: int, bottom: int, size: int, tint: tuple[float, float, float]) -> None:
    """A wall of bricks with windows and a gable, in place, in the image and its mask. `size`: width in pixels."""
    tall = int(size * 0.8)
    top = bottom - tall
    y, x = np.mgrid[0:tall, 0:size]
    course = y // 9
    joint = (y % 9 < 2) | ((x + 11 * (course % 2)) % 22 < 2)
    wall = np.asarray(tint) * np.where(joint, 0.72, 1.0)[..., None]
    pane = ((x % (size // 3)) > size // 9) & ((x % (size // 3)) < size // 4) & ((y % (tall // 2)) > tall // 6)
    wall[pane & (y < tall * 0.92)] = (0.15, 0.19, 0.26)
    image[top:bottom, left : left + size] = wall
    mask[top:bottom, left : left + size] = 1
    for row in range(size // 3):
        reach = int(row * 1.5)
        centre = left + size // 2
        shade = 0.8 + 0.2 * (row % 6 < 4)
        span = slice(centre - reach - 4, centre + reach + 4)
        image[top - size // 3 + row, span] = np.array([0.48, 0.20, 0.15]) * shade
        mask[top - size // 3 + row, span] = 1


def lettering(image: Image, text: str, left: int, top: int, dot: int) -> None:
    """A white board with dark letters of `dot` x `dot` pixels a dot, in place."""
    rows = ["0".join(GLYPHS[letter][row] for letter in text) for row in range(7)]
    bitmap = np.array([[cell == "1" for cell in row] for row in rows]).repeat(dot, 0).repeat(dot, 1)
    height, width = bitmap.shape
    image[top - 2 * dot : top + height + 2 * dot, left - 2 * dot : left + width + 2 * dot] = (0.94, 0.93, 0.88)
    image[top : top + height, left : left + width][bitmap] = (0.10, 0.10, 0.30)


def village(height: int, width: int, seed: int) -> tuple[Image, np.ndarray]:
    """The middle ground and its mask: hills, houses, a board. [height, width, 3] and [height, width]"""
    image = ground(height, width, seed, (0.16, 0.25, 0.08), (0.52, 0.58, 0.24))
    y = np.arange(height)[:, None]
    edge = skyline(width, height * 0.46, height * 0.18, seed + 7)
    mask = np.clip(y - edge, 0, 1)
    road = np.abs(y - height * 0.86 - 14 * np.sin(np.arange(width) / 190)) < height * 0.055
    paste(image, ground(height, width, seed + 3, (0.36, 0.33, 0.30), (0.58, 0.55, 0.50)), road.astype(float))
    tints = ((0.78, 0.70, 0.58), (0.70, 0.46, 0.40), (0.62, 0.68, 0.72))
    for number, left in enumerate(range(90, width - 400, 370)):
        bottom, size = int(height * (0.62 + 0.04 * (number % 2))), 150 + 30 * (number % 3)
        house(image, mask, left, bottom, size, tints[number % 3])
        lettering(image, "GSV 2D", left + size + 20, int(height * 0.66), 4)
    return image, mask


@dataclass(frozen=True)
class Ball:
    """A textured ball that rolls: position and speed in oversampled pixels, radius likewise."""

    start: tuple[float, float]
    speed: tuple[float, float]
    radius: float
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    bounce: float = 0.0

    def draw(self, image: Image, time: float) -> None:
        """Draw the ball at a time in frames, in place."""
        cx = self.start[0] + self.speed[0] * time
        cy = self.start[1] + self.speed[1] * time - self.bounce * abs(np.sin(time * 0.32))
        y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]]
        dx, dy = (x - cx) / self.radius, (y - cy) / self.radius
        squared = dx * dx + dy * dy
        shadow = np.exp(
            -(((x - cx) / self.radius) ** 2 + ((y - self.start[1] - self.radius) / (self.radius * 0.25)) ** 2)
        )
        image *= 1 - 0.45 * shadow[..., None]
        turn = time * self.speed[0] / self.radius
        u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        pattern = 0.5 + 0.5 * np.tanh(4 * np.sin(7 * u + 2 * np.sin(3 * v)))
        light = np.clip(0.55 + 0.55 * (-0.5 * dx - 0.7 * dy) * 0.8 + 0.3 * (1 - squared), 0.15, 1.25)
        colour = mix(self.low, self.high, pattern) * light[..., None]
        paste(image, np.clip(colour, 0, 1), np.clip((1 - np.sqrt(squared)) * self.radius, 0, 1))


def shifted(layer: np.ndarray, offset: float, width: int) -> np.ndarray:
    """Cut `width` columns out of a layer at a fractional offset."""
    whole = int(np.floor(offset))
    share = offset - whole
    return layer[:, whole : whole + width] * (1 - share) + layer[:, whole + 1 : whole + 1 + width] * share


def shrink(image: Image) -> np.ndarray:
    """Average OVERSAMPLE x OVERSAMPLE pixels and round to 8 bit."""
    height, width = image.shape[0] // OVERSAMPLE, image.shape[1] // OVERSAMPLE
    small = image.reshape(height, OVERSAMPLE, width, OVERSAMPLE, 3).mean((1, 3))
    return np.clip(small * 255 + 0.5, 0, 255).astype(np.uint8)


def pan_scene(width: int, height: int, frames: int, seed: int) -> Iterator[np.ndarray]:
    """A camera pan with parallax; balls cross the picture. Yields [height, width, 3] uint8."""
    big_width, big_height = width * OVERSAMPLE, height * OVERSAMPLE
    speed = 2.3 * OVERSAMPLE
    wide = int(big_width + speed * frames + 2)
    far = sky(big_height, wide, seed)
    near, mask = village(big_height, wide, seed + 20)
    balls = (
        Ball(
            (0.15 * big_width, 0.80 * big_height),
            (11.0, 0.0),
            0.085 * big_height,
            (0.8, 0.15, 0.1),
            (0.98, 0.9, 0.8),
            60,
        ),
        Ball(
            (0.95 * big_width, 0.72 * big_height),
            (-14.0, 1.0),
            0.11 * big_height,
            (0.1, 0.2, 0.6),
            (0.9, 0.85, 0.3),
            25,
        ),
        Ball(
            (0.55 * big_width, 0.30 * big_height), (-3.0, 2.5), 0.06 * big_height, (0.1, 0.4, 0.25), (0.85, 0.95, 0.8)
        ),
    )
    for time in range(frames):
        image = shifted(far, 0.35 * speed * time, big_width)
        offset = speed * time
        paste(image, shifted(near, offset, big_width), shifted(mask[..., None], offset, big_width)[..., 0])
        for ball in balls:
            ball.draw(image, time)
        yield shrink(image)


def zoom_scene(width: int, height: int, frames: int, seed: int) -> Iterator[np.ndarray]:
    """A slow zoom on a wall of tiles with lettering, while the light moves. Yields [height, width, 3] uint8."""
    big_width, big_height = width * OVERSAMPLE, height * OVERSAMPLE
    wall = ground(big_height, big_width, seed, (0.50, 0.30, 0.24), (0.80, 0.66, 0.52))
    y, x = np.mgrid[0:big_height, 0:big_width]
    wall *= np.where((x % 61 < 3) | (y % 61 < 3), 0.55, 1.0)[..., None]
    lettering(wall, "2D GS", big_width // 6, big_height // 3, 13)
    ball = Ball(
        (0.1 * big_width, 0.78 * big_height), (13.0, 0.0), 0.13 * big_height, (0.1, 0.35, 0.4), (0.95, 0.75, 0.3), 40
    )
    for time in range(frames):
        scale = 1 / (1 + 0.006 * time)
        rows = ((y - big_height / 2) * scale + big_height / 2).astype(int)
        columns = ((x - big_width / 2) * scale + big_width / 2).astype(int)
        light = 0.75 + 0.35 * np.exp(-(((x - big_width * (0.2 + 0.03 * time)) / (0.4 * big_width)) ** 2))
        image = np.clip(wall[rows, columns] * light[..., None], 0, 1)
        ball.draw(image, time)
        yield shrink(image)


def melody(seconds: float) -> np.ndarray:
    """Plucked tones, eight a second, mono. [samples] float32 in -1..1"""
    time = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    out = np.zeros_like(time)
    for number, semitone in enumerate((0, 4, 7, 12, 9, 7, 4, 2)):
        since = time - number / 8
        tone = 261.63 * 2 ** (semitone / 12)
        wave = sum(np.sin(2 * np.pi * tone * k * since) / k**2 for k in (1, 2, 3))
        out += np.where(since >= 0, wave * np.exp(-6 * np.maximum(since, 0)), 0.0)
    return (0.4 * out / np.abs(out).max()).astype(np.float32)


def write_clip(path: Path, frames: Iterator[np.ndarray], width: int, height: int, sound: np.ndarray | None) -> None:
    """Write BT.709 H.264 at high quality, and AAC where there is sound, to a temporary name first."""
    part = path.with_suffix(".part.mp4")
    with av.open(str(part), "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=RATE)
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.options = {"crf": "16", "preset": "slow", "threads": "1"}
        context = picture.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 1, 1, 1, 1
        voice = container.add_stream("aac", rate=SOUND_RATE, layout="mono") if sound is not None else None
        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            container.mux(picture.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709")))
        container.mux(picture.encode(None))
        if voice is not None and sound is not None:
            for first in range(0, len(sound), 1024):
                block = av.AudioFrame.from_ndarray(sound[None, first : first + 1024], "fltp", "mono")
                block.sample_rate, block.pts = SOUND_RATE, first
                container.mux(voice.encode(block))
            container.mux(voice.encode(None))
    os.replace(part, path)


def cut_scene(width: int, height: int) -> Iterator[np.ndarray]:
    """Eleven frames of one scene, then thirteen of another."""
    yield from pan_scene(width, height, 11, seed=5)
    yield from zoom_scene(width, height, 13, seed=9)


CLIPS: dict[str, tuple[int, int, Callable[[], Iterator[np.ndarray]], bool]] = {
    "pan": (320, 176, lambda: pan_scene(320, 176, 20, seed=1), False),
    "cut": (320, 176, lambda: cut_scene(320, 176), True),
}


def main() -> None:
    """Write every clip beside this file, or its frames as PNG into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames-as-png", type=Path, help="write PNG frames into this folder instead of the clips")
    folder = parser.parse_args().frames_as_png
    for name, (width, height, scene, has_sound) in CLIPS.items():
        if folder is None:
            write_clip(HERE / f"{name}.mp4", scene(), width, height, melody(1.0) if has_sound else None)
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(scene()):
            av.VideoFrame.from_ndarray(image, "rgb24").save(str(folder / f"{name}_{number:03}.png"))


if __name__ == "__main__":
    main()
