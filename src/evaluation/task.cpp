#include "evaluation/task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>
#include <unordered_map>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/csv.h"
#include "data/utf8.h"
#include "image/image.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShownMistakes = 20;
constexpr const char* kExpected = R"({"image": "scan.png", "question": "...", "answer": "...", "kind": "..."})";

UserError wrong(const std::string& found) {
  return UserError("a line is not a question with its answer",
                   {.found = found, .fix = fmt::format("write a line as {}, or leave it out", kExpected)});
}

/// The text `key` of the line; nothing where it is absent or null. Numbers are taken as they are written. What the line holds stays out
/// of messages.
std::optional<std::string> read_text(const Json& line, const char* key, bool takes_numbers = false) {
  const auto entry = line.find(key);
  if (entry == line.end() || entry->is_null()) return std::nullopt;
  if (takes_numbers && entry->is_number()) return entry->dump();
  if (!entry->is_string()) throw wrong(fmt::format("`{}` is of type {}", key, entry->type_name()));
  return entry->get<std::string>();
}

std::string require_text(const Json& line, const char* key, bool takes_numbers = false) {
  const auto text = read_text(line, key, takes_numbers);
  if (!text) throw wrong(fmt::format("no `{}`", key));
  if (text->find_first_not_of(" \t\r\n") == std::string::npos) throw wrong(fmt::format("an empty `{}`", key));
  return *text;
}

TaskImage find_image(const std::string& name, const fs::path& folder, const fs::path& root) {
  try {
    const fs::path relative = root.empty() ? fs::path(name) : (folder / name).lexically_relative(root);
    return {.name = name,
            .file = path_below(root.empty() ? folder : root, relative.empty() ? name : relative.string()),
            .content = {},
            .bytes = {}};
  } catch (const UserError& error) {
    throw UserError("an image lies outside the task's folder",
                    {.where = name,
                     .found = error.details().found,
                     .fix = "copy it there, or name a folder that holds both with `--data-root` of `evaluate`"});
  }
}

std::vector<TaskImage> read_images(const Json& line, const fs::path& folder, const fs::path& root) {
  std::vector<TaskImage> images;
  const auto entry = line.find("image");
  if (entry == line.end() || entry->is_null()) return images;
  if (!entry->is_array() && !entry->is_string()) throw wrong(fmt::format("`image` is of type {}", entry->type_name()));
  for (const Json& each : entry->is_array() ? *entry : Json::array({*entry})) {
    if (!each.is_string()) throw wrong(fmt::format("`image` holds an item of type {}", each.type_name()));
    images.push_back(find_image(each.get<std::string>(), folder, root));
  }
  return images;
}

/// The row that an object describes.
TaskRow read_row(const Json& line, const fs::path& folder, const fs::path& root) {
  TaskRow row;
  row.images = read_images(line, folder, root);
  row.question = require_text(line, "question");
  row.reference = require_text(line, "answer", true);
  row.id = read_text(line, "id", true).value_or("");
  row.kind = read_text(line, "kind").value_or("");
  if (row.kind.empty()) row.kind = "None";
  row.groups = {{"kind", row.kind}};
  return row;
}

Json parse_line(std::string_view text) {
  try {
    Json line = Json::parse(text);
    if (!line.is_object()) throw wrong(fmt::format("a value of type {}", line.type_name()));
    return line;
  } catch (const Json::parse_error& error) {
    // Its message would quote the line.
    throw UserError("a line is not valid JSON", {.where = fmt::format("byte {} of the line", error.byte), .fix = "mend the line"});
  } catch (const Json::exception&) {
    throw UserError("a line is not valid JSON", {.found = "a number too large to be read", .fix = "mend the line"});
  }
}

/// Gathers a task's rows, and its mistakes, of which the first ones are thrown together.
class Rows {
 public:
  Rows(const std::string& name, const fs::path& file, const fs::path& root, std::optional<int64_t> limit)
      : task_{.name = name, .file = fs::absolute(file).lexically_normal(), .rows = {}, .unusable = {}}, file_(file), limit_(limit) {
    folder_ = fs::weakly_canonical(task_.file.parent_path());
    root_ = root.empty() ? fs::path() : fs::weakly_canonical(fs::absolute(root));
    const std::string from_root = folder_.lexically_relative(root_).string();
    if (from_root.empty() || from_root.starts_with("..")) root_.clear();  // the file lies elsewhere
  }

  bool is_full() const { return mistakes_.size() >= kShownMistakes || (limit_ && static_cast<int64_t>(task_.rows.size()) >= *limit_); }
  const fs::path& folder() const { return folder_; }
  const fs::path& root() const { return root_; }

  /// `make()` gives the row of a line, or throws.
  template <typename Make>
  void add(int64_t line, Make make) {
    try {
      TaskRow row = make();
      row.line = line;
      if (row.id.empty()) row.id = std::to_string(line);
      const auto [entry, is_new] = line_of_.try_emplace(row.id, line);
      if (!is_new)
        throw UserError("two rows have the same id", {.found = fmt::format("the one of line {}", entry->second), .fix = "rename one"});
      task_.rows.push_back(std::move(row));
    } catch (const UserError& error) {
      mistakes_.push_back(error.at(fmt::format("{}, line {}", file_.string(), line)));
    }
  }

  Task finish(const std::string& expected) {
    if (mistakes_.size() == 1) throw mistakes_.front();
    if (!mistakes_.empty()) throw UserErrors(std::move(mistakes_));
    if (task_.rows.empty()) throw UserError("this task has no rows", {.where = file_.string(), .fix = expected});
    return std::move(task_);
  }

