// A recipe of each of the three kinds, and the same bytes as an override.
#include <span>
#include <string>

#include "base/error.h"
#include "base/log.h"
#include "input_file.h"
#include "recipe/expert_recipe.h"
#include "recipe/gate_recipe.h"
#include "recipe/recipe.h"

namespace {

template <typename Read>
void attempt(Read read) {
  try {
    read();
  } catch (const multimeditron::UserError&) {  // what a mistake must give
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace multimeditron;
  set_log_level(LogLevel::kQuiet);
  const auto file = testing::input_file("recipe.yaml", data, size);
  attempt([&] { load_recipe(file, {}); });
  attempt([&] { load_expert_recipe(file, {}); });
  attempt([&] { load_gate_recipe(file, {}); });
  static const std::string kEmpty = "{}\n";
  const auto empty = testing::input_file("empty.yaml", reinterpret_cast<const uint8_t*>(kEmpty.data()), kEmpty.size());
  const std::string overrides[] = {std::string(reinterpret_cast<const char*>(data), size)};
  attempt([&] { load_recipe(empty, overrides); });
  return 0;
}
