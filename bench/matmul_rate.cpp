// The machine's best matrix-product rate: at::mm of 2048 x 1024 x 4096, output memory reused, best of 20. Prints {"fp32": GFLOP/s, "bf16":
// GFLOP/s}.
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

int main() {
  const auto best_rate = [](at::ScalarType type) {
    const at::Tensor a = at::ones({2048, 1024}, type), b = at::ones({1024, 4096}, type);
    at::Tensor out = at::ones({2048, 4096}, type);
    double best = 0;
    for (int i = 0; i < 20; ++i) {
      const auto start = std::chrono::steady_clock::now();
      at::mm_out(out, a, b);
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      best = std::max(best, 2.0 * 2048 * 1024 * 4096 / seconds * 1e-9);
    }
    return best;
  };
  std::printf("{\"fp32\": %.1f, \"bf16\": %.1f}\n", best_rate(at::kFloat), best_rate(at::kBFloat16));
}
