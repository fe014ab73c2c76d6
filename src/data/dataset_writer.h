#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "data/dataset.h"

namespace multimeditron {

/// Writes a folder as `datasets.save_to_disk` does (Arrow stream shards, state.json, dataset_info.json), which `datasets.load_from_disk` of
/// versions 3 to 5 reads. The first row decides on the columns: `conversations` or `text`, and `modalities` with struct<bytes, path>
/// values.
class DatasetWriter {
 public:
  /// Makes `folder`; one that already holds something is refused with a UserError.
  explicit DatasetWriter(std::filesystem::path folder, int64_t rows_per_shard = 1000);
  ~DatasetWriter();

  /// Throws UserError where the file system refuses, or where the row has other columns than the first.
  void add(const Row& row);
  /// Writes what is left and the folder's two JSON files. Without it the folder is not a data set.
  void close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace multimeditron
