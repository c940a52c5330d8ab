# SPDX-License-Identifier: MIT
"""Property tests draw the same examples every time, so a failure is a change of the code."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("format", derandomize=True, deadline=None, database=None)
settings.load_profile("format")
