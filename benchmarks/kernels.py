# SPDX-License-Identifier: MIT
"""Times the CPU kernels, the rasteriser side by side with the prototype that set its speed bar.

    python benchmarks/kernels.py [--threads 2] [--rounds 30] [--shared ../shared] [--isa avx512] [--no-csv]

The prototype (<shared>/prototypes/raster.cpp) is compiled with the flags of our own AVX-512 objects, loaded into this
process, and takes turns with our kernels on the same Gaussians, so that other load on the machine hits both. Without
it, or without AVX-512 or a compiler, our times are still measured. One row per case is added to
benchmarks/results/kernels.csv.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, append, provenance

from gscodec import kernels

Array = np.ndarray[Any, np.dtype[Any]]
Call = Callable[[], object]

COUNT, HEIGHT, WIDTH = 20_000, 640, 1280
PAIRS = 8.4e6  # pixels that Gaussians touch, all together: what a trained frame of this size has
FLAGS = (
    *("-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-fwrapv", "-mprefer-vector-width=512"),
    *("-mavx2", "-mfma", "-mbmi", "-mbmi2", "-mavx512f", "-mavx512bw", "-mavx512cd", "-mavx512dq", "-mavx512vl"),
)
COLUMNS = (
    *("commit", "dirty", "date", "machine", "cores", "command", "engine", "case", "gaussians", "width", "height"),
    *("threads", "p20_ms", "p50_ms", "p80_ms", "best_ms", "ratio_to_prototype", "best_ratio"),
)


def make_frame(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """20 000 Gaussians of random place and shape that touch PAIRS pixels."""
    mean = (rng.random((COUNT, 2)) * [WIDTH, HEIGHT]).astype(np.float32)
    shape = rng.normal(0, [0.4, 0.5, 0.4], (COUNT, 3))
    chol = np.stack([np.exp(shape[:, 0]), shape[:, 1], np.exp(shape[:, 2])], 1)
    # The support of a Gaussian is an ellipse of 2 * CUTOFF * pi * l11 * l22 pixels.
    area = 2 * kernels.constants.CUTOFF * np.pi * float((chol[:, 0] * chol[:, 2]).sum())
    chol *= np.sqrt(1.02 * PAIRS / area)  # about 2 % lies outside the frame
    return mean, kernels.chol_to_conic(chol).astype(np.float32), rng.random((COUNT, 3), np.float32) * np.float32(0.1)


class Prototype:
    """The prototype's two functions, on the same arrays as ours."""

    def __init__(self, source: Path, threads: int) -> None:
        """Compile and load; raises OSError or CalledProcessError where that cannot be."""
        with tempfile.TemporaryDirectory() as folder:
            library = Path(folder) / "prototype.so"
            command = ["c++", *FLAGS, "-fopenmp", "-shared", "-fPIC", "-o", str(library), str(source)]
            subprocess.run(command, check=True, capture_output=True)
            self._library = ctypes.CDLL(str(library))
        self._library.raster_fwd.restype = ctypes.c_int64
        self._threads = threads

    def forward(self, arrays: tuple[Array, ...], image: Array) -> int:
        """Draws into image [3, H, W]; returns the number of pixels touched."""
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
        target = ctypes.c_void_p(image.ctypes.data)
        return int(self._library.raster_fwd(COUNT, *pointers, HEIGHT, WIDTH, target, self._threads))

    def backward(self, arrays: tuple[Array, ...], grad: Array, outputs: tuple[Array, ...]) -> None:
        """Gradients of the three arrays into `outputs`."""
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (*arrays, grad, *outputs)]
        self._library.raster_bwd(COUNT, *pointers[:3], HEIGHT, WIDTH, *pointers[3:], self._threads)


def load_prototype(shared: Path, threads: int) -> Prototype | None:
    """The prototype, or None with the reason on stderr."""
    source = shared / "prototypes" / "raster.cpp"
    if "avx512" not in kernels.backends()[0].isa:
        print("no prototype: it needs AVX-512", file=sys.stderr)
    elif not source.is_file():
        print("no prototype: raster.cpp not found, see --shared", file=sys.stderr)
    else:
        try:
            return Prototype(source, threads)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"no prototype: {error}", file=sys.stderr)
    return None


