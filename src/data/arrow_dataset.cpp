#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "data/arrow_rows.h"
#include "data/formats.h"
#include "data/parallel.h"
#include "data/row_index.h"

namespace multimeditron {
namespace {

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

struct ArrowFile {
  std::shared_ptr<arrow::io::MemoryMappedFile> mapping;
  std::vector<ArrowRows> batches;
};

ArrowFile read_batches(const std::filesystem::path& path) {
  const std::string name = path.string();
  ArrowFile file;
  file.mapping = value_or_throw(arrow::io::MemoryMappedFile::Open(name, arrow::io::FileMode::READ), name);
  const auto start = value_or_throw(file.mapping->ReadAt(0, std::min<int64_t>(8, value_or_throw(file.mapping->GetSize(), name))), name);
  if (start->size() == 0) throw UserError("empty data set file", {.where = name, .fix = "copy or make the file again"});
  const bool has_index = start->size() >= 6 && std::memcmp(start->data(), "ARROW1", 6) == 0;
  try {
    if (has_index) {
      const auto reader = value_or_throw(arrow::ipc::RecordBatchFileReader::Open(file.mapping), name);
      check_row_schema(*reader->schema(), name);
      for (int i = 0; i < reader->num_record_batches(); ++i) file.batches.emplace_back(*value_or_throw(reader->ReadRecordBatch(i), name));
      return file;
    }
    const auto reader = value_or_throw(arrow::ipc::RecordBatchStreamReader::Open(file.mapping), name);
    check_row_schema(*reader->schema(), name);
    while (const std::shared_ptr<arrow::RecordBatch> batch = value_or_throw(reader->Next(), name)) file.batches.emplace_back(*batch);
    check_end_mark(*file.mapping, name);
  } catch (const UserError& error) {
    if (error.details().where.empty()) throw error.at(name);
    throw;
  }
  return file;
}

class ArrowDataset : public Dataset {
 public:
  ArrowDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder, const std::string& declared_fingerprint)
      : paths_(paths), folder_(std::move(folder)), fingerprint_(declared_fingerprint + fingerprint_of_files(paths)), files_(paths.size()) {
    for_each_parallel(static_cast<int64_t>(paths.size()), 8,
                      [&](int64_t i) { files_[static_cast<size_t>(i)] = read_batches(paths_[static_cast<size_t>(i)]); });
    for (const ArrowFile& file : files_) {
      int64_t num_rows = 0;
      for (const ArrowRows& batch : file.batches) {
        batch_index_.add_part(batch.size());
        batches_.push_back(&batch);
        num_rows += batch.size();
      }
      file_index_.add_part(num_rows);
    }
  }

  int64_t size() const override { return batch_index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }

  std::string place(int64_t index) const override {
    const auto [file, row] = file_index_.find(index);
    return fmt::format("{}, row {}", paths_[file].string(), row);
  }

  Row row(int64_t index) const override {
    const auto [batch, row] = batch_index_.find(index);
    try {
      return batches_[batch]->row(row);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

 private:
  std::vector<std::filesystem::path> paths_;
  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<ArrowFile> files_;
  std::vector<const ArrowRows*> batches_;
  RowIndex batch_index_, file_index_;
};

}  // namespace

std::unique_ptr<Dataset> open_arrow(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder,
                                    const std::string& declared_fingerprint) {
  return std::make_unique<ArrowDataset>(files, folder, declared_fingerprint);
}

}  // namespace multimeditron
