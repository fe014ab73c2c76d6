#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "recipe/recipe.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// One attachment of a sample as the data set holds it.
struct Attachment {
  std::string type;   ///< "image"
  std::string bytes;  ///< the encoded image, where the data set holds it
  std::string path;   ///< else its path, relative to the loader's base_path (or the data set's folder)
};

/// One row of a data set: a text or a conversation, and its attachments.
struct Row {
  std::optional<std::string> text;
  std::vector<Message> conversations;
  std::vector<Attachment> modalities;
};

/// Rows at random by number; safe to read from many threads.
class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Throws UserError for a row that cannot be read, naming file and row.
  virtual Row row(int64_t index) const = 0;
  /// Changes when the content changes: names, sizes, modification times or declared fingerprints of the files.
  virtual std::string fingerprint() const = 0;
  /// "train/data-00003-of-00012.arrow, row 1842": for messages. Rows count from 0 within their file.
  virtual std::string place(int64_t index) const = 0;
  /// The folder that the row's relative image paths start from where a loader has no base_path.
  virtual std::filesystem::path folder(int64_t) const { return {}; }
};

/// Opens one folder or file: HF `save_to_disk` (Dataset, or DatasetDict with `train`), Arrow streams and files, Parquet, JSONL; a folder's
/// training files where it holds several splits (a hub snapshot), or the files that match a pattern (`data/train-*.parquet`). Throws
/// UserError.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path);

/// All data sets that a recipe names, one after the other, in its order; `packed_path` is resolved as base/hub.h says, `max_samples` keeps
/// the first ones. A `weight` other than 1 is refused. `key`: the recipe's, for messages.
std::unique_ptr<Dataset> open_datasets(std::span<const DatasetSpec> specs, const std::filesystem::path& recipe_file,
                                       const std::string& key = "datasets");
inline std::unique_ptr<Dataset> open_datasets(const Recipe& recipe) {
  return open_datasets(recipe.datasets, recipe.file);
}

}  // namespace multimeditron
