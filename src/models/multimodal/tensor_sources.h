#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/weights.h"
#include "models/vision/folder.h"

namespace multimeditron {

/// Where each tensor of a model comes from: our full name -> a view into a mapped file.
class TensorSources {
 public:
  /// All tensors of `file`, under `prefix` + their new name. Throws UserError for a missing, truncated or malformed file.
  void add(const WeightFile& file, const std::string& prefix = "");

  struct Found {
    const TensorView* view;
    std::filesystem::path file;
    std::string name;  ///< in the file
  };
  const Found* find(const std::string& name) const;
  const std::map<std::string, Found>& all() const { return found_; }
  /// The file or folder that ought to hold the tensor `name`.
  const std::filesystem::path& home_of(const std::string& name) const;

 private:
  void join(const std::string& name, const std::map<std::string, Found>& parts);

  std::vector<std::unique_ptr<WeightsReader>> readers_;
  std::vector<std::unique_ptr<TensorView>> joined_;
  std::vector<std::unique_ptr<std::byte[]>> joined_bytes_;
  std::map<std::string, Found> found_;
  std::map<std::string, std::filesystem::path> homes_;  // by what the names begin with
};

}  // namespace multimeditron
