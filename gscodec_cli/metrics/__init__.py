# SPDX-License-Identifier: MIT
"""Distortion metrics on 8-bit RGB frames. Imports no torch at import time."""
