#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "data/dataset.h"
#include "data/shard_writer.h"

namespace multimeditron {

/// How a data set is made self-contained.
struct PreprocessOptions {
  enum class OnBad { kQuarantine, kSkip, kFail };

  std::filesystem::path output;  ///< a folder; or the one file, where it ends in .parquet
  ShardFormat format = ShardFormat::kArrow;
  int64_t shard_bytes = 500'000'000;   ///< a shard ends with the row that reaches it
  std::filesystem::path image_folder;  ///< of relative image paths; empty: the data set's own
  std::string attachment_token = "<|reserved_special_token_0|>";
  bool any_text = false;  ///< rows need no text and no attachment tokens (data for experts and gates)
  OnBad on_bad = OnBad::kQuarantine;
  double max_bad_samples = 0.01;
  std::optional<int64_t> head, shuffle_seed;  ///< the first rows only; then their order as `datasets`' shuffle draws it
  int64_t num_shards = 1, shard_id = 0;       ///< then only this part, as `datasets`' shard cuts it
  int workers = 1;
  int64_t lot_bytes = 256'000'000;  ///< of rows that are prepared at once; as much may wait to be written, and each worker adds a row
};

struct PreprocessResult {
  int64_t rows = 0, images = 0, bad = 0, bytes = 0, shards = 0;
  int64_t kept_shards = 0;  ///< found whole from an earlier, interrupted call
  bool was_done = false;    ///< all was there already
};

/// The folder that the output grows in until it is whole.
std::filesystem::path partial_folder(const std::filesystem::path& output);

/// Writes `dataset` with its images' bytes inside: as a folder of Arrow shards that `datasets.load_from_disk` reads, or as Parquet below
/// `data/`; beside them `preprocess.json` (every file with size and SHA-256) and, where rows were left out, `quarantine.jsonl`. Every image
/// is decoded once. The same rows and options give the same bytes with any number of workers.
///
/// Interrupted at any moment, the same call goes on behind the last whole shard, which is verified by its hash. The output appears under
/// its name when it is whole. One call at a time may write an output: the caller sees to that. Throws UserError: the output or the folder
/// that it grows in holds something else, too many bad rows; Interrupted where `stop` says so.
PreprocessResult preprocess(const Dataset& dataset, const PreprocessOptions& options,
                            const std::function<void(int64_t done, int64_t total)>& on_progress = {},
                            const std::function<bool()>& stop = {});

}  // namespace multimeditron
