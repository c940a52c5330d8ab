// SPDX-License-Identifier: MIT
#include <nanobind/nanobind.h>

NB_MODULE(_cpu, m) { m.doc() = "Compiled CPU kernels."; }
