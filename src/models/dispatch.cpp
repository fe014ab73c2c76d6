#include <cstdlib>
#include <string>

#include "models/kernels/kernels.h"

namespace multimeditron::kernels {

Kernels kernels_baseline();
#if defined(__x86_64__)
Kernels kernels_avx2();
Kernels kernels_avx512();
#endif

namespace {

Kernels choose() {
#if defined(__x86_64__)
  const char* asked = std::getenv("MULTIMEDITRON_KERNELS");
  const std::string name = asked == nullptr ? "" : asked;
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (avx512 && (name.empty() || name == "avx512")) return kernels_avx512();
  if (avx2 && name != "baseline") return kernels_avx2();
#endif
  return kernels_baseline();
}

}  // namespace

const Kernels& active() {
  static const Kernels kernels = choose();
  return kernels;
}

}  // namespace multimeditron::kernels
