// SPDX-License-Identifier: MIT
#include "dispatch.hpp"

namespace gsv {

namespace baseline {
extern const Kernels kernels;
}
#ifdef GSV_X86
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}

// The features named in CMakeLists.txt for each set.
static bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
         __builtin_cpu_supports("bmi2");
}
static bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> found;
#ifdef GSV_X86
  __builtin_cpu_init();
  if (has_avx512()) found.push_back(&avx512::kernels);
  if (has_avx2()) found.push_back(&avx2::kernels);
#endif
  found.push_back(&baseline::kernels);
  return found;
}

const Kernels* find_kernels(const std::string& name) {
  static const std::vector<const Kernels*> found = available_kernels();
  for (const Kernels* k : found)
    if (name == k->name) return k;
  return nullptr;
}

}  // namespace gsv
