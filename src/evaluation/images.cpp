#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/parallel.h"
#include "evaluation/task.h"
#include "image/image.h"

namespace multimeditron {
namespace {

struct Checked {
  std::string content, fault;
  bool is_sixteen_bit = false;
};

/// What an image is known by: its file, or its own bytes. Refers to `image`.
std::string_view key_of(const TaskImage& image) {
  return image.file.empty() ? image.bytes : image.file.native();
}

Checked check(const TaskImage& image, const VolumeOptions& view) {
  Checked result;
  try {
    const std::string bytes = read_image(image);
    result.content = sha256(bytes);
    result.is_sixteen_bit = decode_image(std::as_bytes(std::span(bytes)), {.volume = view}).is_from_sixteen_bit_grey;
  } catch (const UserError& error) {
    result.fault = error.message() + (error.details().found.empty() ? "" : ": " + error.details().found);
  }
  return result;
}

}  // namespace

void check_images(Task& task, const std::function<void(int64_t, int64_t)>& on_progress) {
  std::map<std::string_view, std::pair<const TaskImage*, Checked>> files;
  for (const TaskRow& row : task.rows)
    for (const TaskImage& image : row.images) files.try_emplace(key_of(image), &image, Checked{});
  std::vector<std::pair<const TaskImage*, Checked>*> entries;
  for (auto& [key, entry] : files) entries.push_back(&entry);
  std::mutex mutex;
  int64_t done = 0;
  const auto total = static_cast<int64_t>(entries.size());
  if (on_progress && total > 0) on_progress(0, total);
  for_each_parallel(total, static_cast<int>(std::thread::hardware_concurrency()), [&](int64_t i) {
    entries[static_cast<size_t>(i)]->second = check(*entries[static_cast<size_t>(i)]->first, task.view);
    const std::lock_guard lock(mutex);
    ++done;
    if (on_progress) on_progress(done, total);
  });

  bool is_sixteen_bit = false;
  const auto is_bad = [&](TaskRow& row) {
    for (TaskImage& image : row.images) {
      const Checked& checked = files.at(key_of(image)).second;
      is_sixteen_bit = is_sixteen_bit || checked.is_sixteen_bit;
      if (!checked.fault.empty()) {
        task.unusable.push_back({row.id, row.line, image.name, checked.fault});
        return true;
      }
      image.content = checked.content;
    }
    return false;
  };
  // All rows stay until the last image was looked up: the keys refer to them.
  std::vector<TaskRow*> good;
  for (TaskRow& row : task.rows)
    if (!is_bad(row)) good.push_back(&row);
  if (good.size() < task.rows.size()) {
    std::vector<TaskRow> rows;
    for (TaskRow* row : good) rows.push_back(std::move(*row));
    task.rows = std::move(rows);
  }
  if (is_sixteen_bit) note(fmt::format("{}: 16-bit grey images are used by their high byte", task.file.string()));
}

}  // namespace multimeditron