def make_field(rng: np.random.Generator) -> kernels.FieldWeights:
    """A field of the size that the profile stgv uses."""
    grid2, grid3 = kernels.HashGeometry.growing(2, 2, 10, 8), kernels.HashGeometry.growing(3, 4, 10, 8)
    hidden, inputs, frequencies = 128, 60, 6

    def normal(*shape: int) -> Array:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    layers = normal(hidden, inputs), normal(hidden), normal(hidden, hidden), normal(hidden)
    heads = normal(2, hidden), normal(2), normal(3, hidden), normal(3)
    tables = normal(grid2.total_entries, 2), normal(grid3.total_entries, 4)
    return kernels.FieldWeights(*layers, *heads, grid2, tables[0], grid3, tables[1], (0.9375,) * 3, frequencies)


def make_cases(prototype: Prototype | None, threads: int) -> dict[str, dict[str, Call]]:
    """Cases by name; each has one or two contenders, "ours" and "prototype"."""
    rng = np.random.default_rng(1)
    frame = make_frame(rng)
    image, rgb = np.empty((3, HEIGHT, WIDTH), np.float32), np.empty((HEIGHT, WIDTH, 3), np.uint8)
    grad = rng.standard_normal((3, HEIGHT, WIDTH), np.float32)
    size = HEIGHT, WIDTH
    cases: dict[str, dict[str, Call]] = {
        "raster forward": {"ours": lambda: kernels.rasterize(*frame, size, threads=threads, out=image)},
        "raster backward": {"ours": lambda: kernels.rasterize_backward(*frame, grad, threads=threads)},
        "render rgb8": {"ours": lambda: kernels.render_rgb8(*frame, size, threads=threads, out=rgb)},
    }
    if prototype:
        outputs = tuple(np.empty_like(array) for array in frame)
        print(f"pixel pairs: {prototype.forward(frame, image):,}")
        cases["raster forward"]["prototype"] = lambda: prototype.forward(frame, image)
        cases["raster backward"]["prototype"] = lambda: prototype.backward(frame, grad, outputs)
    return cases | detail_case(rng, image, threads) | filter_case(rng, image, threads) | field_cases(rng, threads)


def detail_case(rng: np.random.Generator, image: Array, threads: int) -> dict[str, dict[str, Call]]:
    """A detail picture of the frame's size, moved by up to eight pixels, smoothly."""
    drawn = rng.random((4, HEIGHT, WIDTH), np.float32) + np.float32(0.5)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    moved = (8 * np.stack([np.sin(y / 50), np.cos(x / 60)]) * drawn[3]).astype(np.float32)
    detail = rng.standard_normal((HEIGHT, WIDTH, 3), np.float32)
    placed: dict[str, Any] = {"background": np.zeros(3), "epsilon": 0.01, "ratio": (1.0, 1.0), "corner": (0.0, 0.0)}
    return {
        "blend detail": {
            "ours": lambda: kernels.blend_detail(drawn, moved, detail, **placed, threads=threads, out=image)
        }
    }


def filter_case(rng: np.random.Generator, image: Array, threads: int) -> dict[str, dict[str, Call]]:
    """A picture of the frame's size through a filter."""
    picture, weights = rng.random((3, HEIGHT, WIDTH), np.float32), rng.random((3, 12), np.float32) / np.float32(50)
    return {"filter": {"ours": lambda: kernels.filter_picture(picture, weights, threads=threads, out=image)}}


