# SPDX-License-Identifier: MIT
"""Video in and out: reading clips as RGB frames, writing frames as clips. Imports no torch."""
