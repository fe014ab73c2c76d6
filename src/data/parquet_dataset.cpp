#include <arrow/api.h>
#include <arrow/io/file.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "data/arrow_rows.h"
#include "data/decoded_cache.h"
#include "data/formats.h"
#include "data/row_index.h"

namespace multimeditron {
namespace {

struct ParquetFile {
  std::string name;
  std::shared_ptr<arrow::io::MemoryMappedFile> mapping;
  std::shared_ptr<parquet::FileMetaData> metadata;
  std::vector<int> columns;  // the leaves that a row needs
  std::vector<Column> all_columns;
  int64_t size_bytes = 0;
};

/// libparquet throws in places where it could return a status.
template <typename Body>
auto with_parquet_errors(const std::string& name, Body body) {
  try {
    return body();
  } catch (const parquet::ParquetException& error) {
    throw UserError("cannot read a Parquet file", {.where = name, .found = error.what(), .fix = "copy or make the file again"});
  }
}

std::unique_ptr<parquet::arrow::FileReader> make_reader(const ParquetFile& file, arrow::MemoryPool* pool) {
  auto reader = parquet::ParquetFileReader::Open(file.mapping, parquet::ReaderProperties(pool), file.metadata);
  return value_or_throw(parquet::arrow::FileReader::Make(pool, std::move(reader)), file.name);
}

ParquetFile open_file(const std::filesystem::path& path) {
  ParquetFile file{.name = path.string()};
  file.mapping = value_or_throw(arrow::io::MemoryMappedFile::Open(file.name, arrow::io::FileMode::READ), file.name);
  file.size_bytes = value_or_throw(file.mapping->GetSize(), file.name);
  return with_parquet_errors(file.name, [&] {
    BoundedPool pool(most_unpacked_bytes(file.size_bytes));
    const auto reader = make_reader(file, &pool);
    file.metadata = reader->parquet_reader()->metadata();
    std::shared_ptr<arrow::Schema> schema;
    if (const arrow::Status status = reader->GetSchema(&schema); !status.ok()) {
      throw UserError("cannot read a Parquet file", {.where = file.name, .found = status.message(), .fix = "copy or make the file again"});
    }
    check_row_schema(*schema, file.name);
    file.all_columns = columns_of(*schema);
    for (int i = 0; i < file.metadata->num_columns(); ++i) {
      const std::string root = file.metadata->schema()->Column(i)->path()->ToDotVector()[0];
      if (is_row_column(root)) file.columns.push_back(i);
    }
    return file;
  });
}

// What a damaged file says may be anything; sums of these stay in range.
constexpr int64_t kMostRowsOfGroup = int64_t{1} << 40, kMostBytesOfGroup = int64_t{1} << 40;

class ParquetDataset : public Dataset, public HasColumns {
 public:
  ParquetDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder)
      : folder_(std::move(folder)), fingerprint_(fingerprint_of_files(paths)) {
    for (const std::filesystem::path& path : paths) {
      files_.push_back(open_file(path));
      const parquet::FileMetaData& metadata = *files_.back().metadata;
      for (int i = 0; i < metadata.num_row_groups(); ++i) {
        const auto group = metadata.RowGroup(i);
        if (group->num_rows() < 0 || group->num_rows() > kMostRowsOfGroup) {
          throw UserError("damaged Parquet file",
                          {.where = path.string(), .found = "an impossible number of rows", .fix = "copy or make the file again"});
        }
        groups_.push_back({files_.size() - 1, i, std::clamp<int64_t>(group->total_byte_size(), 0, kMostBytesOfGroup)});
        group_index_.add_part(group->num_rows());
      }
      file_index_.add_part(group_index_.size() - file_index_.size());
    }
    int64_t total_bytes = 0;
    for (const GroupOfFile& group : groups_) total_bytes += group.size_bytes;
    if (cache_.expect(total_bytes) && !groups_.empty()) {
      note(
          fmt::format("{}: each row of these Parquet files, read in shuffled order, costs its whole row group ({} MB on average); "
                      "`multimeditron preprocess` makes a copy that is read without that",
                      folder_.string(), total_bytes / static_cast<int64_t>(groups_.size()) >> 20));
    }
  }

  int64_t size() const override { return group_index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }
  std::vector<Column> columns() const override { return files_.front().all_columns; }

  std::string place(int64_t index) const override {
    const auto [file, row] = file_index_.find(index);
    return fmt::format("{}, row {}", files_[file].name, row);
  }

  Row row(int64_t index) const override { return read(index, Part::kAll); }
  Row text_row(int64_t index) const override { return read(index, Part::kText); }

 private:
  struct GroupOfFile {
    size_t file;
    int number;
    int64_t size_bytes;
  };

  Row read(int64_t index, Part part) const {
    const auto [number, row_of_group] = group_index_.find(index);
    try {
      const std::shared_ptr<DecodedRows> group =
          cache_.get(number, groups_[number].size_bytes, [&, number = number](DecodedRows& rows) { unpack(groups_[number], rows); });
      if (row_of_group >= group->index.size()) throw UserError("damaged Parquet file", {.found = "a row group shorter than it says"});
      const auto [batch, row] = group->index.find(row_of_group);
      return group->batches[batch].row(row, part);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

  void unpack(const GroupOfFile& source, DecodedRows& group) const {
    const ParquetFile& file = files_[source.file];
    group.pool = std::make_shared<BoundedPool>(most_unpacked_bytes(file.size_bytes));
    with_parquet_errors("", [&] {
      const auto reader_of_file = make_reader(file, group.pool.get());
      const std::shared_ptr<arrow::Table> table = value_or_throw(reader_of_file->ReadRowGroup(source.number, file.columns), "");
      // More than 2 GB of strings come in several chunks.
      arrow::TableBatchReader reader(*table);
      std::vector<ArrowRows> batches;
      RowIndex index;
      while (const std::shared_ptr<arrow::RecordBatch> batch = value_or_throw(reader.Next(), "")) {
        batches.emplace_back(*batch);
        index.add_part(batch->num_rows());
      }
      group.batches = std::move(batches);
      group.index = std::move(index);
      return 0;
    });
  }

  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<ParquetFile> files_;
  std::vector<GroupOfFile> groups_;
  RowIndex group_index_, file_index_;
  mutable DecodedCache cache_;
};

}  // namespace

std::unique_ptr<Dataset> open_parquet(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder) {
  return std::make_unique<ParquetDataset>(files, folder);
}

}  // namespace multimeditron
