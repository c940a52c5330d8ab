// SPDX-License-Identifier: MIT
// The instruction sets this build has and this CPU can run, best first.
#pragma once
#include <string>
#include <vector>

#include "table.hpp"

namespace gsv {

std::vector<const Kernels*> available_kernels();

// The named set, or nullptr if this build or this CPU lacks it.
const Kernels* find_kernels(const std::string& name);

}  // namespace gsv
