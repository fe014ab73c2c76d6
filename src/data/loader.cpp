#include "data/loader.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/error.h"

namespace multimeditron {
namespace {

/// What became of one row: a sample, a bad one, or a fault that is not the sample's.
struct Outcome {
  std::optional<Sample> sample;
  std::string error;
  std::exception_ptr fault;
};

Outcome build(const SampleSource& builder, int64_t row) {
  Outcome outcome;
  try {
    outcome.sample = builder.build(row);
  } catch (const UserError& error) {
    // Places are those of files and items, which BadSample::place has; no finding holds text of the row.
    outcome.error = error.message() + (error.details().found.empty() ? "" : ": " + error.details().found);
  } catch (...) {
    outcome.fault = std::current_exception();
  }
  return outcome;
}

/// Memory that an outcome holds, but for a few hundred bytes.
int64_t size_of(const Outcome& outcome) {
  if (!outcome.sample) return 0;
  const EncodedText& text = outcome.sample->text;
  size_t bytes = text.text.capacity() + (text.input_ids.capacity() + text.labels.capacity()) * sizeof(int64_t);
  for (const ImageInput& image : outcome.sample->images) bytes += image.pixel_values.capacity() * sizeof(float);
  return static_cast<int64_t>(bytes);
}

/// A batch on its way.
struct Pending {
  int64_t number = 0;
  std::vector<int64_t> rows;
  std::vector<Outcome> outcomes;
  size_t num_taken = 0, num_done = 0;
  bool is_announced = false;  ///< the data set knows that these rows will be read
  int64_t size_bytes = 0;
};

/// A worker's next piece of work: a row to build, or rows to announce.
struct Task {
  std::shared_ptr<Pending> batch;
  std::optional<size_t> slot;
};

}  // namespace

struct Loader::State {
  const SampleSource& builder;
  const Dataset& dataset;
  BatchPlan batches;
  LoaderOptions options;
  Quarantine& quarantine;
  int64_t next_to_plan = 0;
  double waited_s = 0;

  std::mutex mutex;
  std::condition_variable_any work_is_there, batch_is_done;
  std::deque<std::shared_ptr<Pending>> pending;  // in order; the front is returned next
  int64_t num_building = 0, held_bytes = 0, peak_bytes = 0, largest_bytes = 0;
  std::vector<std::jthread> threads;  // last: joined before what they use is gone

  /// Rows are asked for by the consumer's thread alone, in order, so that samplers need no lock.
  void plan() {
    while (pending.size() < static_cast<size_t>(std::max<int64_t>(options.prefetch, 1))) {
      while (next_to_plan < batches.end && batches.is_mine && !batches.is_mine(next_to_plan)) ++next_to_plan;
      if (next_to_plan >= batches.end) return;
      auto batch = std::make_shared<Pending>();
      batch->number = next_to_plan;
      batch->rows = batches.rows_of(next_to_plan++);
      batch->outcomes.resize(batch->rows.size());
      {
        const std::lock_guard lock(mutex);
        pending.push_back(std::move(batch));
      }
      work_is_there.notify_all();
    }
  }

  /// With the lock held: the first batch whose rows nobody has announced, then the oldest row that nobody has taken. Batches that are not
  /// due wait while there is no room for another sample as large as the largest.
  bool take(Task& task) {
    for (const auto& batch : pending) {
      if (batch->is_announced) continue;
      batch->is_announced = true;
      task = {batch, std::nullopt};
      return true;
    }
    for (const auto& batch : pending) {
      if (batch->num_taken == batch->rows.size()) continue;
      const bool is_due = batch == pending.front();
      if (!is_due && held_bytes + (num_building + 1) * largest_bytes > options.memory_bytes) return false;
      ++num_building;
      task = {batch, batch->num_taken++};
      return true;
    }
    return false;
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    Task task;
    while (work_is_there.wait(lock, stop, [&] { return take(task); })) {
      lock.unlock();
      Pending& batch = *task.batch;
      if (!task.slot) {
        dataset.will_need(batch.rows);
        lock.lock();
        continue;
      }
      Outcome outcome = build(builder, batch.rows[*task.slot]);
      lock.lock();
      const int64_t bytes = size_of(outcome);
      batch.outcomes[*task.slot] = std::move(outcome);
      batch.size_bytes += bytes;
      held_bytes += bytes;
      peak_bytes = std::max(peak_bytes, held_bytes);
      largest_bytes = std::max(largest_bytes, bytes);
      --num_building;
      if (++batch.num_done == batch.rows.size()) batch_is_done.notify_all();
    }
  }

  /// The front of the queue, complete.
  std::shared_ptr<Pending> take_front() {
    std::shared_ptr<Pending> batch = pending.front();
    if (threads.empty()) {
      dataset.will_need(batch->rows);
      for (size_t i = 0; i < batch->rows.size(); ++i) {
        batch->outcomes[i] = build(builder, batch->rows[i]);
        batch->size_bytes += size_of(batch->outcomes[i]);
      }
      peak_bytes = std::max(peak_bytes, batch->size_bytes);
      pending.pop_front();
      return batch;
    }
    {
      std::unique_lock lock(mutex);
      batch_is_done.wait(lock, [&] { return batch->num_done == batch->rows.size(); });
      held_bytes -= batch->size_bytes;
      pending.pop_front();
    }
    work_is_there.notify_all();  // there may be room now, and another batch is due
    return batch;
  }
};

Loader::Loader(const SampleSource& builder, const Dataset& dataset, BatchPlan plan, const LoaderOptions& options, Quarantine& quarantine)
    : state_(new State{builder, dataset, std::move(plan), options, quarantine}) {
  state_->next_to_plan = state_->batches.first;
  for (int i = 0; i < options.num_threads; ++i) {
    state_->threads.emplace_back([state = state_.get()](const std::stop_token& stop) { state->work(stop); });
  }
  if (options.num_threads > 0) state_->plan();
}

Loader::~Loader() {
  for (std::jthread& thread : state_->threads) thread.request_stop();
}

SampleBatch Loader::next() {
  State& state = *state_;
  const auto start = std::chrono::steady_clock::now();
  state.plan();
  assert(!state.pending.empty());
  const std::shared_ptr<Pending> batch = state.take_front();
  state.waited_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!state.threads.empty()) state.plan();

  // Faults and bad samples are told here, in the order of the rows, whichever thread met them first.
  SampleBatch result{.number = batch->number, .samples = {}, .rows = batch->rows, .bad = {}};
  std::exception_ptr fault;
  for (size_t i = 0; i < batch->rows.size() && fault == nullptr; ++i) {
    Outcome& outcome = batch->outcomes[i];
    fault = outcome.fault;
    if (outcome.sample) {
      result.samples.push_back(std::move(*outcome.sample));
    } else if (fault == nullptr) {
      result.bad.push_back({state.dataset.listed_row(batch->rows[i]), state.dataset.place(batch->rows[i]), std::move(outcome.error)});
    }
  }
  state.quarantine.record(result);
  if (fault != nullptr) std::rethrow_exception(fault);
  return result;
}

double Loader::waited_s() const {
  return state_->waited_s;
}

int64_t Loader::peak_bytes() const {
  const std::lock_guard lock(state_->mutex);
  return state_->peak_bytes;
}

}  // namespace multimeditron
