#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace multimeditron {

enum class DType { kF64, kF32, kF16, kBF16, kI64, kI32, kI16, kI8, kU8, kBool };
size_t size_of(DType dtype);
const char* to_string(DType dtype);  // safetensors' names: "BF16"

/// A tensor inside a mapped file, or memory of the caller's.
struct TensorView {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;  ///< numel() * size_of(dtype) of them, row-major, aligned to the dtype

  int64_t numel() const;
};

/// The tensors of one safetensors file, or of a sharded set (`*.safetensors.index.json`), mapped read-only. Format:
/// u64 length, JSON header, data. As strict as the Python library: offsets without gap or overlap, sizes that agree with dtype and shape,
/// data to the very end of the file; and at most 100 MB and 262,144 tensors a header. Views live as long as this object.
class SafetensorsReader {
 public:
  /// `path`: a .safetensors file, an index file, or a folder that holds model.safetensors or its index (or the given `stem`).
  /// An index must list the tensors that its files hold. Throws UserError (missing, truncated, malformed) naming file and tensor.
  explicit SafetensorsReader(const std::filesystem::path& path, const std::string& stem = "model");

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const TensorView* find(const std::string& name) const;
  /// The file that holds `name`, for messages.
  const std::filesystem::path& file_of(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void open(const std::filesystem::path& file);
  void open_index(const std::filesystem::path& index);

  std::vector<std::unique_ptr<MappedFile>> files_;
  std::vector<std::unique_ptr<std::byte[]>> aligned_;  // tensors whose place in the file does not suit their dtype, copied
  std::map<std::string, TensorView> tensors_;
  std::map<std::string, size_t> file_index_;
  std::map<std::string, std::string> metadata_;
};

/// A tensor to be written: its bytes are asked for when its turn comes, so that a model larger than memory or on a device can be streamed.
struct TensorSource {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::function<std::span<const std::byte>()> bytes;  ///< valid until the next source is asked
};

/// Writes `tensors` as `<stem>.safetensors`, or as shards with an index where they exceed `max_shard_bytes`, each file fsynced. Shards are
/// filled in the order of the names; inside a file wide dtypes come first, then the order is that of the names: every tensor is aligned,
/// and the bytes are those that the Python library writes. Throws UserError (full disk).
void write_safetensors(const std::filesystem::path& folder, const std::string& stem, std::vector<TensorSource> tensors,
                       const std::map<std::string, std::string>& metadata = {{"format", "pt"}}, int64_t max_shard_bytes = int64_t{5} << 30);

}  // namespace multimeditron
