#include "data/arrow_rows.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/log.h"
#include "data/arrow_values.h"
#include "data/formats.h"
#include "data/utf8.h"

namespace multimeditron {
namespace {

using arrow::Type;

const char* const kExpected =
    "conversations: list<struct<role: string, content: string>> or text: string; for images modalities: list<struct<type: string, "
    "value>>, "
    "the value being struct<bytes: binary, path: string>, binary or string; or a column image (one) or images (a list of them)";

/// The columns that a row is made of.
constexpr std::array kRowColumns = {"conversations", "text", "modalities", "image", "images"};

/// A list whose every occurrence is empty has no item type.
bool is_empty_list(const arrow::DataType& type) {
  const arrow::DataType* item = item_type(type);
  return plain_type(type).id() == Type::NA || (item != nullptr && plain_type(*item).id() == Type::NA);
}

/// The type of field `name` of the records in a column: a list of structs, or (as `datasets` stores a Sequence of a dict) a struct of
/// lists.
const arrow::DataType* record_field(const arrow::DataType& type, const char* name) {
  if (const arrow::DataType* item = item_type(type)) return field_type(*item, name);
  const arrow::DataType* list = field_type(type, name);
  return list == nullptr ? nullptr : item_type(*list);
}

bool is_conversations(const arrow::DataType& type) {
  if (is_empty_list(type)) return true;
  const arrow::DataType *role = record_field(type, "role"), *content = record_field(type, "content");
  return role != nullptr && content != nullptr && holds_strings(*role) && holds_strings(*content);
}

/// Bytes, a path, or a struct of either; of a union every kind must be one of these.
bool is_attachment_value(const arrow::DataType& type) {
  const arrow::DataType& plain = plain_type(type);
  if (plain.id() == Type::DENSE_UNION || plain.id() == Type::SPARSE_UNION) {
    return std::all_of(plain.fields().begin(), plain.fields().end(), [](const auto& field) { return is_attachment_value(*field->type()); });
  }
  const arrow::DataType *bytes = field_type(plain, "bytes"), *path = field_type(plain, "path");
  if (plain.id() != Type::STRUCT) return holds_bytes(plain);
  return (bytes != nullptr || path != nullptr) && (bytes == nullptr || holds_bytes(*bytes)) && (path == nullptr || holds_strings(*path));
}

bool is_modalities(const arrow::DataType& type) {
  if (is_empty_list(type)) return true;
  const arrow::DataType *kind = record_field(type, "type"), *value = record_field(type, "value");
  return kind != nullptr && value != nullptr && holds_strings(*kind) && is_attachment_value(*value);
}

/// One image or a list of them; a column of this name that holds something else is none of ours.
bool is_images(const arrow::DataType& type) {
  const arrow::DataType* item = item_type(type);
  return is_attachment_value(item == nullptr ? type : *item);
}

/// Nothing for a null.
std::optional<std::string> read_text(const Cell& cell, const std::string& where) {
  const auto text = bytes_of(cell);
  if (!text) return std::nullopt;
  if (!is_utf8(*text)) {
    throw UserError("a text is not UTF-8",
                    {.where = where, .found = "bytes of another encoding", .fix = "convert the row, or leave it out"});
  }
  return std::string(*text);
}

/// The records of one row, whichever way they are stored: see record_field.
class Records {
 public:
  Records(const arrow::Array& column, int64_t row, std::array<const char*, 2> fields) : fields_(fields) {
    const Cell cell = find_cell(column, row);
    if (cell.is_null()) return;
    is_null_ = false;
    if (cell.type() != Type::STRUCT) {
      items_ = items_of(cell);
      size_ = items_.size();
      return;
    }
    is_struct_of_lists_ = true;
    for (size_t i = 0; i < fields.size(); ++i) lists_[i] = items_of(field_of(cell, fields[i]));
    size_ = lists_[0].size();
    if (lists_[1].size() != size_) {
      throw UserError(fmt::format("the lists `{}` and `{}` differ in length", fields[0], fields[1]),
                      {.found = fmt::format("{} and {}", size_, lists_[1].size()), .fix = "mend the row, or leave it out"});
    }
  }

  bool is_null() const { return is_null_; }
  int64_t size() const { return size_; }
  /// Field `field` (by its position in the constructor's list) of a record.
  Cell get(int64_t record, size_t field) const {
    return is_struct_of_lists_ ? lists_[field][record] : field_of(items_[record], fields_[field]);
  }

