# SPDX-License-Identifier: MIT
"""The engine `triton`: the kernels on an NVIDIA GPU, torch tensors in and out. Imports torch and triton.

`gscodec.kernels` imports this package when the engine is chosen, and not before; `room` and `transfer` need torch
alone. Functions have the names and the meaning of those of `gscodec.kernels`, but take several frames at once and leave
their results on the device.
"""
