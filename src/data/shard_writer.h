#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "base/json.h"
#include "data/dataset.h"

namespace multimeditron {

enum class ShardFormat { kArrow, kParquet };

/// Which columns a written data set has beside `modalities`; with both, each row has null in one of them.
struct RowColumns {
  bool text = false, conversations = false;
};

/// Writes one file of a data set: an Arrow stream, or Parquet with small row groups. The same rows give the same bytes. Throws UserError
/// where the file system refuses.
class ShardWriter {
 public:
  ShardWriter(std::filesystem::path file, ShardFormat format, RowColumns columns);
  /// Without close() the file is left unfinished.
  ~ShardWriter();

  void add(const Row& row);
  int64_t rows() const;

  struct Written {
    int64_t rows = 0, bytes = 0;
    std::string sha256;
  };
  /// Ends the file and waits until it is on the disk.
  Written close();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The `features` of dataset_info.json for these columns.
Json features_of(RowColumns columns);

/// Writes dataset_info.json and state.json, which make a folder of Arrow shards one of `datasets.save_to_disk`. `fingerprint`: any 16
/// digits.
void write_saved_folder_files(const std::filesystem::path& folder, RowColumns columns, const std::vector<std::string>& shards,
                              const std::string& fingerprint);

}  // namespace multimeditron
