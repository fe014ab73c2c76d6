#include "cli/open_engine.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/error.h"

namespace multimeditron {

int run_engine(const Command& command) {
  // OpenMP's threads wait by spinning unless told otherwise, and read this when the library is loaded. Where other programs use the cores
  // too, a spinning thread keeps the one it waits for from running: steps were 4 to 10 times longer. Alone it is some percent.
  ::setenv("OMP_WAIT_POLICY", "passive", /*overwrite=*/0);
  // oneDNN keeps the last 1024 bfloat16 products that it has compiled, one for each number of tokens: up to a gigabyte. A step needs a few
  // dozen; with 128 steps take as long.
  ::setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128", /*overwrite=*/0);
  constexpr const char* kName = "libmultimeditron_engine.so";
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::filesystem::path candidates[] = {folder / kName, folder.parent_path() / "lib" / "multimeditron" / kName};
  for (const std::filesystem::path& file : candidates) {
    if (!std::filesystem::exists(file)) continue;
    // Never closed: LibTorch's threads and its static objects outlive this call.
    void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    void* entry = library == nullptr ? nullptr : ::dlsym(library, "multimeditron_engine");
    if (entry == nullptr) {
      throw UserError("the engine cannot be loaded",
                      {.where = file.string(), .found = ::dlerror(), .fix = "build or install the program again"});
    }
    return reinterpret_cast<int (*)(const Command&)>(entry)(command);
  }
  throw UserError("the engine is missing", {.where = candidates[0].string() + " or " + candidates[1].string(),
                                            .found = "no such file",
                                            .fix = "build or install the program again"});
}

}  // namespace multimeditron