def field_cases(rng: np.random.Generator, threads: int) -> dict[str, dict[str, Call]]:
    """The field for the decoder and for training, a hash grid by itself, and the optimiser."""
    weights = make_field(rng)
    xy = rng.random((COUNT, 2), np.float32)
    plan = kernels.FieldPlan(weights, xy)
    dmean, dcolour = rng.random((COUNT, 2), np.float32), rng.random((COUNT, 3), np.float32)
    coords = rng.random((COUNT, 3), np.float32)
    grid, table = weights.geometry3, weights.table3
    dfeatures = rng.random((COUNT, grid.width), np.float32)
    adam = [rng.random(200_000, np.float32) for _ in range(4)]
    return {
        "field evaluate": {"ours": lambda: plan.evaluate(0.4, threads=threads)},
        "field train forward": {"ours": lambda: kernels.field_forward(weights, xy, 0.4, threads=threads)},
        "field train backward": {
            "ours": lambda: kernels.field_backward(weights, xy, 0.4, dmean, dcolour, threads=threads)
        },
        "hash 3D forward": {"ours": lambda: kernels.hash_encode(coords, table, grid, threads=threads)},
        "hash 3D backward": {
            "ours": lambda: kernels.hash_encode_backward(coords, table, grid, dfeatures, threads=threads)
        },
        "adam, 200 000 numbers": {
            "ours": lambda: kernels.adam_step(*adam, 1e-3, 0.9, 0.999, 1e-8, 10, threads=threads)
        },
    }


def measure(contenders: dict[str, Call], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each call; the contenders take turns, three calls and one to warm up per turn."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            time.sleep(0.01)  # until the other's idle threads stop spinning
            call()
            for _ in range(3):
                start = time.perf_counter()
                call()
                times[name].append((time.perf_counter() - start) * 1e3)
    return times


def common_columns(threads: int) -> dict[str, object]:
    """What all rows of this run share."""
    engine = kernels.last_engine()
    return {
        **provenance(),
        "engine": f"{engine.name}-{engine.isa}" if engine else "",
        "gaussians": COUNT,
        "width": WIDTH,
        "height": HEIGHT,
        "threads": threads,
    }


def report(case: str, times: dict[str, list[float]]) -> dict[str, object]:
    """Print a line about a case and return its own columns: medians, and the best, which other load disturbs least."""
    p20, p50, p80 = np.percentile(times["ours"], [20, 50, 80])
    best = min(times["ours"])
    row = {
        "case": case,
        "p20_ms": f"{p20:.3f}",
        "p50_ms": f"{p50:.3f}",
        "p80_ms": f"{p80:.3f}",
        "best_ms": f"{best:.3f}",
    }
    line = f"{case:24} {p50:7.2f} ms ({p20:.2f}..{p80:.2f}), best {best:.2f}"
    if theirs := times.get("prototype"):
        row["ratio_to_prototype"] = f"{p50 / np.median(theirs):.3f}"
        row["best_ratio"] = f"{best / min(theirs):.3f}"
        line += f"; prototype {np.median(theirs):.2f}, best {min(theirs):.2f}"
        line += f"; ratio {row['ratio_to_prototype']}, of the best {row['best_ratio']}"
    print(line)
    return dict(row)


def main() -> None:
    """Run all cases and keep their times."""
    parser = argparse.ArgumentParser(description="Time the CPU kernels.")
    parser.add_argument("--threads", type=int, default=2, help="threads of every kernel (default 2)")
    parser.add_argument("--rounds", type=int, default=30, help="turns of three calls per case (default 30)")
    parser.add_argument("--shared", type=Path, default=os.environ.get("GSV_SHARED", ROOT.parent / "shared"))
    parser.add_argument("--isa", help="instruction set: avx512, avx2 or baseline (default: the best)")
    parser.add_argument("--no-csv", action="store_true", help="only print")
    options = parser.parse_args()
    if options.isa:
        os.environ["GSV_CPU_ISA"] = options.isa
    cases = make_cases(load_prototype(Path(options.shared), options.threads), options.threads)
    rows = [report(case, measure(contenders, options.rounds)) for case, contenders in cases.items()]
    shared = common_columns(options.threads)
    print(f"{shared['engine']} on {shared['machine']}, {options.threads} threads")
    if not options.no_csv:
        append("kernels.csv", COLUMNS, [shared | row for row in rows])


if __name__ == "__main__":
    main()