 private:
  std::array<const char*, 2> fields_;
  bool is_null_ = true, is_struct_of_lists_ = false;
  Items items_;
  std::array<Items, 2> lists_;
  int64_t size_ = 0;
};

std::vector<Message> read_conversation(const arrow::Array& column, int64_t row) {
  const Records turns(column, row, {"role", "content"});
  std::vector<Message> messages;
  for (int64_t i = 0; i < turns.size(); ++i) {
    const std::string where = fmt::format("conversations, turn {}", i + 1);
    auto role = read_text(turns.get(i, 0), where), content = read_text(turns.get(i, 1), where);
    if (!role || !content) {
      throw UserError("a turn without a role or a content",
                      {.where = where, .found = "null", .fix = "give every turn both, or leave the row out"});
    }
    messages.push_back({std::move(*role), std::move(*content)});
  }
  return messages;
}

/// Into `bytes` and `path` of `attachment`; both stay empty for a null.
void read_value(const Cell& value, const std::string& where, Dataset::Part part, Attachment& attachment) {
  if (value.is_null()) return;
  const auto take_bytes = [&](std::string_view bytes) {
    // Whoever looks at the text alone still sees that there is an image, whose page is not touched.
    attachment.bytes = part == Dataset::Part::kAll ? std::string(bytes) : std::string(bytes.empty() ? 0 : 1, '\0');
  };
  if (value.type() == Type::STRUCT) {
    take_bytes(bytes_of(field_of(value, "bytes")).value_or(std::string_view()));
    attachment.path = read_text(field_of(value, "path"), where).value_or("");
  } else if (holds_strings(*value.array->type())) {
    attachment.path = read_text(value, where).value_or("");
  } else {
    take_bytes(bytes_of(value).value_or(std::string_view()));
  }
}

/// Nothing where the row has no list at all.
std::optional<std::vector<Attachment>> read_modalities(const arrow::Array& column, int64_t row, Dataset::Part part) {
  const Records items(column, row, {"type", "value"});
  if (items.is_null()) return std::nullopt;
  std::vector<Attachment> attachments;
  for (int64_t i = 0; i < items.size(); ++i) {
    const std::string where = fmt::format("modalities, item {}", i + 1);
    Attachment attachment;
    attachment.type = read_text(items.get(i, 0), where).value_or("");
    read_value(items.get(i, 1), where, part, attachment);
    if (attachment.type.empty() || (attachment.bytes.empty() && attachment.path.empty())) {
      throw UserError("an attachment without a type or a value",
                      {.where = where, .found = "null or empty", .fix = "give every attachment both, or leave the row out"});
    }
    attachments.push_back(std::move(attachment));
  }
  return attachments;
}

/// The images of a column `image` or `images`; null ones are none.
void read_images(const arrow::Array& column, int64_t row, const char* name, Dataset::Part part, std::vector<Attachment>& attachments) {
  const Cell cell = find_cell(column, row);
  if (cell.is_null()) return;
  const auto take = [&](const Cell& value, const std::string& where) {
    Attachment attachment{.type = "image", .bytes = {}, .path = {}};
    read_value(value, where, part, attachment);
    if (!attachment.bytes.empty() || !attachment.path.empty()) attachments.push_back(std::move(attachment));
  };
  if (item_type(*cell.array->type()) == nullptr) return take(cell, name);
  const Items items = items_of(cell);
  for (int64_t i = 0; i < items.size(); ++i) take(items[i], fmt::format("{}, item {}", name, i + 1));
}

/// Asks for the pages of a value's bytes, without touching them.
void fetch(const Cell& value) {
  if (value.is_null()) return;
  const std::string_view bytes = bytes_of(value.type() == Type::STRUCT ? field_of(value, "bytes") : value).value_or(std::string_view());
  if (bytes.empty()) return;
  static const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data()) & ~(page - 1);
  const auto end = reinterpret_cast<uintptr_t>(bytes.data()) + bytes.size();
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_WILLNEED);  // a hint: refused, it costs nothing
}

/// Images in a column that no one here reads.
void warn_of_images(const arrow::Schema& schema, const std::string& file) {
  if (schema.GetFieldIndex("modalities") >= 0) return;
  for (const auto& field : schema.fields()) {
    if (is_row_column(field->name()) || field_type(*field->type(), "bytes") == nullptr) continue;
    warn(
        fmt::format("{}: the images of the column `{}` are not used: name it `image`, or make it `modalities`, a list of "
                    "{{type: image, value: ...}}",
                    file, field->name()));
  }
}

}  // namespace

