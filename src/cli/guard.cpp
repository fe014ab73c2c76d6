#include "cli/guard.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <new>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace multimeditron {
namespace {

void print(const char* title, const std::string& raw) {
  std::fflush(stdout);
  const std::string text = printable(raw);
  const std::string line =
      colour_on_stderr() ? fmt::format("\x1b[1;31m{}:\x1b[0m {}\n", title, text) : fmt::format("{}: {}\n", title, text);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int internal_error(const std::string& text) {
  print("internal error", text + "\nThis is a fault of the program, not yours. Please report it with the command that led to it.");
  return kExitFault;
}

int out_of_memory() {
  print("error", "out of memory\n  fix:   give the process more memory, or use smaller batches");
  return kExitFault;
}

/// What LibTorch's allocator throws is no std::bad_alloc, and the front does not know its type.
bool tells_of_memory(std::string_view text) {
  return text.find("DefaultCPUAllocator: can't allocate memory") != std::string_view::npos;
}

}  // namespace

int run_guarded(const std::function<int()>& body) {
  try {
    return body();
  } catch (const UserErrors& errors) {
    // Each mistake stands for itself, as if it were the only one; the count at the end tells that nothing was cut off.
    for (const UserError& error : errors.errors()) print("error", error.what());
    if (errors.errors().size() > 1) std::fputs(fmt::format("{} mistakes\n", errors.errors().size()).c_str(), stderr);
    return kExitUserError;
  } catch (const UserError& error) {
    print("error", error.what());
    return kExitUserError;
  } catch (const Interrupted&) {
    print("interrupted", "stopped by a signal; the same command goes on from what is saved");
    return kExitInterrupted;
  } catch (const std::bad_alloc&) {
    return out_of_memory();
  } catch (const std::filesystem::filesystem_error& error) {
    print("error", fmt::format("a file or folder cannot be used\n  where: {}\n  found: {}\n  fix:   check the path and its permissions",
                               error.path1().string(), error.code().message()));
    return kExitUserError;
  } catch (const std::exception& error) {
    if (tells_of_memory(error.what())) return out_of_memory();
    return internal_error(error.what());
  } catch (...) {
    return internal_error("an exception of unknown type");
  }
}

}  // namespace multimeditron
