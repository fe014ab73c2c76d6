#include "data/dataset_writer.h"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/ipc/writer.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"

namespace multimeditron {
namespace {

/// Rows of one record batch: what `datasets` writes by default.
constexpr int64_t kRowsPerBatch = 100;

void check(const arrow::Status& status, const std::filesystem::path& file) {
  if (!status.ok()) {
    throw UserError("cannot write a data set file",
                    {.where = file.string(), .found = status.message(), .fix = "free some space or choose another folder"});
  }
}

Json value_feature(const char* dtype) {
  return {{"dtype", dtype}, {"_type", "Value"}};
}

/// The description that `datasets` reads. A list in brackets is understood by all its versions, the type `List` only since 4.
Json features_of(bool is_text) {
  Json features;
  if (is_text) {
    features["text"] = value_feature("string");
  } else {
    features["conversations"] = Json::array({{{"role", value_feature("string")}, {"content", value_feature("string")}}});
  }
  const Json value = {{"bytes", value_feature("binary")}, {"path", value_feature("string")}};
  features["modalities"] = Json::array({{{"type", value_feature("string")}, {"value", value}}});
  return features;
}

std::shared_ptr<arrow::Schema> schema_of(bool is_text) {
  const auto string = arrow::utf8();
  const auto turn = arrow::struct_({arrow::field("role", string), arrow::field("content", string)});
  const auto value = arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", string)});
  const auto attachment = arrow::struct_({arrow::field("type", string), arrow::field("value", value)});
  const auto metadata = arrow::key_value_metadata({"huggingface"}, {Json{{"info", {{"features", features_of(is_text)}}}}.dump()});
  return arrow::schema({is_text ? arrow::field("text", string) : arrow::field("conversations", arrow::list(turn)),
                        arrow::field("modalities", arrow::list(attachment))},
                       metadata);
}

/// Child `index` of a struct's builder, as the kind it is known to be.
template <typename Builder>
Builder& child(arrow::ArrayBuilder& builder, int index) {
  return static_cast<Builder&>(*static_cast<arrow::StructBuilder&>(builder).field_builder(index));
}

arrow::Status append_text(arrow::ArrayBuilder& builder, int index, const std::string& text) {
  return child<arrow::StringBuilder>(builder, index).Append(text);
}

arrow::Status append_conversation(arrow::ListBuilder& list, const Row& row) {
  ARROW_RETURN_NOT_OK(list.Append());
  auto& turns = static_cast<arrow::StructBuilder&>(*list.value_builder());
  for (const Message& message : row.conversations) {
    ARROW_RETURN_NOT_OK(turns.Append());
    ARROW_RETURN_NOT_OK(append_text(turns, 0, message.role));
    ARROW_RETURN_NOT_OK(append_text(turns, 1, message.content));
  }
  return arrow::Status::OK();
}

arrow::Status append_modalities(arrow::ListBuilder& list, const Row& row) {
  ARROW_RETURN_NOT_OK(list.Append());
  auto& attachments = static_cast<arrow::StructBuilder&>(*list.value_builder());
  for (const Attachment& attachment : row.modalities) {
    ARROW_RETURN_NOT_OK(attachments.Append());
    ARROW_RETURN_NOT_OK(append_text(attachments, 0, attachment.type));
    auto& value = child<arrow::StructBuilder>(attachments, 1);
    ARROW_RETURN_NOT_OK(value.Append());
    auto& bytes = child<arrow::BinaryBuilder>(value, 0);
    ARROW_RETURN_NOT_OK(attachment.bytes.empty() ? bytes.AppendNull() : bytes.Append(attachment.bytes));
    auto& path = child<arrow::StringBuilder>(value, 1);
    ARROW_RETURN_NOT_OK(attachment.path.empty() ? path.AppendNull() : path.Append(attachment.path));
  }
  return arrow::Status::OK();
}

}  // namespace

struct DatasetWriter::State {
  std::filesystem::path folder;
  int64_t rows_per_shard;
  std::optional<bool> is_text;
  std::shared_ptr<arrow::Schema> schema;
  std::vector<Row> rows;  // of the batch that is being gathered
  int64_t rows_in_shard = 0;
  std::vector<std::filesystem::path> shards;  // under the names they have until their number is known
  std::shared_ptr<arrow::io::FileOutputStream> file;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> writer;

