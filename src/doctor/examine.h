#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/columns.h"
#include "doctor/contamination.h"
#include "doctor/findings.h"
#include "doctor/row_examiner.h"

namespace multimeditron {

/// A data set to be looked at, and how it will be used.
struct DataSetToExamine {
  std::string name;  ///< as the user or the recipe gave it
  std::unique_ptr<Dataset> dataset;
  RowRules rules;
  bool is_test = false;
  std::string recipe;             ///< the one that lists it; empty: given itself
  int64_t max_length = 0;         ///< slots of a pack; 0: packing is not looked at
  int64_t seed = 0;               ///< of the order that packing works on
  double max_bad_samples = 0.01;  ///< share of the rows that may be bad
};

struct ExamineOptions {
  std::optional<int64_t> limit;  ///< so many rows of each data set, drawn by `seed`
  uint64_t seed = 0;
  int num_threads = 1;
  std::function<void(const std::string& name, int64_t done, int64_t total)> on_progress;  ///< from any thread, one at a time
  std::function<bool()> is_stopped;                                                       ///< then what has been seen is summed up
};

/// Some numbers in one: of lengths, of pixels.
struct Distribution {
  int64_t count = 0, min = 0, p5 = 0, median = 0, p95 = 0, p99 = 0, max = 0;
  double mean = 0;
  struct Bin {
    int64_t from = 0, to = 0;  ///< [from, to); the last bin takes everything beyond
    int64_t count = 0;
  };
  std::vector<Bin> bins;
};
/// Quantiles are those of the sorted values at (count - 1) * q, rounded down. Bins are equally wide, at most 30.
Distribution distribution_of(std::vector<int64_t> values);

struct ImageTotals {
  int64_t uses = 0, different = 0, reused = 0;  ///< reused: different images that more than one row shows
  int64_t bytes = 0;                            ///< of the different ones
  int64_t sixteen_bit_grey = 0;
  std::map<std::string, int64_t> formats;                      ///< different images
  std::vector<std::pair<std::string, int64_t>> sizes;          ///< "512 x 512", the most frequent first, at most 12
  std::vector<Distribution::Bin> shorter_sides;                ///< of different images
  std::vector<std::pair<std::string, int64_t>> aspect_ratios;  ///< longer to shorter side, in steps
  Distribution pixels_of_shorter_side;
};

/// Equal rows: how many there are, and the first of them.
struct DuplicateGroup {
  int64_t count = 0;
  std::vector<RowPlace> first;
  uint64_t image = 0;  ///< where it is an image that is repeated: its content_hash()
};

struct Duplicates {
  int64_t rows = 0;    ///< rows that repeat an earlier one
  int64_t groups = 0;  ///< different rows that are repeated
  std::vector<DuplicateGroup> largest;
  int64_t images = 0;                      ///< different images that several rows show
  std::vector<DuplicateGroup> most_shown;  ///< of them
};

/// What has been found out about one data set.
struct DataSetReport {
  std::string name, recipe;
  bool is_test = false;
  int64_t rows = 0, examined = 0;  ///< examined < rows: a sample, or stopped
  std::vector<Column> columns;
  FindingTallies findings;
  int64_t bad_rows = 0;
  int64_t allowed_bad_rows = 0;
  bool counts_tokens = false;  ///< lengths are tokens, else characters
  Distribution lengths;        ///< of usable rows
  int64_t tokens = 0, learnt_tokens = 0;
  int64_t truncated_rows = 0, lost_tokens = 0, lost_turns = 0, lost_images = 0;
  std::optional<int64_t> max_sequence_length, max_length;
  int64_t packs = 0;
  double packing_efficiency = 0;
  std::map<std::string, int64_t> roles;  ///< turns; roles that the prompt does not know by name only where they are a plain word
  std::map<int64_t, int64_t> turns, images_a_row;
  std::map<std::string, int64_t> languages;
  ImageTotals images;
  double seconds = 0;

  bool is_complete() const { return examined == rows; }
  bool has_too_many_bad() const { return bad_rows > allowed_bad_rows || (examined > 0 && bad_rows == examined); }
};

struct Examination {
  std::vector<DataSetReport> data_sets;  ///< as given
  Duplicates duplicates;                 ///< among what is not test
  std::optional<Contamination> contamination;
  bool is_stopped = false;
  double seconds = 0;
};

/// Looks at every row of `data_sets` (or at a sample), test sets first. Memory: 24 bytes a row, and 32 more of the data set that is being
/// looked at; some 260 an image; of test sets their texts' hashes and a kilobyte an image. No image and no text is kept.
Examination examine(std::vector<DataSetToExamine>& data_sets, const ExamineOptions& options);

}  // namespace multimeditron
