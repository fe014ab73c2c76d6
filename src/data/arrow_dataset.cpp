#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/ipc/dictionary.h>
#include <arrow/ipc/reader.h>
#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "data/arrow_rows.h"
#include "data/decoded_cache.h"
#include "data/formats.h"
#include "data/parallel.h"
#include "data/row_index.h"

namespace multimeditron {
namespace {

using BatchPointer = std::shared_ptr<arrow::RecordBatch>;

/// Throws unless the stream was ended by its writer: a file cut between two batches would silently lose the rest.
void check_end_mark(arrow::io::MemoryMappedFile& file, const std::string& name) {
  static constexpr unsigned char kEndMark[8] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
  const int64_t end = value_or_throw(file.Tell(), name);
  if (end >= 8) {
    const auto last = value_or_throw(file.ReadAt(end - 8, 8), name);
    // Before Arrow 0.15 the mark was four zeros alone.
    const auto first = value_or_throw(file.ReadAt(0, 4), name);
    const bool is_old = std::memcmp(first->data(), kEndMark, 4) != 0;
    const size_t skipped = is_old ? 4 : 0;
    if (last->size() == 8 && std::memcmp(last->data() + skipped, kEndMark + skipped, 8 - skipped) == 0) return;
  }
  throw UserError("truncated data set file",
                  {.where = name, .found = "an Arrow stream without its end mark", .fix = "copy or make the file again"});
}

bool needs_dictionaries(const arrow::DataType& type) {
  if (type.id() == arrow::Type::EXTENSION) return needs_dictionaries(*static_cast<const arrow::ExtensionType&>(type).storage_type());
  return type.id() == arrow::Type::DICTIONARY ||
         std::any_of(type.fields().begin(), type.fields().end(), [](const auto& field) { return needs_dictionaries(*field->type()); });
}

/// A batch of a file: its rows where they lie in the mapping, else where to find it again.
struct Batch {
  std::optional<ArrowRows> rows;
  int64_t num_rows = 0, unpacked_bytes = 0;
  int64_t place = 0;  ///< offset in a stream, number in a file with an index
};

struct ArrowFile {
  std::string name;
  std::shared_ptr<arrow::io::MemoryMappedFile> mapping;
  std::shared_ptr<BoundedPool> pool;  // of what is not mapped: dictionaries and the batches that need them, unpacked
  std::shared_ptr<arrow::Schema> schema;
  bool has_index = false;  ///< the file format, not the stream
  std::vector<Batch> batches;
};

arrow::ipc::IpcReadOptions options_of(BoundedPool& pool) {
  arrow::ipc::IpcReadOptions options;
  options.memory_pool = &pool;
  options.use_threads = false;
  options.ensure_alignment = arrow::ipc::Alignment::kDataTypeSpecificAlignment;  // other writers may not align
  return options;
}

/// Notes the batch, and keeps it unless it was unpacked into memory and can be found again.
void keep(ArrowFile& file, const arrow::RecordBatch& record_batch, int64_t held_before, int64_t place, bool can_be_dropped) {
  ArrowRows rows(record_batch);
  Batch batch{.rows = {}, .num_rows = rows.size(), .unpacked_bytes = file.pool->bytes_allocated() - held_before, .place = place};
  if (batch.unpacked_bytes <= 0 || !can_be_dropped) batch.rows = std::move(rows);
  file.batches.push_back(std::move(batch));
}

void read_indexed(ArrowFile& file) {
  const auto reader = value_or_throw(arrow::ipc::RecordBatchFileReader::Open(file.mapping, options_of(*file.pool)), file.name);
  file.schema = reader->schema();
  check_row_schema(*file.schema, file.name);
  const bool can_be_dropped = !needs_dictionaries(*arrow::struct_(file.schema->fields()));
  for (int i = 0; i < reader->num_record_batches(); ++i) {
    const int64_t held = file.pool->bytes_allocated();
    const BatchPointer batch = value_or_throw(reader->ReadRecordBatch(i), file.name);
    keep(file, *batch, held, i, can_be_dropped);
  }
}

void read_stream(ArrowFile& file) {
  const auto reader = value_or_throw(arrow::ipc::RecordBatchStreamReader::Open(file.mapping, options_of(*file.pool)), file.name);
  file.schema = reader->schema();
  check_row_schema(*file.schema, file.name);
  const bool can_be_dropped = !needs_dictionaries(*arrow::struct_(file.schema->fields()));
  while (true) {
    const int64_t held = file.pool->bytes_allocated(), place = value_or_throw(file.mapping->Tell(), file.name);
    const BatchPointer batch = value_or_throw(reader->Next(), file.name);
    if (batch == nullptr) break;
    keep(file, *batch, held, place, can_be_dropped);
  }
  check_end_mark(*file.mapping, file.name);
}

ArrowFile open_file(const std::filesystem::path& path) {
  ArrowFile file;
  file.name = path.string();
  file.mapping = value_or_throw(arrow::io::MemoryMappedFile::Open(file.name, arrow::io::FileMode::READ), file.name);
  const int64_t size = value_or_throw(file.mapping->GetSize(), file.name);
  const auto start = value_or_throw(file.mapping->ReadAt(0, std::min<int64_t>(8, size)), file.name);
  if (start->size() == 0) throw UserError("empty data set file", {.where = file.name, .fix = "copy or make the file again"});
  file.pool = std::make_shared<BoundedPool>(most_unpacked_bytes(size));
  file.has_index = start->size() >= 6 && std::memcmp(start->data(), "ARROW1", 6) == 0;
  try {
    file.has_index ? read_indexed(file) : read_stream(file);
  } catch (const UserError& error) {
    if (error.details().where.empty()) throw error.at(file.name);
    throw;
  }
  return file;
}

/// Batch `place` once more.
BatchPointer read_again(const ArrowFile& file, int64_t place, BoundedPool& pool) {
  if (file.has_index) {
    const auto reader = value_or_throw(arrow::ipc::RecordBatchFileReader::Open(file.mapping, options_of(pool)), "");
    return value_or_throw(reader->ReadRecordBatch(static_cast<int>(place)), "");
  }
  const int64_t size = value_or_throw(file.mapping->GetSize(), "");
  const auto stream = value_or_throw(arrow::io::RandomAccessFile::GetStream(file.mapping, place, size - place), "");
  const auto message = value_or_throw(arrow::ipc::ReadMessage(stream.get(), &pool), "");
  if (message == nullptr) throw UserError("damaged data set file", {.found = "a batch that is there no more"});
  const arrow::ipc::DictionaryMemo no_dictionaries;
  return value_or_throw(arrow::ipc::ReadRecordBatch(*message, file.schema, &no_dictionaries, options_of(pool)), "");
}

class ArrowDataset : public Dataset, public HasColumns {
 public:
  ArrowDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder, const std::string& declared_fingerprint)
      : paths_(paths), folder_(std::move(folder)), fingerprint_(declared_fingerprint + fingerprint_of_files(paths)), files_(paths.size()) {
    for_each_parallel(static_cast<int64_t>(paths.size()), 8,
                      [&](int64_t i) { files_[static_cast<size_t>(i)] = open_file(paths_[static_cast<size_t>(i)]); });
    for (const ArrowFile& file : files_) {
      int64_t num_rows = 0;
      for (const Batch& batch : file.batches) {
        batch_index_.add_part(batch.num_rows);
        batches_.push_back({&file, &batch});
        num_rows += batch.num_rows;
      }
      file_index_.add_part(num_rows);
    }
  }

