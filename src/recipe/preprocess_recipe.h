#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace multimeditron {

/// One data set that `preprocess` makes self-contained.
struct PreprocessJob {
  std::vector<std::string> sources;    ///< folders, files, patterns or hub ids, one after the other
  std::string source_key = "DATASET";  ///< where they are named, for messages
  std::string output;                  ///< a folder; or one file, where it ends in .parquet
  std::string image_folder;            ///< of relative image paths; empty: the data set's own
  std::string format = "arrow";        ///< arrow, parquet
  int64_t shard_bytes = 500'000'000;
  std::string attachment_token = "<|reserved_special_token_0|>";
  bool any_text = false;
  std::string on_bad = "quarantine";  ///< quarantine, skip, fail
  double max_bad_samples = 0.01;
  std::optional<int64_t> head, shuffle_seed;
  int64_t num_shards = 1, shard_id = 0;
  int64_t workers = 0;  ///< 0: all cores
};

/// What a preprocess configuration asks for.
struct PreprocessRecipe {
  std::filesystem::path file;
  std::vector<PreprocessJob> jobs;
  std::vector<std::string> notes, warnings;
};

/// Reads a configuration in one of three forms: ours (`source`, `output`, and the names of PreprocessJob), the original's `preprocess_ds`
/// (`source: {type, kwargs}`, `processes`, `tokenizer`), and its older `merge_inputs` (`datasets: [{jsonl_path, tokenized_path,
/// preprocessor_kwargs}]`, in a training recipe). Keys that change nothing here are told as notes. What would run Python (`python`,
/// `python-filter`) or tokenize is refused with what to do instead. Throws UserErrors with all mistakes.
PreprocessRecipe load_preprocess_recipe(const std::filesystem::path& file, std::span<const std::string> overrides);

/// "500MB", "1.5 GiB", "20000": bytes; nothing for what is no size.
std::optional<int64_t> parse_size(const std::string& text);

}  // namespace multimeditron
