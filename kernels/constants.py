# SPDX-License-Identifier: MIT
"""Numbers that define the picture; kernels/cpu/table.hpp has the same ones, and a test compares them."""

import math

CUTOFF = 4.5  # a Gaussian ends where sigma, half the squared Mahalanobis distance, reaches this
FLOOR = math.exp(-CUTOFF)  # taken off every weight, so that the weight is continuous where the Gaussian ends
HASH_PRIMES = (1, 2654435761, 805459861)  # of Instant-NGP's spatial hash
