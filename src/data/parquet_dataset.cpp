#include <arrow/api.h>
#include <arrow/io/file.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/exception.h>
#include <parquet/file_reader.h>

#include <algorithm>
#include <list>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/log.h"
#include "data/arrow_rows.h"
#include "data/formats.h"
#include "data/row_index.h"

namespace multimeditron {
namespace {

/// Decoded row groups are kept up to this size (the one in use always).
constexpr int64_t kCacheBytes = int64_t{512} << 20;

struct RowGroup {
  std::once_flag read;
  std::vector<ArrowRows> batches;
  RowIndex index;
};

/// Row groups by number, the least recently used ones dropped.
class RowGroupCache {
 public:
  /// `size_bytes`: what the group will take.
  std::shared_ptr<RowGroup> get(size_t number, int64_t size_bytes) {
    const std::lock_guard lock(mutex_);
    if (const auto found = groups_.find(number); found != groups_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return recent_.front().group;
    }
    recent_.push_front({number, size_bytes, std::make_shared<RowGroup>()});
    groups_[number] = recent_.begin();
    total_bytes_ += size_bytes;
    while (total_bytes_ > kCacheBytes && recent_.size() > 1) {
      total_bytes_ -= recent_.back().size_bytes;
      groups_.erase(recent_.back().number);
      recent_.pop_back();  // whoever still reads from it holds it
    }
    return recent_.front().group;
  }

 private:
  struct Entry {
    size_t number;
    int64_t size_bytes;
    std::shared_ptr<RowGroup> group;
  };
  std::mutex mutex_;
  std::list<Entry> recent_;
  std::map<size_t, std::list<Entry>::iterator> groups_;
  int64_t total_bytes_ = 0;
};

struct ParquetFile {
  std::string name;
  std::shared_ptr<arrow::io::MemoryMappedFile> mapping;
  std::shared_ptr<parquet::FileMetaData> metadata;
  std::vector<int> columns;  // the leaves that a row needs
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

std::unique_ptr<parquet::arrow::FileReader> make_reader(const ParquetFile& file) {
  auto reader = parquet::ParquetFileReader::Open(file.mapping, parquet::default_reader_properties(), file.metadata);
  return value_or_throw(parquet::arrow::FileReader::Make(arrow::default_memory_pool(), std::move(reader)), file.name);
}

ParquetFile open_file(const std::filesystem::path& path) {
  ParquetFile file{path.string(), nullptr, nullptr, {}};
  file.mapping = value_or_throw(arrow::io::MemoryMappedFile::Open(file.name, arrow::io::FileMode::READ), file.name);
  return with_parquet_errors(file.name, [&] {
    const auto reader = make_reader(file);
    file.metadata = reader->parquet_reader()->metadata();
    std::shared_ptr<arrow::Schema> schema;
    if (const arrow::Status status = reader->GetSchema(&schema); !status.ok()) {
      throw UserError("cannot read a Parquet file", {.where = file.name, .found = status.message(), .fix = "copy or make the file again"});
    }
    check_row_schema(*schema, file.name);
    for (int i = 0; i < file.metadata->num_columns(); ++i) {
      const std::string root = file.metadata->schema()->Column(i)->path()->ToDotVector()[0];
      if (std::find(kRowColumns.begin(), kRowColumns.end(), root) != kRowColumns.end()) file.columns.push_back(i);
    }
    return file;
  });
}

class ParquetDataset : public Dataset {
 public:
  ParquetDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder)
      : folder_(std::move(folder)), fingerprint_(fingerprint_of_files(paths)) {
    for (const std::filesystem::path& path : paths) {
      files_.push_back(open_file(path));
      const parquet::FileMetaData& metadata = *files_.back().metadata;
      for (int i = 0; i < metadata.num_row_groups(); ++i) {
        const auto group = metadata.RowGroup(i);
        groups_.push_back({files_.size() - 1, i, group->total_byte_size()});
        group_index_.add_part(group->num_rows());
      }
      file_index_.add_part(group_index_.size() - file_index_.size());
    }
    int64_t total_bytes = 0;
    for (const GroupOfFile& group : groups_) total_bytes += group.size_bytes;
    if (total_bytes > kCacheBytes) {
      note(
          fmt::format("{}: each row of these Parquet files, read in shuffled order, costs its whole row group ({} MB on average); "
                      "the same data written by `datasets.save_to_disk` is read without that",
                      folder_.string(), total_bytes / static_cast<int64_t>(groups_.size()) >> 20));
    }
  }

  int64_t size() const override { return group_index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }

  std::string place(int64_t index) const override {
    const auto [file, row] = file_index_.find(index);
    return fmt::format("{}, row {}", files_[file].name, row);
  }

  Row row(int64_t index) const override {
    const auto [number, row_of_group] = group_index_.find(index);
    try {
      const std::shared_ptr<RowGroup> group = cache_.get(number, groups_[number].size_bytes);
      std::call_once(group->read, [&] { read(groups_[number], *group); });
      if (row_of_group >= group->index.size()) throw UserError("damaged Parquet file", {.found = "a row group shorter than it says"});
      const auto [batch, row] = group->index.find(row_of_group);
      return group->batches[batch].row(row);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

 private:
  struct GroupOfFile {
    size_t file;
    int number;
    int64_t size_bytes;
  };

  void read(const GroupOfFile& source, RowGroup& group) const {
    const ParquetFile& file = files_[source.file];
    with_parquet_errors("", [&] {
      const std::shared_ptr<arrow::Table> table = value_or_throw(make_reader(file)->ReadRowGroup(source.number, file.columns), "");
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
  mutable RowGroupCache cache_;
};

}  // namespace

std::unique_ptr<Dataset> open_parquet(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder) {
  return std::make_unique<ParquetDataset>(files, folder);
}

}  // namespace multimeditron
