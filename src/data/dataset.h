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
  /// How much of a row is wanted.
  enum class Part {
    kAll,
    kText,  ///< of an image it is enough that it is there
  };

  virtual ~Dataset() = default;
  virtual int64_t size() const = 0;
  /// Throws UserError for a row that cannot be read, naming file and row.
  virtual Row row(int64_t index) const = 0;
  /// The same row for whoever looks at its text alone: images may be one byte in their place, and are then not read from the disk.
  virtual Row text_row(int64_t index) const { return row(index); }
  /// Changes when the content changes: a hash of the files' names, sizes, bytes (of large binary files a sample) and declared fingerprints.
  virtual std::string fingerprint() const = 0;
  /// "train/data-00003-of-00012.arrow, row 1842": for messages. Rows count from 0 within their file.
  virtual std::string place(int64_t index) const = 0;
  /// The row that `index` is listed as where it is bad: several may be one row, as augmentations of it are.
  virtual int64_t listed_row(int64_t index) const { return index; }
  /// The folder that the row's relative image paths start from where a loader has no base_path.
  virtual std::filesystem::path folder(int64_t) const { return {}; }
  /// A hint: these rows are asked for soon, so that the system may fetch them meanwhile.
  virtual void will_need(std::span<const int64_t> /*rows*/) const {}

  /// Rows that one epoch takes; with weights of data sets that is not size().
  virtual int64_t rows_per_epoch() const { return size(); }
  /// The row at `position`, from 0 to rows_per_epoch(), of an epoch before it is shuffled.
  virtual int64_t row_of_epoch(int64_t /*epoch*/, int64_t position) const { return position; }
};

/// Opens one folder or file: HF `save_to_disk` (Dataset, or DatasetDict with `train`), Arrow streams and files, Parquet, JSON lines, CSV; a
/// folder's training files where it holds several splits (a hub snapshot), or the files that match a pattern (`data/train-*.parquet`).
/// Throws UserError. Roles that no chat template knows are told once, as a warning.
std::unique_ptr<Dataset> open_dataset(const std::filesystem::path& path);

/// All data sets that a recipe names, one after the other, in its order; `packed_path` is resolved as base/hub.h says, `max_samples` keeps
/// the first ones. `key`, for messages: `datasets`, one of its entries (`datasets.1`), or a key that lists names alone; messages add the
/// number where there are several. `weight` counts in the epochs that `seed` draws: weight w takes each row w times an
/// epoch; a fraction takes that share of the rows in a drawn order, the next epoch going on where this one stopped. Without a seed a
/// weight other than 1 is refused.
std::unique_ptr<Dataset> open_datasets(std::span<const DatasetSpec> specs, const std::filesystem::path& recipe_file,
                                       const std::string& key = "datasets", std::optional<int64_t> seed = std::nullopt);
inline std::unique_ptr<Dataset> open_datasets(const Recipe& recipe) {
  return open_datasets(recipe.datasets, recipe.file, "datasets", recipe.seed);
}

}  // namespace multimeditron
