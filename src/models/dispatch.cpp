#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "base/log.h"
#include "base/suggest.h"
#include "models/kernels/kernels.h"

namespace multimeditron::kernels {

Kernels kernels_baseline();
#if defined(__x86_64__)
Kernels kernels_avx2();
Kernels kernels_avx512();
#endif

std::vector<Kernels> variants() {
  std::vector<Kernels> result{kernels_baseline()};
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd");
  if (avx2) result.push_back(kernels_avx2());
  if (avx2 && avx512) result.push_back(kernels_avx512());
#endif
  return result;
}

namespace {

Kernels choose() {
  const std::vector<Kernels> runnable = variants();
  const char* asked = std::getenv("MULTIMEDITRON_KERNELS");
  for (const Kernels& kernels : runnable) {
    if (asked != nullptr && std::string(asked) == kernels.name) return kernels;
  }
  if (asked != nullptr && *asked != '\0') {
    std::vector<std::string> names;
    for (const Kernels& kernels : runnable) names.emplace_back(kernels.name);
    warn(fmt::format("MULTIMEDITRON_KERNELS={}: this processor runs {}; {} is used", asked, join_or(names), runnable.back().name));
  }
  return runnable.back();
}

}  // namespace

const Kernels& active() {
  static const Kernels kernels = choose();
  return kernels;
}

}  // namespace multimeditron::kernels
