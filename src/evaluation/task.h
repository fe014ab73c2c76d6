#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "image/image.h"

namespace multimeditron {

/// An image that a question is about.
struct TaskImage {
  std::string name;            ///< as the task's file spells it
  std::filesystem::path file;  ///< where it lies; empty where the task's file holds the image itself
  std::string content;         ///< SHA-256 of the file's bytes, set by check_images(): equal images count as one under any name
  std::string bytes;           ///< the encoded image where there is no file
};

/// A question with what is true.
struct TaskRow {
  std::string id;
  int64_t line = 0;  ///< in the task's file, from 1
  std::vector<TaskImage> images;
  std::string question, reference;
  std::string kind;  ///< rows of a kind share a majority answer and swap images; "None" where the file says nothing
  std::vector<std::pair<std::string, std::string>> groups;  ///< what the row is counted under besides all: breakdown, value
};

/// A row that cannot be asked.
struct UnusableRow {
  std::string id;
  int64_t line = 0;
  std::string image;  ///< its name; empty where no image is to blame
  std::string reason;
};

/// What is asked in one evaluation, whatever form it was read from.
struct Task {
  std::string name;
  std::filesystem::path file;
  std::vector<TaskRow> rows;
  std::vector<UnusableRow> unusable;
  VolumeOptions view;  ///< how its scans are shown
};

/// Reads a JSONL file with a line `{"image", "question", "answer", "kind", "id"}` a row. `image`: a path relative to the file, a list of
/// them, or nothing. `kind` and `id` may be missing (the id is then the line's number). Images must lie below the file's folder, or below
/// `root` where that is given and the file lies in it. Only the first `limit` rows are read. Throws UserError naming file and line, all
/// mistakes of the file at once.
Task read_jsonl_task(const std::string& name, const std::filesystem::path& file, const std::filesystem::path& root = {},
                     std::optional<int64_t> limit = std::nullopt);

/// Reads a CSV file (tab-separated by the name .tsv) with a header: the columns of read_jsonl_task(), of which `image` may hold the image
/// as base64, and options `A` to `E` (or further letters), which follow the question a line each; empty ones, and the word None, are none.
/// `index` counts as `id`. Throws UserError as read_jsonl_task().
Task read_csv_task(const std::string& name, const std::filesystem::path& file, const std::filesystem::path& root = {},
                   std::optional<int64_t> limit = std::nullopt);

/// Either of the two, by the file's name.
Task read_task(const std::string& name, const std::filesystem::path& file, const std::filesystem::path& root = {},
               std::optional<int64_t> limit = std::nullopt);

/// The encoded bytes of an image, wherever they are. Throws UserError.
std::string read_image(const TaskImage& image);

/// Reads and decodes every image once, and moves rows whose images cannot be used to `unusable`. Sets `content` of the others.
/// `on_progress(done, total)` counts image files; it may be called from several threads, one at a time.
void check_images(Task& task, const std::function<void(int64_t done, int64_t total)>& on_progress = {});

/// Throws UserError where more rows are unusable than max(10, 1 % of all), or where no row is left.
void require_usable(const Task& task);

/// Throws UserError where the task has images and the model takes none.
void require_sight(const Task& task, bool model_takes_images);

}  // namespace multimeditron