bool is_row_column(const std::string& name) {
  return std::find(kRowColumns.begin(), kRowColumns.end(), name) != kRowColumns.end();
}

void check_row_schema(const arrow::Schema& schema, const std::string& file) {
  const auto has = [&](const char* name) { return schema.GetFieldIndex(name) >= 0; };
  const auto fits = [&](const char* name, bool (*check)(const arrow::DataType&)) {
    const std::vector<int> indices = schema.GetAllFieldIndices(name);
    return indices.empty() || (indices.size() == 1 && check(*schema.field(indices[0])->type()));
  };
  // Images alone are enough for classifiers; a row that lacks its text is bad where one is needed.
  const bool has_images = has("modalities") || (has("image") && fits("image", is_images)) || (has("images") && fits("images", is_images));
  if ((has("conversations") || has("text") || has_images) && fits("conversations", is_conversations) && fits("text", holds_strings) &&
      fits("modalities", is_modalities)) {
    warn_of_images(schema, file);
    return;
  }
  std::string found;
  for (const auto& field : schema.fields()) found += (found.empty() ? "" : ", ") + field->name() + ": " + field->type()->ToString();
  const int turns = schema.GetFieldIndex("conversations");
  const bool is_of_sharegpt = turns >= 0 && record_field(*schema.field(turns)->type(), "from") != nullptr;
  throw UserError("the data set's columns are not those of training samples",
                  {.where = file,
                   .found = fmt::format("{}\n  expected: {}", found.empty() ? "no columns" : found, kExpected),
                   .fix = is_of_sharegpt || has("messages") ? kConvertRows : "rename or convert the columns"});
}

std::vector<Column> columns_of(const arrow::Schema& schema) {
  std::vector<Column> columns;
  for (const auto& field : schema.fields()) columns.push_back({field->name(), field->type()->ToString(), is_row_column(field->name())});
  return columns;
}

ArrowRows::ArrowRows(const arrow::RecordBatch& batch)
    : size_(batch.num_rows()),
      conversations_(batch.GetColumnByName("conversations")),
      text_(batch.GetColumnByName("text")),
      modalities_(batch.GetColumnByName("modalities")),
      image_(batch.GetColumnByName("image")),
      images_(batch.GetColumnByName("images")) {
  // Lengths and buffer sizes only; the values' offsets are checked as they are used.
  const arrow::Status status = batch.Validate();
  if (!status.ok()) throw UserError("damaged data set file", {.found = status.message(), .fix = "copy or make the file again"});
  constexpr int64_t kMostRows = int64_t{1} << 40;  // columns without values may claim any number
  if (size_ > kMostRows) throw_damaged_values();
  for (auto* column : {&image_, &images_}) {
    if (*column != nullptr && !is_images(*(*column)->type())) column->reset();
  }
  for (const auto* column : {&conversations_, &text_, &modalities_, &image_, &images_}) {
    if (*column != nullptr) prepare_for_threads(**column);
  }
}

Row ArrowRows::row(int64_t index, Dataset::Part part) const {
  Row row;
  if (text_ != nullptr) row.text = read_text(find_cell(*text_, index), "text");
  if (conversations_ != nullptr) row.conversations = read_conversation(*conversations_, index);
  auto modalities = modalities_ == nullptr ? std::nullopt : read_modalities(*modalities_, index, part);
  if (modalities) {
    row.modalities = std::move(*modalities);
  } else {
    if (image_ != nullptr) read_images(*image_, index, "image", part, row.modalities);
    if (images_ != nullptr && row.modalities.empty()) read_images(*images_, index, "images", part, row.modalities);
  }
  return row;
}

void ArrowRows::will_need(int64_t index) const {
  try {
    if (modalities_ != nullptr) {
      const Records items(*modalities_, index, {"type", "value"});
      for (int64_t i = 0; i < items.size(); ++i) fetch(items.get(i, 1));
    }
    for (const auto* column : {&image_, &images_}) {
      const Cell cell = *column == nullptr ? Cell() : find_cell(**column, index);
      if (cell.is_null()) continue;
      if (item_type(*cell.array->type()) == nullptr) {
        fetch(cell);
        continue;
      }
      const Items items = items_of(cell);
      for (int64_t i = 0; i < items.size(); ++i) fetch(items[i]);
    }
  } catch (const UserError&) {
    // whoever reads the row is told
  }
}

}  // namespace multimeditron
