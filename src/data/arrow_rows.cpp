#include "data/arrow_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <string_view>

#include "base/error.h"
#include "base/log.h"

namespace multimeditron {
namespace {

using arrow::Type;

const char* const kExpected =
    "conversations: list<struct<role: string, content: string>> or text: string; for images modalities: list<struct<type: string, "
    "value>>, "
    "the value being struct<bytes: binary, path: string>, binary or string";

bool holds_strings(const arrow::DataType& type) {
  return type.id() == Type::STRING || type.id() == Type::LARGE_STRING || type.id() == Type::NA;
}

bool holds_bytes(const arrow::DataType& type) {
  return holds_strings(type) || type.id() == Type::BINARY || type.id() == Type::LARGE_BINARY;
}

/// The struct inside a list, or nothing.
const arrow::DataType* struct_of_list(const arrow::DataType& type) {
  if (type.id() != Type::LIST && type.id() != Type::LARGE_LIST) return nullptr;
  const arrow::DataType* item = type.field(0)->type().get();
  return item->id() == Type::STRUCT ? item : nullptr;
}

/// A list whose every occurrence is empty has no item type.
bool is_empty_list(const arrow::DataType& type) {
  return type.id() == Type::NA || ((type.id() == Type::LIST || type.id() == Type::LARGE_LIST) && type.field(0)->type()->id() == Type::NA);
}

template <typename Check>
bool has_field(const arrow::DataType& type, const char* name, Check check) {
  const int index = static_cast<const arrow::StructType&>(type).GetFieldIndex(name);
  return index >= 0 && check(*type.field(index)->type());
}

bool is_conversations(const arrow::DataType& type) {
  if (is_empty_list(type)) return true;
  const arrow::DataType* item = struct_of_list(type);
  return item != nullptr && has_field(*item, "role", holds_strings) && has_field(*item, "content", holds_strings);
}

bool is_attachment_value(const arrow::DataType& type) {
  if (type.id() != Type::STRUCT) return holds_bytes(type);
  return has_field(type, "bytes", holds_bytes) || has_field(type, "path", holds_strings);
}

bool is_modalities(const arrow::DataType& type) {
  if (is_empty_list(type)) return true;
  const arrow::DataType* item = struct_of_list(type);
  return item != nullptr && has_field(*item, "type", holds_strings) && has_field(*item, "value", is_attachment_value);
}

[[noreturn]] void throw_damaged() {
  throw UserError("damaged data set file", {.found = "an offset that points outside its column", .fix = "copy or make the file again"});
}

/// The bytes of a string or binary value; `index` is within the array, its value not null.
template <typename ArrayType>
std::string_view checked_view(const arrow::Array& array, int64_t index) {
  const auto& strings = static_cast<const ArrayType&>(array);
  const int64_t begin = strings.value_offset(index), end = strings.value_offset(index + 1);
  const std::shared_ptr<arrow::Buffer>& data = strings.value_data();
  if (begin < 0 || end < begin || end > (data == nullptr ? 0 : data->size())) throw_damaged();
  return begin == end ? std::string_view()
                      : std::string_view(reinterpret_cast<const char*>(data->data()) + begin, static_cast<size_t>(end - begin));
}

/// Nothing for a null.
std::optional<std::string> read_string(const arrow::Array& array, int64_t index) {
  if (index >= array.length()) throw_damaged();
  if (array.IsNull(index)) return std::nullopt;
  switch (array.type_id()) {
    case Type::STRING:
    case Type::BINARY:
      return std::string(checked_view<arrow::BinaryArray>(array, index));
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return std::string(checked_view<arrow::LargeBinaryArray>(array, index));
    default:
      return std::nullopt;
  }
}

/// The items of a list value: a range of the list's child.
struct Items {
  const arrow::StructArray* structs = nullptr;
  int64_t begin = 0, end = 0;

