#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/formats.h"
#include "data/row_index.h"

namespace multimeditron {
namespace {

const char* const kExpected =
    R"({"conversations": [{"role": ..., "content": ...}, ...]} or {"text": ...}, each with "modalities": [{"type": "image", "value": PATH}, ...])";

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// Byte ranges of the lines that are not blank.
std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (!is_blank(text.substr(0, end))) lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// Byte ranges of the items of a JSON array, found by counting brackets outside strings; the items themselves are parsed when asked for.
std::vector<std::string_view> split_array(std::string_view text, const std::string& file) {
  std::vector<std::string_view> items;
  int64_t depth = 0;
  bool in_string = false;
  size_t begin = text.find('[') + 1;
  for (size_t i = begin - 1; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if ((c == ',' && depth == 1) || depth == 0) {
      const std::string_view item = text.substr(begin, i - begin);
      if (!is_blank(item)) items.push_back(item);
      begin = i + 1;
    }
    if (depth == 0) {
      if (is_blank(text.substr(begin))) return items;
      break;
    }
  }
  throw UserError("truncated or damaged JSON file",
                  {.where = file, .found = "an array that does not end with the file", .fix = "copy or make the file again"});
}

UserError wrong(const std::string& where, const std::string& found) {
  return UserError(
      "a JSON row is not a training sample",
      {.where = where, .found = fmt::format("{}\n  expected: {}", found, kExpected), .fix = "convert the row, or leave it out"});
}

/// The string `key` of `object`; nothing where it is absent or null. What the row holds stays out of the message.
std::optional<std::string> read_string(const Json& object, const char* key, const std::string& where) {
  const auto entry = object.find(key);
  if (entry == object.end() || entry->is_null()) return std::nullopt;
  if (!entry->is_string()) throw wrong(where, fmt::format("`{}` is of type {}", key, entry->type_name()));
  return entry->get<std::string>();
}

/// The list `key` of `object`, empty where it is absent or null; its items are objects.
const Json& read_list(const Json& object, const char* key) {
  static const Json empty = Json::array();
  const auto entry = object.find(key);
  if (entry == object.end() || entry->is_null()) return empty;
  if (!entry->is_array()) throw wrong(key, fmt::format("of type {}", entry->type_name()));
  for (const Json& item : *entry) {
    if (!item.is_object()) throw wrong(key, fmt::format("an item of type {}", item.type_name()));
  }
  return *entry;
}

Attachment read_attachment(const Json& item, const std::string& where) {
  Attachment attachment;
  attachment.type = read_string(item, "type", where).value_or("");
  const auto value = item.find("value");
  if (value != item.end() && value->is_object()) {
    attachment.path = read_string(*value, "path", where).value_or("");
  } else {
    attachment.path = read_string(item, "value", where).value_or("");
  }
  if (attachment.type.empty() || attachment.path.empty()) throw wrong(where, "an attachment without a type or a path");
  return attachment;
}

/// The row as an object with at least one of the known columns: what makes a file of rows.
Json parse_object(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    // Its message would quote the row.
    throw UserError("a row is not valid JSON",
                    {.where = fmt::format("byte {} of the row", error.byte), .fix = "mend the row, or leave it out"});
  }
  if (!json.is_object()) throw wrong("", fmt::format("a value of type {}", json.type_name()));
  if (!json.contains("conversations") && !json.contains("text") && !json.contains("modalities")) {
    std::string keys;
    for (const auto& [key, value] : json.items()) keys += (keys.empty() ? "" : ", ") + key;
    throw wrong("", keys.empty() ? "no keys" : "the keys " + keys);
  }
  return json;
}

Row parse_row(std::string_view text) {
  const Json json = parse_object(text);
  Row row;
  row.text = read_string(json, "text", "");
  for (const Json& turn : read_list(json, "conversations")) {
    const std::string where = fmt::format("conversations, turn {}", row.conversations.size() + 1);
    auto role = read_string(turn, "role", where), content = read_string(turn, "content", where);
    if (!role || !content) throw wrong(where, "a turn without a role or a content");
    row.conversations.push_back({std::move(*role), std::move(*content)});
  }
  for (const Json& item : read_list(json, "modalities")) {
    row.modalities.push_back(read_attachment(item, fmt::format("modalities, item {}", row.modalities.size() + 1)));
  }
  return row;
}

class JsonDataset : public Dataset {
 private:
  template <typename Parse>
  auto at_place(int64_t index, Parse parse) const {
    try {
      return parse(rows_[static_cast<size_t>(index)]);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

 public:
  JsonDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder)
      : folder_(std::move(folder)), fingerprint_(fingerprint_of_files(paths)) {
    files_.reserve(paths.size());
    for (const std::filesystem::path& path : paths) {
      files_.emplace_back(path);
      std::string_view text = text_of(files_.back());
      if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
      const size_t first = text.find_first_not_of(" \t\r\n");
      const bool is_array = first != std::string_view::npos && text[first] == '[';
      const std::vector<std::string_view> rows = is_array ? split_array(text, path.string()) : split_lines(text);
      rows_.insert(rows_.end(), rows.begin(), rows.end());
      index_.add_part(static_cast<int64_t>(rows.size()));
      // A file of another kind is told at once, not row by row.
      if (!rows.empty()) at_place(index_.size() - static_cast<int64_t>(rows.size()), parse_object);
    }
  }

  int64_t size() const override { return index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }

  std::string place(int64_t index) const override {
    const auto [file, row] = index_.find(index);
    const std::string_view before(
        reinterpret_cast<const char*>(files_[file].bytes().data()),
        static_cast<size_t>(rows_[static_cast<size_t>(index)].data() - reinterpret_cast<const char*>(files_[file].bytes().data())));
    return fmt::format("{}, line {}", files_[file].path().string(), 1 + std::count(before.begin(), before.end(), '\n'));
  }

  Row row(int64_t index) const override { return at_place(index, parse_row); }

 private:
  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<MappedFile> files_;
  std::vector<std::string_view> rows_;
  RowIndex index_;
};

}  // namespace

std::unique_ptr<Dataset> open_json(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder) {
  return std::make_unique<JsonDataset>(files, folder);
}

}  // namespace multimeditron
