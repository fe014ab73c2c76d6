#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"
#include "checkpoint/torch_file.h"

namespace multimeditron {

/// The tensors of a model's folder, whatever file they lie in. The first of these that is there counts: model.safetensors, its index,
/// open_clip_model.safetensors, open_clip_pytorch_model.safetensors, pytorch_model.bin, its index, open_clip_pytorch_model.bin.
/// Views live as long as this object.
class WeightsReader {
 public:
  /// `folder`: a model's folder, or one file of weights. Throws UserError (missing, truncated, malformed, something other than tensors)
  /// naming file and tensor.
  explicit WeightsReader(const std::filesystem::path& folder);

  /// The first of these files that `folder` has; empty where it has none.
  static std::filesystem::path file_in(const std::filesystem::path& folder);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const TensorView* find(const std::string& name) const;
  /// The file that holds `name`, for messages.
  const std::filesystem::path& file_of(const std::string& name) const;

 private:
  void add_torch(const std::filesystem::path& file);

  std::unique_ptr<SafetensorsReader> safetensors_;
  std::vector<std::unique_ptr<TorchFileReader>> torch_files_;
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, std::filesystem::path> files_;
};

}  // namespace multimeditron
