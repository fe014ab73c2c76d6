#include "data/loader.h"

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
    // The message alone: places and findings of other layers might hold more of the row than may be written down.
    outcome.error = error.message() + (error.details().found.empty() ? "" : ": " + error.details().found);
  } catch (...) {
    outcome.fault = std::current_exception();
  }
  return outcome;
}

/// A batch on its way.
struct Pending {
  int64_t number = 0;
  std::vector<int64_t> rows;
  std::vector<Outcome> outcomes;
  size_t num_taken = 0, num_done = 0;
};

}  // namespace

struct Loader::State {
  const SampleSource& builder;
  const Dataset& dataset;
  std::function<std::vector<int64_t>(int64_t)> rows_of;
  int64_t next_to_plan, end;
  size_t prefetch;
  Quarantine& quarantine;
  double waited_s = 0;

  std::mutex mutex;
  std::condition_variable_any work_is_there, batch_is_done;
  std::deque<std::unique_ptr<Pending>> pending;  // in order; the front is returned next
  std::vector<std::jthread> threads;             // last: joined before what they use is gone

  /// Rows are asked for by the consumer's thread alone, in order, so that samplers need no lock.
  void plan() {
    while (next_to_plan < end && pending.size() < prefetch) {
      auto batch = std::make_unique<Pending>();
      batch->number = next_to_plan;
      batch->rows = rows_of(next_to_plan++);
      batch->outcomes.resize(batch->rows.size());
      {
        const std::lock_guard lock(mutex);
        pending.push_back(std::move(batch));
      }
      work_is_there.notify_all();
    }
  }

  /// The oldest batch with rows that nobody has taken; called with the lock held.
  Pending* batch_with_work() {
    for (const auto& batch : pending) {
      if (batch->num_taken < batch->rows.size()) return batch.get();
    }
    return nullptr;
  }

  void work(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (true) {
      Pending* batch = nullptr;
      if (!work_is_there.wait(lock, stop, [&] { return (batch = batch_with_work()) != nullptr; })) return;
      const size_t slot = batch->num_taken++;
      lock.unlock();
      Outcome outcome = build(builder, batch->rows[slot]);
      lock.lock();
      batch->outcomes[slot] = std::move(outcome);
      if (++batch->num_done == batch->rows.size()) batch_is_done.notify_all();
    }
  }
};

Loader::Loader(const SampleSource& builder, const Dataset& dataset, std::function<std::vector<int64_t>(int64_t)> rows_of, int64_t first,
               int64_t end, int num_threads, int prefetch, Quarantine& quarantine)
    : state_(new State{builder, dataset, std::move(rows_of), first, end, static_cast<size_t>(std::max(prefetch, 1)), quarantine}) {
  for (int i = 0; i < num_threads; ++i) {
    state_->threads.emplace_back([state = state_.get()](const std::stop_token& stop) { state->work(stop); });
  }
  if (num_threads > 0) state_->plan();
}

Loader::~Loader() {
  for (std::jthread& thread : state_->threads) thread.request_stop();
}

SampleBatch Loader::next() {
  State& state = *state_;
  const auto start = std::chrono::steady_clock::now();
  state.plan();
  assert(!state.pending.empty());
  std::unique_ptr<Pending> batch;
  if (state.threads.empty()) {
    batch = std::move(state.pending.front());
    state.pending.pop_front();
    for (size_t i = 0; i < batch->rows.size(); ++i) batch->outcomes[i] = build(state.builder, batch->rows[i]);
  } else {
    std::unique_lock lock(state.mutex);
    state.batch_is_done.wait(lock, [&] { return state.pending.front()->num_done == state.pending.front()->rows.size(); });
    batch = std::move(state.pending.front());
    state.pending.pop_front();
  }
  state.waited_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!state.threads.empty()) state.plan();

  // Faults and bad samples are told here, in the order of the rows, whichever thread met them first.
  SampleBatch result{.number = batch->number, .samples = {}, .rows = batch->rows, .bad_samples = 0};
  state.quarantine.seen(static_cast<int64_t>(batch->rows.size()));
  for (size_t i = 0; i < batch->rows.size(); ++i) {
    Outcome& outcome = batch->outcomes[i];
    if (outcome.fault != nullptr) std::rethrow_exception(outcome.fault);
    if (outcome.sample) {
      result.samples.push_back(std::move(*outcome.sample));
    } else {
      ++result.bad_samples;
      state.quarantine.add(batch->rows[i], state.dataset.place(batch->rows[i]), outcome.error);
    }
  }
  return result;
}

double Loader::waited_s() const {
  return state_->waited_s;
}

}  // namespace multimeditron
