#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace multimeditron {

/// An empty folder that goes away with the object.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string name = (parent / "multimeditron-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code code;
    std::filesystem::remove_all(path_, code);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// A folder in memory where the system has one, for tests that write thousands of files.
inline std::filesystem::path memory_folder() {
  const std::filesystem::path memory = "/dev/shm";
  return ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
}

/// The UserError that `action` throws; the test fails where it throws none.
#define EXPECT_USER_ERROR(action, ...)                                                                                     \
  try {                                                                                                                    \
    action;                                                                                                                \
    ADD_FAILURE() << #action << " threw nothing";                                                                          \
  } catch (const multimeditron::UserError& error) {                                                                        \
    for (const std::string& part : std::vector<std::string>{__VA_ARGS__})                                                  \
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "no \"" << part << "\" in:\n" << error.what(); \
  }

}  // namespace multimeditron
