#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

#include "data/sample.h"

namespace multimeditron {

/// The samples of one micro-batch, in order. Bad samples are left out.
struct SampleBatch {
  int64_t number = 0;  ///< as asked for
  std::vector<Sample> samples;
  std::vector<int64_t> rows;  ///< rows asked for, bad ones included
  int64_t bad_samples = 0;
};

/// Bad samples: counted once a row, written to `quarantine.jsonl` ({row, place, error}), fatal past max(10, share of those seen).
class Quarantine {
 public:
  /// `file` may be empty (nothing is written).
  Quarantine(std::filesystem::path file, double max_share);
  /// Throws UserError once too many are bad.
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

/// Builds batches ahead of use on threads. Deterministic: batch k has the same content for any number of threads.
class Loader {
 public:
  /// `rows_of(k)`: dataset rows of batch k, for k = first .. end - 1; called from one thread, in order.
  Loader(const SampleSource& builder, const Dataset& dataset, std::function<std::vector<int64_t>(int64_t)> rows_of, int64_t first,
         int64_t end, int num_threads, int prefetch, Quarantine& quarantine);
  ~Loader();

  /// The next batch, in order. Rethrows what a worker threw. Must not be called after the end.
  SampleBatch next();
  /// Seconds that next() has waited so far.
  double waited_s() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace multimeditron
