# SPDX-License-Identifier: MIT
"""Errors of the kernels. Imports nothing."""


class KernelError(Exception):
    """Base of everything this package raises on purpose."""


class ShapeError(KernelError):
    """An array has a shape or a type that the kernel does not take."""


class BackendError(KernelError):
    """The engine asked for does not exist or cannot run on this machine."""
