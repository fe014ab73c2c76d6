#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "recipe/recipe.h"

namespace multimeditron::testing {

/// Writes a file below `folder`, with the folders on its way.
inline std::filesystem::path write(const TemporaryFolder& folder, const std::string& name, const std::string& content) {
  const std::filesystem::path file = folder / name;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << content;
  return file;
}

/// An environment variable for as long as the object lives; without a value it is unset.
class Variable {
 public:
  explicit Variable(std::string name, const char* value = nullptr) : name_(std::move(name)) {
    if (const char* old = std::getenv(name_.c_str())) old_ = old;
    had_ = std::getenv(name_.c_str()) != nullptr;
    value == nullptr ? ::unsetenv(name_.c_str()) : ::setenv(name_.c_str(), value, 1);
  }
  ~Variable() { had_ ? ::setenv(name_.c_str(), old_.c_str(), 1) : ::unsetenv(name_.c_str()); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  std::string name_, old_;
  bool had_ = false;
};

/// The smallest recipe that is right, in nine lines; tests add to it.
inline const std::string kSmall =
    "base_llm: llm\n"
    "tokenizer_type: qwen3\n"
    "token_size: 64\n"
    "loaders: [{loader_type: raw-image}]\n"
    "modalities: [{model_type: meditron_clip, clip_name: clip}]\n"
    "datasets: [{packed_path: data}]\n"
    "training_mode: END2END\n"
    "training_args:\n"
    "  output_dir: out\n";

inline Recipe load(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  return load_recipe(write(folder, "recipe.yaml", text), overrides);
}

/// All mistakes of a recipe as printed, with the folder taken off its name.
inline std::string mistakes(const std::string& text, const std::vector<std::string>& overrides = {}) {
  const TemporaryFolder folder;
  const auto file = write(folder, "recipe.yaml", text);
  std::string found = "no mistake";
  try {
    load_recipe(file, overrides);
  } catch (const UserError& error) {
    found = error.what();
  }
  const std::string prefix = folder.path().string() + "/";
  for (size_t at = found.find(prefix); at != std::string::npos; at = found.find(prefix)) found.erase(at, prefix.size());
  return found;
}

/// Does one of `lines` contain `text`?
inline ::testing::AssertionResult contains(const std::vector<std::string>& lines, const std::string& text) {
  std::string all;
  for (const std::string& line : lines) {
    if (line.find(text) != std::string::npos) return ::testing::AssertionSuccess();
    all += "\n  " + line;
  }
  return ::testing::AssertionFailure() << "\"" << text << "\" is in none of" << all;
}

}  // namespace multimeditron::testing
