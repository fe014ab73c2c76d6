#include "data/json_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "data/formats.h"

namespace multimeditron {
namespace {

const char* const kExpected =
    R"({"conversations": [{"role": ..., "content": ...}, ...]} or {"text": ...}, each with "modalities": [{"type": "image", "value": PATH}, ...] or "image": PATH)";

constexpr std::array kKeys = {"conversations", "text", "modalities", "image", "images"};

UserError wrong(const std::string& where, const std::string& found, const char* fix = "convert the row, or leave it out") {
  return UserError("a JSON row is not a training sample",
                   {.where = where, .found = fmt::format("{}\n  expected: {}", found, kExpected), .fix = fix});
}

/// The value of `key`, or nothing where it is absent or null.
const Json* find(const Json& object, const char* key) {
  const auto entry = object.find(key);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

/// The string `key` of `object`; nothing where it is absent or null. What the row holds stays out of the message.
std::optional<std::string> read_string(const Json& object, const char* key, const std::string& where) {
  const Json* entry = find(object, key);
  if (entry == nullptr) return std::nullopt;
  if (!entry->is_string()) throw wrong(where, fmt::format("`{}` is of type {}", key, entry->type_name()));
  return entry->get<std::string>();
}

/// The list `key` of `object`, nothing where it is absent or null; its items are objects.
const Json* find_list(const Json& object, const char* key) {
  const Json* entry = find(object, key);
  if (entry == nullptr) return nullptr;
  if (!entry->is_array()) throw wrong(key, fmt::format("of type {}", entry->type_name()));
  for (const Json& item : *entry) {
    if (!item.is_object()) throw wrong(key, fmt::format("an item of type {}", item.type_name()));
  }
  return entry;
}

/// The path that a string is or an object with `path` holds.
std::string read_path(const Json& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object()) return read_string(value, "path", where).value_or("");
  throw wrong(where, fmt::format("an image of type {}", value.type_name()));
}

Attachment read_attachment(const Json& item, const std::string& where) {
  const Json* value = find(item, "value");
  Attachment attachment{.type = read_string(item, "type", where).value_or(""), .bytes = {}, .path = {}};
  if (value != nullptr) attachment.path = read_path(*value, where);
  if (attachment.type.empty() || attachment.path.empty()) throw wrong(where, "an attachment without a type or a path");
  return attachment;
}

/// The images of `image` or `images`: one, or a list of them; null ones are none.
void read_images(const Json& object, const char* key, std::vector<Attachment>& attachments) {
  const Json* entry = find(object, key);
  if (entry == nullptr) return;
  const auto take = [&](const Json& value, const std::string& where) {
    if (value.is_null()) return;
    Attachment attachment{.type = "image", .bytes = {}, .path = read_path(value, where)};
    if (attachment.path.empty()) throw wrong(where, "an image without a path");
    attachments.push_back(std::move(attachment));
  };
  if (!entry->is_array()) return take(*entry, key);
  size_t number = 0;
  for (const Json& item : *entry) take(item, fmt::format("{}, item {}", key, ++number));
}

}  // namespace

bool is_json_row_key(std::string_view key) {
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end();
}

Json parse_row_object(std::string_view text) {
  Json json;
  try {
    json = Json::parse(text);
  } catch (const Json::parse_error& error) {
    // Its message would quote the row.
    throw UserError("a row is not valid JSON",
                    {.where = fmt::format("byte {} of the row", error.byte), .fix = "mend the row, or leave it out"});
  } catch (const Json::exception&) {
    throw UserError("a row is not valid JSON", {.found = "a number too large to be read", .fix = "mend the row, or leave it out"});
  }
  if (!json.is_object()) throw wrong("", fmt::format("a value of type {}", json.type_name()));
  if (std::any_of(kKeys.begin(), kKeys.end(), [&](const char* key) { return json.contains(key); })) return json;
  constexpr size_t kMostKeys = 20;
  std::string keys;
  for (const auto& [key, value] : json.items()) {
    if (keys.size() < kMostKeys * 20) keys += (keys.empty() ? "" : ", ") + key;
  }
  if (json.contains("messages")) throw wrong("", fmt::format("the keys {}, where `messages` are OpenAI's", keys), kConvertRows);
  throw wrong("", keys.empty() ? "no keys" : "the keys " + keys);
}

Row row_of_json(const Json& json) {
  Row row;
  row.text = read_string(json, "text", "");
  if (const Json* turns = find_list(json, "conversations")) {
    for (const Json& turn : *turns) {
      const std::string where = fmt::format("conversations, turn {}", row.conversations.size() + 1);
      auto role = read_string(turn, "role", where), content = read_string(turn, "content", where);
      if (turn.contains("from") && turn.contains("value")) {
        throw wrong(where, "a turn of `from` and `value`, as ShareGPT has them: docs/data.md converts it (Rows of other programs)",
                    kConvertRows);
      }
      if (!role || !content) throw wrong(where, "a turn without a role or a content");
      row.conversations.push_back({std::move(*role), std::move(*content)});
    }
  }
  if (const Json* items = find_list(json, "modalities")) {
    for (const Json& item : *items) {
      row.modalities.push_back(read_attachment(item, fmt::format("modalities, item {}", row.modalities.size() + 1)));
    }
    return row;
  }
  read_images(json, "image", row.modalities);
  if (row.modalities.empty()) read_images(json, "images", row.modalities);
  return row;
}

}  // namespace multimeditron
