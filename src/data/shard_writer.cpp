#include "data/shard_writer.h"

#include <arrow/api.h>
#include <arrow/io/interfaces.h>
#include <arrow/ipc/writer.h>
#include <parquet/arrow/writer.h>
#include <parquet/exception.h>

#include <exception>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace multimeditron {
namespace {

/// A record batch (of Parquet: a row group) ends at either: what `datasets` writes by default, or what a reader of one row has to unpack.
constexpr int64_t kRowsPerBatch = 100, kBytesPerBatch = int64_t{32} << 20;

Json value_feature(const char* dtype) {
  return {{"dtype", dtype}, {"_type", "Value"}};
}

std::shared_ptr<arrow::Schema> schema_of(RowColumns columns) {
  const auto string = arrow::utf8();
  const auto turn = arrow::struct_({arrow::field("role", string), arrow::field("content", string)});
  const auto value = arrow::struct_({arrow::field("bytes", arrow::binary()), arrow::field("path", string)});
  const auto attachment = arrow::struct_({arrow::field("type", string), arrow::field("value", value)});
  arrow::FieldVector fields;
  if (columns.text) fields.push_back(arrow::field("text", string));
  if (columns.conversations) fields.push_back(arrow::field("conversations", arrow::list(turn)));
  fields.push_back(arrow::field("modalities", arrow::list(attachment)));
  return arrow::schema(fields, arrow::key_value_metadata({"huggingface"}, {Json{{"info", {{"features", features_of(columns)}}}}.dump()}));
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

/// The file, with a digest of what went into it. Arrow takes no exceptions: one is kept until the writer's caller asks.
class HashedFile : public arrow::io::OutputStream {
 public:
  explicit HashedFile(const std::filesystem::path& file) : writer_(file) {}

  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, int64_t size) override {
    const std::span<const std::byte> bytes(static_cast<const std::byte*>(data), static_cast<size_t>(size));
    return guarded([&] {
      writer_.write(bytes);
      hash_.update(bytes);
      size_ += size;
    });
  }
  arrow::Status Close() override {
    if (std::exchange(is_closed_, true)) return arrow::Status::OK();
    return guarded([&] { writer_.close(); });
  }
  arrow::Result<int64_t> Tell() const override { return size_; }
  bool closed() const override { return is_closed_; }

  void rethrow() const {
    if (fault_ != nullptr) std::rethrow_exception(fault_);
  }
  std::string digest() { return hash_.finish(); }
  int64_t size() const { return size_; }

 private:
  template <typename Body>
  arrow::Status guarded(Body body) {
    try {
      body();
      return arrow::Status::OK();
    } catch (const UserError&) {
      fault_ = std::current_exception();
      return arrow::Status::IOError("refused");
    }
  }

  FileWriter writer_;
  Sha256 hash_;
  int64_t size_ = 0;
  bool is_closed_ = false;
  std::exception_ptr fault_;
};

/// Images do not shrink, and no one looks for one by its bytes.
std::shared_ptr<parquet::WriterProperties> parquet_properties() {
  const std::string images = "modalities.list.element.value.bytes";
  return parquet::WriterProperties::Builder()
      .compression(parquet::Compression::ZSTD)
      ->compression(images, parquet::Compression::UNCOMPRESSED)
      ->disable_dictionary(images)
      ->disable_statistics(images)
      ->build();
}

int64_t bytes_of(const Row& row) {
  size_t bytes = row.text ? row.text->size() : 0;
  for (const Message& message : row.conversations) bytes += message.content.size();
  for (const Attachment& attachment : row.modalities) bytes += attachment.bytes.size();
  return static_cast<int64_t>(bytes);
}

}  // namespace

/// A list in brackets is understood by all versions of `datasets`, the type `List` only since 4.
Json features_of(RowColumns columns) {
  Json features;
  if (columns.text) features["text"] = value_feature("string");
  if (columns.conversations)
    features["conversations"] = Json::array({{{"role", value_feature("string")}, {"content", value_feature("string")}}});
  const Json value = {{"bytes", value_feature("binary")}, {"path", value_feature("string")}};
  features["modalities"] = Json::array({{{"type", value_feature("string")}, {"value", value}}});
  return features;
}

struct ShardWriter::State {
  std::filesystem::path path;
  RowColumns columns;
  std::shared_ptr<arrow::Schema> schema;
  std::shared_ptr<HashedFile> file;
  std::shared_ptr<arrow::ipc::RecordBatchWriter> arrow_writer;
  std::unique_ptr<parquet::arrow::FileWriter> parquet_writer;
  std::unique_ptr<arrow::RecordBatchBuilder> builder;
  int64_t rows = 0, rows_in_batch = 0, bytes_in_batch = 0;