  template <typename Value>
  Value take(arrow::Result<Value> result) {
    check(result.status(), shards.empty() ? folder : shards.back());
    return result.MoveValueUnsafe();
  }

  void open_shard() {
    shards.push_back(folder / fmt::format("data-{:05}.arrow.partial", shards.size()));
    file = take(arrow::io::FileOutputStream::Open(shards.back().string()));
    writer = take(arrow::ipc::MakeStreamWriter(file, schema));
    rows_in_shard = 0;
  }

  void close_shard() {
    if (writer == nullptr) return;
    check(writer->Close(), shards.back());
    check(file->Close(), shards.back());
    writer = nullptr;
  }

  void write_batch() {
    if (rows.empty()) return;
    if (writer == nullptr) open_shard();
    const auto builder = take(arrow::RecordBatchBuilder::Make(schema, arrow::default_memory_pool()));
    for (const Row& row : rows) {
      check(*is_text ? builder->GetFieldAs<arrow::StringBuilder>(0)->Append(*row.text)
                     : append_conversation(*builder->GetFieldAs<arrow::ListBuilder>(0), row),
            shards.back());
      check(append_modalities(*builder->GetFieldAs<arrow::ListBuilder>(1), row), shards.back());
    }
    check(writer->WriteRecordBatch(*take(builder->Flush())), shards.back());
    rows_in_shard += static_cast<int64_t>(rows.size());
    rows.clear();
  }
};

DatasetWriter::DatasetWriter(std::filesystem::path folder, int64_t rows_per_shard) : state_(std::make_unique<State>()) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code)
    throw UserError("cannot make the data set's folder",
                    {.where = folder.string(), .found = code.message(), .fix = "choose another folder"});
  if (!std::filesystem::is_empty(folder)) {
    throw UserError("the data set's folder is not empty", {.where = folder.string(), .fix = "choose another folder, or remove this one"});
  }
  state_->folder = std::move(folder);
  state_->rows_per_shard = rows_per_shard;
}

DatasetWriter::~DatasetWriter() = default;

void DatasetWriter::add(const Row& row) {
  State& state = *state_;
  const bool is_text = row.text.has_value();
  if (is_text == !row.conversations.empty() || (state.is_text && *state.is_text != is_text)) {
    throw UserError("a row that does not fit the data set",
                    {.where = state.folder.string(), .fix = "give every row a text, or every row a conversation"});
  }
  if (!state.is_text) {
    state.is_text = is_text;
    state.schema = schema_of(is_text);
  }
  state.rows.push_back(row);
  const auto gathered = static_cast<int64_t>(state.rows.size());
  if (gathered < kRowsPerBatch && state.rows_in_shard + gathered < state.rows_per_shard) return;
  state.write_batch();
  if (state.rows_in_shard >= state.rows_per_shard) {
    state.close_shard();
    state.rows_in_shard = 0;
  }
}

void DatasetWriter::close() {
  State& state = *state_;
  if (!state.is_text) throw UserError("a data set without rows", {.where = state.folder.string(), .fix = "add a row before closing it"});
  state.write_batch();
  state.close_shard();

  Json files = Json::array();
  std::string content;
  for (size_t i = 0; i < state.shards.size(); ++i) {
    const std::string name = fmt::format("data-{:05}-of-{:05}.arrow", i, state.shards.size());
    std::filesystem::rename(state.shards[i], state.folder / name);
    files.push_back({{"filename", name}});
    content += sha256_of_file(state.folder / name);
  }
  const Json info = {{"citation", ""}, {"description", ""}, {"features", features_of(*state.is_text)}, {"homepage", ""}, {"license", ""}};
  write_file_atomic(state.folder / "dataset_info.json", info.dump(2));
  const Json description = {{"_data_files", files},       {"_fingerprint", sha256(content).substr(0, 16)},
                            {"_format_columns", nullptr}, {"_format_kwargs", Json::object()},
                            {"_format_type", nullptr},    {"_output_all_columns", false},
                            {"_split", nullptr}};
  // Last: a folder with state.json is whole.
  write_file_atomic(state.folder / "state.json", description.dump(2));
}

}  // namespace multimeditron
