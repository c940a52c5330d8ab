# SPDX-License-Identifier: MIT
"""What a step of each kind of number costs the picture, for a file of profile `main`.

    python -m benchmarks.precision clip.gsv ...

Every number of one kind in the first GoP is moved at random by up to half of its step. What changes in the frames is
the squared error that rounding these numbers would cause alone; where bits are shared out well it is the same for one
number of every kind. Shapes change with their colours held: amplitudes are rounded at the norms of rounded shapes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from docs.tables import table
from gscodec.format.dequant import GopParameters, dequantise
from gscodec.format.records import NORM_ENERGY, Coded, GopRecord, SequenceHeader, UniformQuantiser
from gscodec_cli.decoder.decode import StreamDecoder
from gscodec_cli.decoder.moving import cholesky
from gscodec_cli.decoder.reconstruct import GopRenderer

LOOKED_AT = 6  # frames of the GoP
SEED = 0
SHAPES = ("ln l11", "l21 / l22", "ln l22")
COLOURS = ("Y", "Cb", "Cr")

Floats = NDArray[np.float32]
Moved = tuple[str, float, float, GopParameters]  # kind, step, numbers for each Gaussian, everything with these moved


def main(words: list[str] | None = None) -> int:
    """Print a table for each file. Returns the exit code."""
    parser = argparse.ArgumentParser("precision", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE.gsv")
    for path in parser.parse_args(words).files:
        decoder = StreamDecoder(path)
        record = decoder.reader.read_gop(0)
        print(f"## {path}: {record.gaussian_count} Gaussians\n\n{report(record, decoder.header)}\n")
        decoder.close()
    return 0


def report(record: GopRecord, header: SequenceHeader) -> str:
    """A row for each kind of number: its step, and the squared error of RGB in the GoP for one of them."""
    params = dequantise(record)
    before = pictures(params, header)
    share = before.size / LOOKED_AT * record.distinct_count / record.gaussian_count
    rows = []
    for kind, step, numbers, moved in all_moved(record, params):
        error = float(np.square(pictures(moved, header) - before).mean()) * share / numbers
        rows.append([kind, f"{step:.4g}", f"{error:.0f}"])
    return table(["number", "step", "squared error"], rows)


def pictures(params: GopParameters, header: SequenceHeader) -> NDArray[np.float64]:
    """[LOOKED_AT, H, W, 3] frames of 0..255, evenly spread over the GoP."""
    renderer = GopRenderer(params, header)
    scale = 255 / (2**header.bit_depth - 1)
    positions = np.linspace(0, params.distinct_count - 1, LOOKED_AT).round()
    return np.stack([renderer.render(float(position)).astype(np.float64) * scale for position in positions])


def all_moved(record: GopRecord, params: GopParameters) -> Iterator[Moved]:
    """The parameters with one kind of number after the other moved by noise of its step."""
    random = np.random.default_rng(SEED)

    def noisy(values: Floats, steps: float | Floats) -> Floats:
        return (values + steps * random.uniform(-0.5, 0.5, values.shape)).astype(np.float32)

    grid = 2.0**-record.mean.fraction_bits
    yield "mean", grid, 2, replace(params, mean=noisy(params.mean, grid))
    for column, (name, step) in enumerate(zip(SHAPES, steps_of(record.shape.coded), strict=True)):
        shape = params.shape.copy()
        shape[:, column] = noisy(shape[:, column], step)
        yield name, step, 1, with_shape(params, shape)
    for column, (name, step) in enumerate(zip(COLOURS, steps_of(record.colour.coded), strict=True)):
        colour = params.colour.copy()
        colour[:, column] = noisy(colour[:, column], step)
        yield name, step, 1, replace(params, colour=colour)
    if record.motion is not None and params.motion is not None:
        steps = np.array([steps_of(degree) for degree in record.motion.degrees], np.float32)  # [K, 2]
        yield "motion", float(steps[0, 0]), steps.size, replace(params, motion=noisy(params.motion, steps))
    if record.window is not None and params.birth is not None and params.death is not None:
        step = 1 / record.window.denominator
        yield "birth, death", step, 2, replace(params, birth=noisy(params.birth, step), death=noisy(params.death, step))


def with_shape(params: GopParameters, shape: Floats) -> GopParameters:
    """Other shapes, and amplitudes that give the same colours with them."""
    moved = replace(params, shape=shape)
    if params.colour_norm != NORM_ENERGY:
        return moved
    norms = [np.sqrt(chol[:, :1] * chol[:, 2:]) for chol in (cholesky(moved), cholesky(params))]
    return replace(moved, colour=(params.colour * norms[0] / norms[1]).astype(np.float32))


def steps_of(coded: Coded) -> tuple[float, ...]:
    """Steps of a uniform quantiser."""
    if not isinstance(coded.quantiser, UniformQuantiser):
        raise SystemExit("precision: colours by RVQ have no step; expected a file of profile main without --rvq")
    return coded.quantiser.steps


if __name__ == "__main__":
    sys.exit(main())