 private:
  Task task_;
  fs::path file_, folder_, root_;
  std::optional<int64_t> limit_;
  std::vector<UserError> mistakes_;
  std::unordered_map<std::string, int64_t> line_of_;
};

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// A single letter names an option.
bool is_option(const std::string& column) {
  return column.size() == 1 && column[0] >= 'A' && column[0] <= 'Z';
}

/// A record as the object that a JSON line would be; the image's bytes, where it holds them, go to `bytes`.
Json object_of(const std::vector<std::string>& header, const std::vector<std::string>& fields, std::string& bytes) {
  if (fields.size() != header.size()) {
    throw UserError("a record has another number of fields than the header",
                    {.found = fmt::format("{}, not {}", fields.size(), header.size()),
                     .fix = "mend the line; fields that hold separators or line breaks belong in quotes"});
  }
  Json line = Json::object();
  std::string options;
  for (size_t i = 0; i < header.size(); ++i) {
    const std::string& name = header[i];
    if (!is_utf8(fields[i])) throw UserError("a text is not UTF-8", {.fix = "convert the file to UTF-8"});
    if (fields[i].empty()) continue;
    if (is_option(name)) {
      if (fields[i] != "None") options += fmt::format("\n{}: {}", name, fields[i]);
    } else if (name == "index") {
      if (!line.contains("id")) line["id"] = fields[i];
    } else if (name == "image") {
      // No path is as long as a picture; a short one that is base64 by chance is still looked for as a file.
      constexpr size_t kLongestPath = 512;
      const auto decoded = fields[i].size() > kLongestPath ? decode_base64(fields[i]) : std::nullopt;
      if (decoded)
        bytes = *decoded;
      else
        line["image"] = fields[i];
    } else {
      line[name] = fields[i];
    }
  }
  if (!options.empty() && line.contains("question")) line["question"] = line["question"].get<std::string>() + "\nOptions:" + options;
  return line;
}

}  // namespace

Task read_jsonl_task(const std::string& name, const fs::path& file, const fs::path& root, std::optional<int64_t> limit) {
  const MappedFile mapped(file);
  Rows rows(name, file, root, limit);
  std::string_view text = text_of(mapped);
  try {
    refuse_utf16(text);
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  for (int64_t number = 1; !text.empty() && !rows.is_full(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    rows.add(number, [&] { return read_row(parse_line(line), rows.folder(), rows.root()); });
  }
  return rows.finish(fmt::format("write a line a question: {}", kExpected));
}

Task read_csv_task(const std::string& name, const fs::path& file, const fs::path& root, std::optional<int64_t> limit) {
  const MappedFile mapped(file);
  Rows rows(name, file, root, limit);
  try {
    refuse_utf16(text_of(mapped));
    CsvReader reader(text_of(mapped), csv_separator(file.filename().string()));
    std::vector<std::string> header, fields;
    reader.next(header);
    for (const char* column : {"question", "answer"}) {
      if (std::find(header.begin(), header.end(), column) == header.end()) {
        throw UserError(fmt::format("no column `{}`", column),
                        {.where = "line 1", .found = fmt::format("{}", fmt::join(header, ", ")), .fix = "rename the columns"});
      }
    }
    while (!rows.is_full() && reader.next(fields)) {
      rows.add(reader.line(), [&] {
        std::string bytes;
        TaskRow row = read_row(object_of(header, fields, bytes), rows.folder(), rows.root());
        if (!bytes.empty())
          row.images.push_back({.name = fmt::format("line {}", reader.line()), .file = {}, .content = {}, .bytes = std::move(bytes)});
        return row;
      });
    }
  } catch (const UserError& error) {
    throw error.at(file.string());
  }
  return rows.finish("write a header with question, answer, image and a line a question");
}

Task read_task(const std::string& name, const fs::path& file, const fs::path& root, std::optional<int64_t> limit) {
  const std::string extension = file.extension().string();
  const bool is_csv = extension == ".csv" || extension == ".tsv";
  return is_csv ? read_csv_task(name, file, root, limit) : read_jsonl_task(name, file, root, limit);
}

std::string read_image(const TaskImage& image) {
  return image.file.empty() ? image.bytes : read_regular_file(image.file, require_image, kFirstBytes);
}

void require_usable(const Task& task) {
  const size_t bad = task.unusable.size(), all = bad + task.rows.size();
  if (!task.rows.empty() && (bad <= 10 || bad * 100 <= all)) return;
  std::string found = fmt::format("{} of {} rows cannot be asked", bad, all);
  for (size_t i = 0; i < std::min<size_t>(bad, 3); ++i)
    found += fmt::format("\n  line {}: {} {}", task.unusable[i].line, task.unusable[i].image, task.unusable[i].reason);
  throw UserError(fmt::format("too much of the task `{}` is unusable", task.name),
                  {.where = task.file.string(), .found = found, .fix = "mend or remove these rows; `image` is relative to the file"});
}

void require_sight(const Task& task, bool model_takes_images) {
  if (model_takes_images) return;
  for (const TaskRow& row : task.rows) {
    if (row.images.empty()) continue;
    throw UserError("this model takes no images", {.where = fmt::format("{}, line {}", task.file.string(), row.line),
                                                   .found = "a question on an image, and a plain language model",
                                                   .fix = "name a checkpoint with a vision encoder"});
  }
}

}  // namespace multimeditron
