#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "data/columns.h"
#include "data/csv.h"
#include "data/formats.h"
#include "data/json_rows.h"
#include "data/row_index.h"
#include "data/utf8.h"

namespace multimeditron {
namespace {

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

/// Adds the file to what `body` throws.
template <typename Body>
auto in_file(const std::string& file, Body body) {
  try {
    return body();
  } catch (const UserError& error) {
    throw error.at(file);
  }
}

/// One file: its header, and where its records begin.
struct CsvFile {
  explicit CsvFile(const std::filesystem::path& path) : mapped(path), separator(csv_separator(path.filename().string())) {
    in_file(path.string(), [&] {
      refuse_utf16(text_of(mapped));
      CsvReader reader(text_of(mapped), separator);
      if (!reader.next(header)) throw UserError("an empty CSV file", {.fix = "begin it with a line of column names"});
      if (std::none_of(header.begin(), header.end(), [](const std::string& name) { return is_json_row_key(name); })) {
        std::string found;
        for (const std::string& name : header) found += (found.empty() ? "" : ", ") + name;
        throw UserError("the data set's columns are not those of training samples",
                        {.where = "line 1",
                         .found = found + "\n  expected: text (or conversations as JSON), and image: the path of the row's image",
                         .fix = "rename the columns"});
      }
      // A record that cannot be used is a bad row; where none of the first ones can, this is another kind of file.
      std::vector<std::string> fields;
      std::optional<UserError> problem;
      bool has_good = false;
      while (true) {
        const size_t offset = reader.offset();
        try {
          if (!reader.next(fields)) break;
          check_size(fields);
          has_good = true;
        } catch (const UserError& error) {
          if (reader.is_lost()) throw;
          if (!problem) problem = error.details().where.empty() ? error.at(fmt::format("line {}", reader.line())) : error;
        }
        records.push_back({offset, reader.line()});
        if (!has_good && std::ssize(records) == kFirstRows) break;
      }
      if (!has_good && problem) throw *problem;
      return 0;
    });
  }

  void check_size(const std::vector<std::string>& fields) const {
    if (fields.size() == header.size()) return;
    throw UserError("a record has another number of fields than the header",
                    {.found = fmt::format("{}, not {}", fields.size(), header.size()),
                     .fix = "mend the line; fields that hold separators or line breaks belong in quotes"});
  }

  struct Record {
    size_t offset;
    int64_t line;
  };
  MappedFile mapped;
  char separator;
  std::vector<std::string> header;
  std::vector<Record> records;
};

/// Cells as a JSON row has them: an empty one is null, lists are written as JSON.
Json object_of(const std::vector<std::string>& header, const std::vector<std::string>& fields) {
  Json object = Json::object();
  for (size_t i = 0; i < header.size(); ++i) {
    if (!is_json_row_key(header[i])) continue;
    const bool is_list = header[i] == "conversations" || header[i] == "modalities" || header[i] == "images";
    if (fields[i].empty()) {
      object[header[i]] = nullptr;
    } else if (!is_list) {
      object[header[i]] = fields[i];
    } else {
      object[header[i]] = Json::parse(fields[i], nullptr, /*allow_exceptions=*/false);
      if (object[header[i]].is_discarded())
        throw UserError("a cell is not valid JSON", {.where = fmt::format("column {}", header[i]), .fix = "mend the row, or leave it out"});
    }
  }
  return object;
}

class CsvDataset : public Dataset, public HasColumns {
 public:
  CsvDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder)
      : folder_(std::move(folder)), fingerprint_(fingerprint_of_texts(paths)) {
    files_.reserve(paths.size());
    for (const std::filesystem::path& path : paths) index_.add_part(static_cast<int64_t>(files_.emplace_back(path).records.size()));
  }

  int64_t size() const override { return index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }

  std::vector<Column> columns() const override {
    std::vector<Column> columns;
    for (const std::string& name : files_.front().header) columns.push_back({name, "text", is_json_row_key(name)});
    return columns;
  }

  std::string place(int64_t index) const override {
    const auto [file, row] = index_.find(index);
    return fmt::format("{}, line {}", files_[file].mapped.path().string(), files_[file].records[static_cast<size_t>(row)].line);
  }

  Row row(int64_t index) const override {
    const auto [number, row] = index_.find(index);
    const CsvFile& file = files_[number];
    return in_file(place(index), [&, row = row] {
      CsvReader reader(text_of(file.mapped).substr(file.records[static_cast<size_t>(row)].offset), file.separator);
      std::vector<std::string> fields;
      try {
        if (!reader.next(fields)) throw UserError("the file has changed meanwhile", {.fix = "leave data sets alone while they are read"});
      } catch (const UserError& error) {
        throw UserError(error.message(), {.fix = error.details().fix});  // its line counts from the record
      }
      file.check_size(fields);
      if (!std::all_of(fields.begin(), fields.end(), [](const std::string& field) { return is_utf8(field); }))
        throw UserError("a text is not UTF-8", {.found = "bytes of another encoding", .fix = "convert the file to UTF-8"});
      return row_of_json(object_of(file.header, fields));
    });
  }

 private:
  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<CsvFile> files_;
  RowIndex index_;
};

}  // namespace

std::unique_ptr<Dataset> open_csv(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder) {
  return std::make_unique<CsvDataset>(files, folder);
}

}  // namespace multimeditron
