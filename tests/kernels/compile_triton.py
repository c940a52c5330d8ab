# SPDX-License-Identifier: MIT
"""Compiles every Triton kernel for a GPU, on a machine without one, and prints what each needs.

    python -m tests.kernels.compile_triton [80 | 90 | ...]

The interpreter runs programs that the compiler refuses, so CI does this too. Every public function of the engine is
called on CPU tensors; where it would launch a kernel, the kernel is compiled for the types it was given. One line per
kernel: name, registers of a thread, bytes of spilled registers, shared memory.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from gscodec.kernels.triton import launch as launching

KINDS = {
    torch.float32: "*fp32",
    torch.int32: "*i32",
    torch.int64: "*i64",
    torch.uint8: "*u8",
    torch.uint16: "*u16",
}
CPU = torch.device("cpu")
compiled: dict[tuple[Any, ...], str] = {}


def kind_of(value: Any) -> str:
    """The type of a kernel's argument in Triton's words."""
    if isinstance(value, torch.Tensor):
        return KINDS[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


def is_even(value: Any) -> bool:
    """Whether a number or the address of a tensor is a multiple of 16."""
    return (value.data_ptr() if isinstance(value, torch.Tensor) else value) % 16 == 0


def compile_only(kernel: Any, grid: tuple[int, ...], *arguments: Any, **settings: Any) -> None:
    """Stands in for `launch`: compiles, and leaves the results as they are."""
    warps = settings.pop("num_warps", 4)
    names = kernel.arg_names
    # As a launch does it, unless the kernel says otherwise: an argument that is 1 becomes a constant, and what is a
    # multiple of 16, addresses included, is known to be one.
    given = {p.name: v for p, v in zip(kernel.params, arguments, strict=False) if not p.do_not_specialize}
    constants = settings | {n: v for n, v in given.items() if type(v) is int and v == 1}
    even = [n for n, v in given.items() if n not in constants and not isinstance(v, float) and is_even(v)]
    kinds = {n: kind_of(v) for n, v in zip(names, arguments, strict=False)}
    signature = {n: "constexpr" if n in constants else kinds[n] for n in names}
    key = kernel.fn.__name__, tuple(signature.items()), tuple(sorted(constants.items())), tuple(even)
    if key in compiled:
        return
    attributes = {(names.index(n),): [["tt.divisibility", 16]] for n in even}
    source = ASTSource(kernel, signature, {(names.index(n),): v for n, v in constants.items()}, attributes)
    target = GPUTarget("cuda", CAPABILITY, 32)
    found = triton.compile(source, target=target, options={"num_warps": warps, "enable_fp_fusion": True})
    compiled[key] = f"{key[0]} {resources(found.asm['cubin'])} shared {found.metadata.shared}"


def resources(binary: bytes) -> str:
    """Registers and spilled bytes of a thread, by the tool that comes with Triton."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=False).stdout
    registers, stack = re.search(r"REG:(\d+)", text), re.search(r"STACK:(\d+)", text)
    return f"registers {registers[1] if registers else '?'} stack {stack[1] if stack else '?'}"


def main() -> None:
    """Compile what drawing, training and decoding launch."""
    launching.launch = compile_only  # before the other modules take it from there
    launching.tensor = lambda name, value, shape, dtype=torch.float32: value.detach().contiguous()
    from gscodec import kernels
    from gscodec.kernels import HashGeometry
    from gscodec.kernels.triton import (
        detail,
        field,
        hashing,
        mixture,
        optimiser,
        place,
        quantise,
        raster,
        splats,
        training,
    )
    from gscodec.kernels.triton.filter import filter_picture

    def zeros(*shape: int) -> torch.Tensor:
        return torch.zeros(shape)

    for channels, size in ((3, (40, 50)), (4, (1, 1))):
        batch = splats.Splats.of(zeros(2, 9, 2), zeros(2, 9, 3), zeros(2, 9, channels))
        bins = splats.bin_splats(batch, size, 64)
        raster.rasterize(batch, bins)
        raster.render_rgb8(batch, bins)
        for dtype in (torch.uint8, torch.uint16):
            raster.splat_loss(batch, bins, zeros(3), torch.zeros((2, 3, *size), dtype=dtype), 0.2)
    for side in (1, 5):
        detail.blend_detail(
            zeros(2, 4, side, side),
            zeros(2, 3, side, side),
            zeros(side, side, 3),
            zeros(3),
            0.1,
            (1.0, 1.0),
            (0.0, 0.0),
        )
        filter_picture(zeros(2, 3, side, side), zeros(3, 12))
    for features, hidden in ((4, 128), (2, 16)):
        grid2, grid3 = HashGeometry.growing(2, features, 10, 8), HashGeometry.growing(3, features, 10, 8)
        inputs = grid2.width + grid3.width + 4
        layers = zeros(hidden, inputs), zeros(hidden), zeros(hidden, hidden), zeros(hidden)
        tables = zeros(grid2.total_entries, features), zeros(grid3.total_entries, features)
        heads = zeros(2, hidden), zeros(2), zeros(3, hidden), zeros(3)
        model = field.Field((*tables, *layers, *heads), grid2, grid3, (0.9, 0.9, 0.9), 2)
        points, times = zeros(70, 2), zeros(3)
        seen = field.field_forward(model, points, times)[1]
        field.field_backward(model, seen, zeros(3, 70, 5))
        field.FieldPlan(model, points).evaluate([0.0, 0.5, 1.0])
        hashing.hash_encode_backward(points, tables[0], grid2, zeros(70, grid2.width))
    mixture.mixture_bits(zeros(20, 3), zeros(3), zeros(3, 3), zeros(3, 3), zeros(3, 3))
    optimiser.adam_step(zeros(20), zeros(20), zeros(20), zeros(20), 0.1, 0.9, 0.99, 1e-15, 3)
    for used in (False, True):
        parts = (zeros(9, 2, 2), zeros(9, 3), zeros(9, 3)) if used else (None, None, None)
        moving = place.Moving(zeros(9, 2), zeros(9, 3), zeros(9, 3), *parts, 1.5, 10, (1.0, 1.0), zeros(3, 3), used)
        place.place(moving, zeros(2), zeros(2, 9, 5) if used else None, zeros(2, 2, 3) if used else None)
        settings = kernels.PlaceSettings(0.5, 1.5, 4.0, 0.5, ((1.0, 0.0, 0.0),) * 3, log_shape=used, weighted=used)
        params = [zeros(9, 2), zeros(9, 3), zeros(9, 3)]
        params += [zeros(9, 2, 2), zeros(9, 3), zeros(9, 2), zeros(9, 2), zeros(9, 3)] if used else [None] * 5
        rows = torch.arange(9) if used else None
        placed = training.place(settings, rows, zeros(9 if used else 1), params)
        training.place_backward(settings, rows, zeros(9 if used else 1), params, placed)
    params[6:] = zeros(3, 9, 2), zeros(3, 9, 3)
    several = replace(settings, index=torch.arange(3))
    training.place_backward(several, None, zeros(3, 9), params, training.place(several, None, zeros(3, 9), params))
    for steps in (zeros(3), zeros(9, 3), 7):
        for seed in (None, 5):
            quantise.quantise([zeros(9, 3)], [steps], seed)
    print("\n".join(sorted(compiled.values())))


if __name__ == "__main__":
    CAPABILITY = int(sys.argv[1]) if len(sys.argv) > 1 else 90
    main()
