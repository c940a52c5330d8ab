# SPDX-License-Identifier: MIT
"""Times every stage of drawing and training on every engine that this machine has, next to what its hardware allows.

    python benchmarks/engines.py                         all engines, the usual sizes; on a GPU this measures all of it
    python benchmarks/engines.py --engine triton --batch 16
    TRITON_INTERPRET=1 python benchmarks/engines.py --engine triton --size 64x48 --gaussians 50 --rounds 1 --no-csv

Times are per frame, medians over the rounds; a GPU draws --batch frames per call, a CPU one. The floor of a stage is
the larger of two times: the bytes it cannot avoid at the bandwidth of a plain copy, and its arithmetic at the rate of a
float32 matrix product, both measured here first. "whole frame" is what a decoder does: place, field, draw to 8 bits;
on a GPU also "batches in a row", as a clip is decoded, each placed while the one before is drawn, "batches to the
host", and "one frame", a batch of its own. Other load on the machine slows the product too, and numpy's does not reach
the peak of a CPU: a stage may then beat its floor. One row per stage is added to benchmarks/results/engines.csv.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from common import PROVENANCE, append, provenance
from stages import CpuStages, GpuStages, Inputs, Stage, Stages

from gscodec import kernels

SIZES = (("1280x640", 20_000), ("1280x720", 40_000), ("640x360", 8_000))
COLUMNS = (
    *PROVENANCE,
    *("engine", "device", "stage", "size", "gaussians", "frames", "p20_ms", "p50_ms", "p80_ms", "per_second"),
    *("floor_ms", "floor_is", "times_floor", "bandwidth_gb_s", "arithmetic_gflop_s"),
)


@dataclass(frozen=True)
class Peak:
    """What the hardware behind an engine does at best, as measured."""

    bandwidth: float  # bytes per second, read and written
    arithmetic: float  # float32 operations per second

    def floor(self, stage: Stage) -> tuple[float, str]:
        """Seconds that a stage cannot go below, and which of the two says so."""
        moved, computed = stage.bytes / self.bandwidth, stage.operations / self.arithmetic
        return (moved, "bytes") if moved > computed else (computed, "operations")


def times_of(call: Callable[[], object], wait: Callable[[], object], rounds: int) -> list[float]:
    """Seconds of each of `rounds` calls, after two to warm up."""
    for _ in range(2):
        call()
    wait()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - began)
    return times


def peak_of(stages: Stages, rounds: int) -> Peak:
    """Bandwidth of a copy and rate of a matrix product on the stages' device."""
    copy, moved, product, operations = stages.peaks()
    best = [min(times_of(call, stages.wait, 3 * rounds)) for call in (copy, product)]
    return Peak(moved / best[0], operations / best[1])


def measure(stages: Stages, rounds: int) -> list[dict[str, object]]:
    """Rows of all stages; prints a line for each."""
    peak, frames = peak_of(stages, rounds), stages.frames
    rates = f"copy {peak.bandwidth / 1e9:.0f} GB/s, matrix product {peak.arithmetic / 1e9:.0f} GFLOP/s"
    print(f"\n{stages.name} on {stages.device}: {stages.inputs}, frames per call: {frames}; {rates}")
    rows = [row_of(stage, times_of(stage.call, stages.wait, rounds), peak) for stage in stages.all()]
    engine = kernels.last_engine()
    shared = {"engine": f"{engine.name} {engine.isa}" if engine else "", "device": stages.device}
    shared |= {"size": f"{stages.inputs.width}x{stages.inputs.height}", "gaussians": stages.inputs.count}
    return [shared | row for row in rows]


def row_of(stage: Stage, times: list[float], peak: Peak) -> dict[str, object]:
    """The columns of one stage; prints them."""
    p20, p50, p80 = np.percentile(np.array(times) * 1e3 / stage.frames, [20, 50, 80])
    floor, why = peak.floor(stage)
    ratio = p50 / 1e3 / floor
    print(f"  {stage.name:20} {p50:9.3f} ms ({p20:.3f}..{p80:.3f}) {1e3 / p50:9.0f}/s {ratio:7.1f} x floor ({why})")
    return {
        "stage": stage.name,
        "frames": stage.frames,
        "p20_ms": f"{p20:.4f}",
        "p50_ms": f"{p50:.4f}",
        "p80_ms": f"{p80:.4f}",
        "per_second": f"{1e3 / p50:.1f}",
        "floor_ms": f"{floor * 1e3:.4f}",
        "floor_is": why,
        "times_floor": f"{ratio:.1f}",
        "bandwidth_gb_s": f"{peak.bandwidth / 1e9:.1f}",
        "arithmetic_gflop_s": f"{peak.arithmetic / 1e9:.0f}",
    }


def engines_here(asked: list[str] | None) -> list[str]:
    """Names of the engines to measure: those asked for, or all fast ones that are there and no interpreter."""
    if asked:
        return asked
    found = [backend for backend in kernels.backends() if backend.name != "reference"]
    for backend in found:
        if not backend.available:
            print(f"{backend.name}: not here: {backend.reason}")
    return [backend.name for backend in found if backend.available and backend.isa != ("interpreter",)]


def main() -> None:
    """Measure all engines at all sizes and keep the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", action="append", choices=["cpu", "triton"], help="only this one; may be repeated")
    parser.add_argument("--size", metavar="WxH", help="one size instead of the usual ones; with --gaussians")
    parser.add_argument("--gaussians", type=int, default=20_000)
    parser.add_argument("--batch", type=int, default=16, help="frames per call on a GPU (default 16)")
    parser.add_argument("--threads", type=int, default=0, help="threads on a CPU (default: all cores)")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--no-csv", action="store_true", help="only print")
    options = parser.parse_args()
    origin = provenance()
    rows: list[dict[str, object]] = []
    for name in engines_here(options.engine):
        for size, count in [(options.size, options.gaussians)] if options.size else SIZES:
            width, height = map(int, size.split("x"))
            inputs = Inputs(width, height, count)
            stages: Any = CpuStages(inputs, options.threads) if name == "cpu" else GpuStages(inputs, options.batch)
            rows += measure(stages, options.rounds)
    if not options.no_csv:
        append("engines.csv", COLUMNS, [origin | row for row in rows])


if __name__ == "__main__":
    main()
