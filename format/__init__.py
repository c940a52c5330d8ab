# SPDX-License-Identifier: MIT
"""The `.gsv` file: bytes to integer records and back (SPEC.md sections 4 to 7.6).

Imports the standard library, numpy and constriction; never torch, kernels or the program.
"""