  /// A field of the items, not sliced to them, so that indices count as begin and end do.
  const arrow::Array& field(const char* name) const {
    const int index = static_cast<const arrow::StructType&>(*structs->type()).GetFieldIndex(name);
    return *structs->field(index);
  }
};

template <typename ArrayType>
Items list_items(const arrow::Array& array, int64_t index) {
  const auto& lists = static_cast<const ArrayType&>(array);
  if (lists.values()->type_id() != Type::STRUCT) return {};
  const Items items{static_cast<const arrow::StructArray*>(lists.values().get()), lists.value_offset(index), lists.value_offset(index + 1)};
  if (items.begin < 0 || items.end < items.begin || items.end > items.structs->length()) throw_damaged();
  return items;
}

/// Empty for a null list or a column without items.
Items read_items(const std::shared_ptr<arrow::Array>& array, int64_t index) {
  if (array == nullptr || array->IsNull(index)) return {};
  if (array->type_id() == Type::LIST) return list_items<arrow::ListArray>(*array, index);
  if (array->type_id() == Type::LARGE_LIST) return list_items<arrow::LargeListArray>(*array, index);
  return {};
}

Message read_message(const Items& items, int64_t item) {
  auto role = read_string(items.field("role"), item), content = read_string(items.field("content"), item);
  if (items.structs->IsNull(item) || !role || !content) {
    throw UserError("a turn without a role or a content", {.where = fmt::format("conversations, turn {}", item - items.begin + 1),
                                                           .found = "null",
                                                           .fix = "give every turn both, or leave the row out"});
  }
  return {std::move(*role), std::move(*content)};
}

Attachment read_attachment(const Items& items, int64_t item) {
  Attachment attachment;
  attachment.type = read_string(items.field("type"), item).value_or("");
  const arrow::Array& value = items.field("value");
  if (value.type_id() == Type::STRUCT) {
    const auto& parts = static_cast<const arrow::StructArray&>(value);
    const auto part = [&](const char* name) {
      const int index = static_cast<const arrow::StructType&>(*parts.type()).GetFieldIndex(name);
      return index < 0 || parts.IsNull(item) ? std::nullopt : read_string(*parts.field(index), item);
    };
    attachment.bytes = part("bytes").value_or("");
    attachment.path = part("path").value_or("");
  } else {
    const bool is_path = holds_strings(*value.type());
    (is_path ? attachment.path : attachment.bytes) = read_string(value, item).value_or("");
  }
  if (items.structs->IsNull(item) || attachment.type.empty() || (attachment.bytes.empty() && attachment.path.empty())) {
    throw UserError("an attachment without a type or a value", {.where = fmt::format("modalities, item {}", item - items.begin + 1),
                                                                .found = "null or empty",
                                                                .fix = "give every attachment both, or leave the row out"});
  }
  return attachment;
}

}  // namespace

namespace {

/// The usual column of the `datasets` library's images is read by no one here.
void warn_of_images(const arrow::Schema& schema, const std::string& file) {
  static std::atomic<bool> told = false;
  if (schema.GetFieldIndex("modalities") >= 0) return;
  for (const auto& field : schema.fields()) {
    const bool holds_bytes =
        field->type()->id() == Type::STRUCT && static_cast<const arrow::StructType&>(*field->type()).GetFieldByName("bytes");
    if (!holds_bytes || told.exchange(true)) continue;
    warn(fmt::format("{}: the images of the column `{}` are not used: they belong in `modalities`, a list of {{type: image, value: ...}}",
                     file, field->name()));
  }
}

}  // namespace

void check_row_schema(const arrow::Schema& schema, const std::string& file) {
  const auto fits = [&](const char* name, bool (*check)(const arrow::DataType&)) {
    const std::vector<int> indices = schema.GetAllFieldIndices(name);
    return indices.empty() || (indices.size() == 1 && check(*schema.field(indices[0])->type()));
  };
  // Images alone are enough for classifiers; a row that lacks its text is bad where one is needed.
  const std::vector<std::string> names = schema.field_names();
  const bool has_content = std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name == "conversations" || name == "text" || name == "modalities";
  });
  if (has_content && fits("conversations", is_conversations) && fits("text", holds_strings) && fits("modalities", is_modalities)) {
    warn_of_images(schema, file);
    return;
  }
  std::string found;
  for (const auto& field : schema.fields()) found += (found.empty() ? "" : ", ") + field->name() + ": " + field->type()->ToString();
  throw UserError("the data set's columns are not those of training samples",
                  {.where = file,
                   .found = fmt::format("{}\n  expected: {}", found.empty() ? "no columns" : found, kExpected),
                   .fix = "rename or convert the columns"});
}

ArrowRows::ArrowRows(const arrow::RecordBatch& batch)
    : size_(batch.num_rows()),
      conversations_(batch.GetColumnByName("conversations")),
      text_(batch.GetColumnByName("text")),
      modalities_(batch.GetColumnByName("modalities")) {
  // Lengths and buffer sizes only; the values' offsets are checked as they are used.
  const arrow::Status status = batch.Validate();
  if (!status.ok()) throw UserError("damaged data set file", {.found = status.message(), .fix = "copy or make the file again"});
}

Row ArrowRows::row(int64_t index) const {
  Row row;
  if (text_ != nullptr) row.text = read_string(*text_, index);
  const Items turns = read_items(conversations_, index);
  for (int64_t item = turns.begin; item < turns.end; ++item) row.conversations.push_back(read_message(turns, item));
  const Items attachments = read_items(modalities_, index);
  for (int64_t item = attachments.begin; item < attachments.end; ++item) row.modalities.push_back(read_attachment(attachments, item));
  return row;
}

}  // namespace multimeditron