  void check(const arrow::Status& status) const {
    if (status.ok()) return;
    file->rethrow();
    throw UserError("cannot write a data set file",
                    {.where = path.string(), .found = status.message(), .fix = "free some space or choose another folder"});
  }

  template <typename Value>
  Value take(arrow::Result<Value> result) const {
    check(result.status());
    return result.MoveValueUnsafe();
  }

  arrow::Status append(const Row& row) {
    int column = 0;
    if (columns.text) {
      auto& text = *builder->GetFieldAs<arrow::StringBuilder>(column++);
      ARROW_RETURN_NOT_OK(row.text ? text.Append(*row.text) : text.AppendNull());
    }
    if (columns.conversations) {
      auto& turns = *builder->GetFieldAs<arrow::ListBuilder>(column++);
      ARROW_RETURN_NOT_OK(row.conversations.empty() && columns.text ? turns.AppendNull() : append_conversation(turns, row));
    }
    return append_modalities(*builder->GetFieldAs<arrow::ListBuilder>(column), row);
  }

  void write_batch() {
    if (rows_in_batch == 0) return;
    const std::shared_ptr<arrow::RecordBatch> batch = take(builder->Flush());
    try {
      if (arrow_writer != nullptr) {
        check(arrow_writer->WriteRecordBatch(*batch));
      } else {
        check(parquet_writer->WriteTable(*take(arrow::Table::FromRecordBatches({batch})), batch->num_rows()));
      }
    } catch (const parquet::ParquetException& error) {
      check(arrow::Status::IOError(error.what()));
    }
    rows_in_batch = bytes_in_batch = 0;
  }
};

ShardWriter::ShardWriter(std::filesystem::path file, ShardFormat format, RowColumns columns) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.path = std::move(file);
  state.columns = columns;
  state.schema = schema_of(columns);
  state.file = std::make_shared<HashedFile>(state.path);
  state.builder = state.take(arrow::RecordBatchBuilder::Make(state.schema, arrow::default_memory_pool()));
  if (format == ShardFormat::kArrow) {
    state.arrow_writer = state.take(arrow::ipc::MakeStreamWriter(state.file, state.schema));
  } else {
    const auto properties = parquet::ArrowWriterProperties::Builder().store_schema()->build();
    state.parquet_writer = state.take(
        parquet::arrow::FileWriter::Open(*state.schema, arrow::default_memory_pool(), state.file, parquet_properties(), properties));
  }
}

ShardWriter::~ShardWriter() = default;

void ShardWriter::add(const Row& row) {
  State& state = *state_;
  state.check(state.append(row));
  ++state.rows;
  state.bytes_in_batch += bytes_of(row);
  if (++state.rows_in_batch >= kRowsPerBatch || state.bytes_in_batch >= kBytesPerBatch) state.write_batch();
}

int64_t ShardWriter::rows() const {
  return state_->rows;
}

ShardWriter::Written ShardWriter::close() {
  State& state = *state_;
  state.write_batch();
  try {
    state.check(state.arrow_writer != nullptr ? state.arrow_writer->Close() : state.parquet_writer->Close());
  } catch (const parquet::ParquetException& error) {
    state.check(arrow::Status::IOError(error.what()));
  }
  state.check(state.file->Close());
  return {.rows = state.rows, .bytes = state.file->size(), .sha256 = state.file->digest()};
}

void write_saved_folder_files(const std::filesystem::path& folder, RowColumns columns, const std::vector<std::string>& shards,
                              const std::string& fingerprint) {
  const Json info = {{"citation", ""}, {"description", ""}, {"features", features_of(columns)}, {"homepage", ""}, {"license", ""}};
  write_file_atomic(folder / "dataset_info.json", info.dump(2));
  Json files = Json::array();
  for (const std::string& shard : shards) files.push_back({{"filename", shard}});
  const Json description = {
      {"_data_files", files},    {"_fingerprint", fingerprint},  {"_format_columns", nullptr}, {"_format_kwargs", Json::object()},
      {"_format_type", nullptr}, {"_output_all_columns", false}, {"_split", nullptr}};
  // Last: a folder with state.json is whole.
  write_file_atomic(folder / "state.json", description.dump(2));
}

}  // namespace multimeditron
