#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "data/sample.h"

namespace multimeditron {

/// Which of several processes this is. Micro-batch i of a step goes to rank i mod world_size: who computes a micro-batch depends on their
/// number, what is in it does not.
struct RankView {
  int64_t rank = 0, world_size = 1;

  bool owns(int64_t index_in_step) const { return index_in_step % world_size == rank; }
};

/// A row that could not be used. `error` holds nothing of the row's text.
struct BadSample {
  int64_t row = 0;
  std::string place, error;
};

/// The samples of one micro-batch, in order. Bad samples are left out.
struct SampleBatch {
  int64_t number = 0;  ///< as asked for
  std::vector<Sample> samples;
  std::vector<int64_t> rows;   ///< rows asked for, bad ones included
  std::vector<BadSample> bad;  ///< in the order of the rows
};

/// Bad samples: counted once a row, written to `quarantine.jsonl` ({row, place, error}), fatal past max(10, share of those seen).
class Quarantine {
 public:
  /// `file` may be empty (nothing is written).
  Quarantine(std::filesystem::path file, double max_share);
  /// Counts a batch's samples and its bad ones. Several ranks' batches, recorded in the order of their numbers, leave the same file as
  /// those of a single rank. Throws UserError once too many are bad.
  void record(const SampleBatch& batch);
  void add(int64_t row, const std::string& place, const std::string& error);
  void seen(int64_t count);
  int64_t count() const;
  /// Why the last one was bad; empty where none was.
  std::string last_error() const;

  /// How far it has come, `bytes` being the file's length: for a checkpoint.
  struct Position {
    int64_t seen = 0, bad = 0, bytes = 0;
  };
  Position position() const;
  /// Goes on from a position: what the file has beyond it is cut off. Throws UserError.
  void restore(const Position& position);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

/// What a loader delivers: micro-batches first .. end - 1, those of them that are this rank's.
struct BatchPlan {
  std::function<std::vector<int64_t>(int64_t number)> rows_of;  ///< dataset rows; called from the consumer's thread, in order
  int64_t first = 0, end = 0;
  std::function<bool(int64_t number)> is_mine = nullptr;  ///< absent: all are
};

struct LoaderOptions {
  int num_threads = 1;                      ///< 0: next() builds its batch by itself
  int64_t prefetch = 2;                     ///< batches under way at most
  int64_t memory_bytes = int64_t{1} << 30;  ///< what samples built ahead may take; the batch that is due is built whatever it takes
};

/// Builds batches ahead of use on threads. Deterministic: a batch has the same content for any number of threads and ranks.
class Loader {
 public:
  Loader(const SampleSource& builder, const Dataset& dataset, BatchPlan plan, const LoaderOptions& options, Quarantine& quarantine);
  ~Loader();

  /// The next batch, in order. Rethrows what a worker threw. Must not be called after the end.
  SampleBatch next();
  /// Seconds that next() has waited so far.
  double waited_s() const;
  /// The most that samples built ahead have taken.
  int64_t peak_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace multimeditron
