#include "evaluation/task.h"

#include <fmt/format.h>

#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

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
    return {.name = name, .file = path_below(root.empty() ? folder : root, relative.empty() ? name : relative.string()), .content = {}};
  } catch (const UserError& error) {
    throw UserError("an image lies outside the task's folder",
                    {.where = name, .found = error.details().found, .fix = "name a folder that holds both with `--data-root`"});
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

TaskRow read_row(std::string_view text, const fs::path& folder, const fs::path& root) {
  Json line;
  try {
    line = Json::parse(text);
  } catch (const Json::parse_error& error) {
    // Its message would quote the line.
    throw UserError("a line is not valid JSON", {.where = fmt::format("byte {} of the line", error.byte), .fix = "mend the line"});
  } catch (const Json::exception&) {
    throw UserError("a line is not valid JSON", {.found = "a number too large to be read", .fix = "mend the line"});
  }
  if (!line.is_object()) throw wrong(fmt::format("a value of type {}", line.type_name()));
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

}  // namespace

Task read_jsonl_task(const std::string& name, const fs::path& file, const fs::path& root, std::optional<int64_t> limit) {
  const MappedFile mapped(file);
  Task task{.name = name, .file = fs::absolute(file).lexically_normal(), .rows = {}, .unusable = {}};
  const fs::path folder = fs::weakly_canonical(task.file.parent_path());
  fs::path whole_root = root.empty() ? fs::path() : fs::weakly_canonical(fs::absolute(root));
  const std::string from_root = folder.lexically_relative(whole_root).string();
  if (from_root.empty() || from_root.starts_with("..")) whole_root.clear();  // the file lies elsewhere

  std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::vector<UserError> mistakes;
  std::unordered_map<std::string, int64_t> line_of;
  for (int64_t number = 1; !text.empty() && mistakes.size() < kShownMistakes; ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (limit && static_cast<int64_t>(task.rows.size()) >= *limit) break;
    const std::string where = fmt::format("{}, line {}", file.string(), number);
    try {
      TaskRow row = read_row(line, folder, whole_root);
      row.line = number;
      if (row.id.empty()) row.id = std::to_string(number);
      const auto [entry, is_new] = line_of.try_emplace(row.id, number);
      if (!is_new)
        throw UserError("two rows have the same id", {.found = fmt::format("the one of line {}", entry->second), .fix = "rename one"});
      task.rows.push_back(std::move(row));
    } catch (const UserError& error) {
      mistakes.push_back(error.at(where));
    }
  }
  if (mistakes.size() == 1) throw mistakes.front();
  if (!mistakes.empty()) throw UserErrors(std::move(mistakes));
  if (task.rows.empty())
    throw UserError("this task has no rows", {.where = file.string(), .fix = fmt::format("write a line a question: {}", kExpected)});
  return task;
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