  int64_t size() const override { return batch_index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }
  std::vector<Column> columns() const override { return columns_of(*files_.front().schema); }

  std::string place(int64_t index) const override {
    const auto [file, row] = file_index_.find(index);
    return fmt::format("{}, row {}", paths_[file].string(), row);
  }

  Row row(int64_t index) const override { return read(index, Part::kAll); }
  Row text_row(int64_t index) const override { return read(index, Part::kText); }

  /// Batches that were unpacked into memory are not looked at.
  void will_need(std::span<const int64_t> rows) const override {
    for (const int64_t index : rows) {
      const auto [number, row] = batch_index_.find(index);
      if (const Batch& batch = *batches_[number].batch; batch.rows && batch.unpacked_bytes <= 0) batch.rows->will_need(row);
    }
  }

 private:
  struct BatchOfFile {
    const ArrowFile* file;
    const Batch* batch;
  };

  Row read(int64_t index, Part part) const {
    const auto [number, row] = batch_index_.find(index);
    try {
      const auto& [file, batch] = batches_[number];
      if (batch->rows) return batch->rows->row(row, part);
      const std::shared_ptr<DecodedRows> group =
          cache_.get(number, batch->unpacked_bytes, [&, file = file, batch = batch](DecodedRows& rows) {
            rows.pool = std::make_shared<BoundedPool>(most_unpacked_bytes(value_or_throw(file->mapping->GetSize(), "")));
            rows.batches = {ArrowRows(*read_again(*file, batch->place, *rows.pool))};
          });
      if (row >= group->batches[0].size()) throw UserError("damaged data set file", {.found = "a batch that has changed meanwhile"});
      return group->batches[0].row(row, part);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

  std::vector<std::filesystem::path> paths_;
  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<ArrowFile> files_;
  std::vector<BatchOfFile> batches_;
  RowIndex batch_index_, file_index_;
  mutable DecodedCache cache_;
};

}  // namespace

std::unique_ptr<Dataset> open_arrow(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                                    const std::string& declared_fingerprint) {
  return std::make_unique<ArrowDataset>(files, folder, declared_fingerprint);
}

}  // namespace multimeditron
