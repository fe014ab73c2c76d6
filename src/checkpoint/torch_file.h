#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/pickle.h"
#include "checkpoint/safetensors.h"

namespace multimeditron {

/// The tensors of a file that torch.save wrote (`pytorch_model.bin`), mapped read-only: a dictionary of names and tensors, or one that
/// holds it under `state_dict`; of the present format (a zip archive) or the one before it. Nothing in the file is executed
/// (checkpoint/pickle.h): whatever is no tensor is refused, with its name. Views live as long as this object.
class TorchFileReader {
 public:
  /// Throws UserError naming the file and, where it is known, the tensor.
  explicit TorchFileReader(const std::filesystem::path& file);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }

 private:
  using Storages = std::map<std::string, std::span<const std::byte>>;
  void open_zip();
  void open_old();
  /// The dictionary of tensors inside the value that the file holds.
  void add_all(const Pickle& pickle, uint32_t root, const Storages& storages);
  void add(const std::string& name, const Pickle& pickle, const Pickle::Value& tensor, const Storages& storages);
  /// Memory of our own, for what does not lie in the file as a TensorView has it.
  std::byte* copy_space(const std::string& name, size_t size);

  MappedFile file_;
  std::vector<std::unique_ptr<std::byte[]>> copies_;
  size_t copied_ = 0;
  std::map<std::string, TensorView> tensors_;
};

}  // namespace multimeditron
