#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "data/loader.h"

namespace multimeditron {

struct Quarantine::State {
  std::filesystem::path file;
  double max_share = 0;
  std::mutex mutex;
  int64_t seen = 0, bad = 0;
  std::set<int64_t> rows;  // those listed: a row that is bad is so in every epoch
  std::string last_error;
};

Quarantine::Quarantine(std::filesystem::path file, double max_share) : state_(std::make_shared<State>()) {
  state_->file = std::move(file);
  state_->max_share = max_share;
}

void Quarantine::add(int64_t row, const std::string& place, const std::string& error) {
  const std::lock_guard lock(state_->mutex);
  state_->last_error = fmt::format("{}: {}", place, error);
  if (!state_->rows.insert(row).second) return;
  ++state_->bad;
  if (!state_->file.empty()) {
    std::ofstream out(state_->file, std::ios::app);
    out << Json{{"row", row}, {"place", place}, {"error", error}}.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n'
        << std::flush;
    if (!out)
      throw UserError("cannot write the list of unusable samples",
                      {.where = state_->file.string(), .fix = "check the disk's free space and permissions"});
  }
  const double allowed = std::max(10.0, state_->max_share * static_cast<double>(state_->seen));
  if (static_cast<double>(state_->bad) <= allowed) return;
  throw UserError("too many unusable samples",
                  {.where = state_->file.empty() ? place : state_->file.string(),
                   .found = fmt::format("{} of {} seen so far, the last one: {}", state_->bad, state_->seen, state_->last_error),
                   .fix = "mend or remove them (quarantine.jsonl lists those met so far), or raise `max_bad_samples`"});
}

void Quarantine::record(const SampleBatch& batch) {
  seen(static_cast<int64_t>(batch.rows.size()));
  for (const BadSample& bad : batch.bad) add(bad.row, bad.place, bad.error);
}

void Quarantine::seen(int64_t count) {
  const std::lock_guard lock(state_->mutex);
  state_->seen += count;
}

int64_t Quarantine::count() const {
  const std::lock_guard lock(state_->mutex);
  return state_->bad;
}

std::string Quarantine::last_error() const {
  const std::lock_guard lock(state_->mutex);
  return state_->last_error;
}

Quarantine::Position Quarantine::position() const {
  const std::lock_guard lock(state_->mutex);
  std::error_code code;
  const auto bytes = state_->file.empty() ? 0 : std::filesystem::file_size(state_->file, code);
  return {.seen = state_->seen, .bad = state_->bad, .bytes = code ? 0 : static_cast<int64_t>(bytes)};
}

void Quarantine::restore(const Position& position) {
  const std::lock_guard lock(state_->mutex);
  state_->seen = position.seen;
  state_->bad = position.bad;
  std::error_code code;
  const auto bytes = state_->file.empty() ? 0 : std::filesystem::file_size(state_->file, code);
  if (code || bytes == 0) return;
  if (static_cast<int64_t>(bytes) > position.bytes) {
    std::filesystem::resize_file(state_->file, static_cast<std::uintmax_t>(std::max<int64_t>(position.bytes, 0)), code);
    if (code) {
      throw UserError("cannot cut back the list of unusable samples",
                      {.where = state_->file.string(), .found = code.message(), .fix = "check its permissions"});
    }
  }
  std::ifstream lines(state_->file);
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.contains("row") && json["row"].is_number_integer()) state_->rows.insert(json["row"].get<int64_t>());
  }
}

}  // namespace multimeditron
