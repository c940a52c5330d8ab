# SPDX-License-Identifier: MIT
"""Ctrl-C and SIGTERM end the program the same way, from its first moment on. Imports the standard library only."""

import signal
from typing import Any

_NUMBERS = (signal.SIGINT, signal.SIGTERM)
_caught: list[int] = []


def catch_interrupts() -> None:
    """Make Ctrl-C and SIGTERM a KeyboardInterrupt, once: what comes after it must not disturb the cleaning up."""
    for number in _NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(signum: int, frame: Any) -> None:
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    _caught.append(signum)
    raise KeyboardInterrupt


def was_interrupted() -> bool:
    """Whether one of the signals has come: an import that it hits may turn the KeyboardInterrupt into another error."""
    return bool(_caught)


def stop_if_interrupted() -> None:
    """Raise KeyboardInterrupt again where one of the signals has come: long loops ask.

    Python drops what is raised in a destructor or a callback, and the signal comes only once.
    """
    if _caught:
        raise KeyboardInterrupt
