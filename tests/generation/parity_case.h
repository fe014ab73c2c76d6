#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/json.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron::testing {

/// The worked examples below tests/data. Their checkpoints name other folders relative to the example's own, which becomes the working
/// directory while the object lives.
class ParityCase {
 public:
  explicit ParityCase(const std::string& name)
      : root(std::filesystem::path(TEST_DATA) / name),
        folder(root / "cases/qwen3_clip"),
        expected(read_json(folder / "expected.json")),
        old_working_directory_(std::filesystem::current_path()) {
    std::filesystem::current_path(root);
  }
  ~ParityCase() { std::filesystem::current_path(old_working_directory_); }
  ParityCase(const ParityCase&) = delete;
  ParityCase& operator=(const ParityCase&) = delete;

  Pretrained load() const { return load_checkpoint(folder / "checkpoint", at::kFloat); }

  const std::filesystem::path root, folder;
  const Json expected;

 private:
  std::filesystem::path old_working_directory_;
};

inline const char* const kParityCases[] = {"case_qwen3_clip", "case_two", "case_biomedclip"};

}  // namespace multimeditron::testing
