# SPDX-License-Identifier: MIT
"""What a Gaussian's colour takes as three scalars and as RVQ, at equal error and without training for either.

    gsv encode clip.mp4 -o fine.gsv --amplitude-step 0.01 --keyint 1
    python -m benchmarks.colours fine.gsv ...

The file's colours, of a step far finer than those that are tried, are quantised in both ways; its first GoP is written
with each, and the bits per Gaussian counted. Errors are squared, the sum of the three energy-normalised components.
`ideal`: entropy of the symbols, each alone. `given`: of the chromas, given in which sixth the luma's size lies.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from docs.tables import table
from gscodec.format.container import ContainerReader
from gscodec.format.gop import write_gop
from gscodec.format.records import Coded, GopRecord, RvqQuantiser, SequenceHeader, UniformQuantiser
from gscodec_cli.encoder.compression import energy_quantiser
from gscodec_cli.encoder.presets import MAIN
from gscodec_cli.encoder.rvq import EntropyConstrained

SCALAR_STEPS = (0.14, 0.2, 0.28, 0.4, 0.56, 0.8, 1.1, 1.6)
RVQ_STEPS = (0.2, 0.28, 0.4, 0.56)  # of the uniform quantiser whose slope the RVQ takes
BOOKS = ((2, 64), (3, 32), (1, 256), (2, 128), (3, 64), (2, 256))  # stages, codewords
CLASSES = 6


@dataclass(frozen=True)
class Way:
    """A way of coding: squared error, and bits per Gaussian; `coded` includes tables and codebooks."""

    name: str
    error: float
    ideal: float
    given: float
    coded: float
    codebooks: float = 0.0


def main(words: list[str] | None = None) -> int:
    """Print two tables for each file. Returns the exit code."""
    parser = argparse.ArgumentParser("colours", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE.gsv")
    for path in parser.parse_args(words).files:
        with open(path, "rb") as file, ContainerReader(file) as reader:
            header, record = reader.header, reader.read_gop(0)
        print(f"## {path}: {record.gaussian_count} Gaussians\n\n{report(header, record)}\n")
    return 0


def report(header: SequenceHeader, record: GopRecord) -> str:
    """The tables of one GoP, in Markdown."""
    scalars = list(scalar_ways(header, record))
    head = ["scalars", "error", "ideal", "given luma", "coded"]
    rows = [[w.name, f"{w.error:.4f}", *(f"{bits:.2f}" for bits in (w.ideal, w.given, w.coded))] for w in scalars]
    parts = [table(head, rows)]
    rows = []
    for w in rvq_ways(header, record):
        numbers = (w.ideal, w.coded, w.codebooks, coded_at(scalars, w.error))
        rows.append([w.name, f"{w.error:.4f}", *(f"{bits:.2f}" for bits in numbers)])
    parts.append(table(["RVQ", "error", "ideal", "coded", "of it codebooks", "scalars at that error"], rows))
    return "\n\n".join(parts)


def scalar_ways(header: SequenceHeader, record: GopRecord) -> Iterator[Way]:
    """Uniform quantisers of SCALAR_STEPS."""
    x = amplitudes(record)
    for step in SCALAR_STEPS:
        symbols = np.round(x / step).astype(np.int32)
        luma, *chroma = symbols.T
        size = np.searchsorted(np.quantile(np.abs(luma), np.arange(1, CLASSES) / CLASSES), np.abs(luma))
        given = entropy(luma) + sum(entropy(column, size) for column in chroma)
        coded, _ = bits(header, record, Coded(UniformQuantiser((step,) * 3, (0.0,) * 3), symbols))
        yield Way(f"step {step}", error(x, symbols * step), sum(map(entropy, symbols.T)), given, coded)


def rvq_ways(header: SequenceHeader, record: GopRecord) -> Iterator[Way]:
    """Entropy-constrained RVQ of BOOKS at the slopes of RVQ_STEPS."""
    x = amplitudes(record)
    for stages, size in BOOKS:
        for step in RVQ_STEPS:
            tools = replace(MAIN.tools, rvq=True, rvq_stages=stages, rvq_codebook=size, amplitude_step=step)
            quantiser = energy_quantiser(tools, torch.Generator().manual_seed(0))
            assert isinstance(quantiser, EntropyConstrained)
            books, indices = quantiser.coded(quantiser.symbols(torch.from_numpy(x).float()))
            entries, symbols = [book.numpy().astype(np.int32) for book in books], indices.numpy()
            steps = tuple(quantiser.entry_steps)
            decoded = sum(e[i] * s for e, i, s in zip(entries, symbols.T, steps, strict=True))
            coded, codebooks = bits(header, record, Coded(RvqQuantiser(steps, tuple(entries)), symbols))
            ideal = sum(map(entropy, symbols.T))
            yield Way(f"{stages} x {size}, step {step}", error(x, decoded), ideal, ideal, coded, codebooks)


def amplitudes(record: GopRecord) -> NDArray[np.float64]:
    """The file's colours [N, 3] as they are coded. Raises ValueError where RVQ or another norm coded them."""
    coded = record.colour.coded
    if not isinstance(coded.quantiser, UniformQuantiser) or record.colour.colour_norm != 1:
        raise ValueError("colours by RVQ or without norm: expected a file of profile main without --rvq")
    return coded.symbols * np.array(coded.quantiser.steps)


def bits(header: SequenceHeader, record: GopRecord, coded: Coded) -> tuple[float, float]:
    """Bits per Gaussian that the GoP's colours take as `coded`, with their codebooks, and those of the codebooks."""
    _, counted = write_gop(replace(record, colour=replace(record.colour, coded=coded)), header, None)
    count = max(1, record.gaussian_count)
    return (counted.colours + counted.codebooks) / count, counted.codebooks / count


def error(x: NDArray, decoded: NDArray) -> float:
    """Squared error of a Gaussian, on average."""
    return float(((x - decoded) ** 2).sum(1).mean())


def entropy(symbols: NDArray, classes: NDArray | None = None) -> float:
    """Bits of a symbol, given its class."""
    if classes is not None:
        parts = [symbols[classes == k] for k in np.unique(classes)]
        return sum(len(part) * entropy(part) for part in parts) / len(symbols)
    share = np.unique(symbols, return_counts=True)[1] / len(symbols)
    return float(-(share * np.log2(share)).sum())


def coded_at(scalars: list[Way], wanted: float) -> float:
    """Coded bits of scalars at an error, between those that were tried; nan outside of them."""
    errors, coded = np.log([w.error for w in scalars]), [w.coded for w in scalars]
    return float(np.interp(np.log(wanted), errors, coded, left=np.nan, right=np.nan))


if __name__ == "__main__":
    sys.exit(main())
