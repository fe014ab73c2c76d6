#include <arrow/io/compressed.h>
#include <arrow/io/file.h>
#include <arrow/util/compression.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "data/arrow_rows.h"
#include "data/columns.h"
#include "data/formats.h"
#include "data/json_rows.h"
#include "data/row_index.h"
#include "data/utf8.h"

namespace multimeditron {
namespace {

/// Text shrinks to a tenth, made-up text to a hundredth; past this it is an attack.
constexpr int64_t kAlwaysUnpacked = int64_t{1} << 30, kMostTimes = 100;

constexpr const char* kBlanks = " \t\r\n";

bool is_blank(std::string_view text) {
  return text.find_first_not_of(kBlanks) == std::string_view::npos;
}

/// Byte ranges of the lines that are not blank.
std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    if (!is_blank(text.substr(0, end))) lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// Byte ranges of the items of a JSON array, found by counting brackets outside strings; the items themselves are parsed when asked for.
std::vector<std::string_view> split_array(std::string_view text, const std::string& file) {
  std::vector<std::string_view> items;
  int64_t depth = 0;
  bool in_string = false;
  size_t begin = text.find('[') + 1;
  for (size_t i = begin - 1; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if ((c == ',' && depth == 1) || depth == 0) {
      std::string_view item = text.substr(begin, i - begin);
      item.remove_prefix(std::min(item.find_first_not_of(kBlanks), item.size()));  // its line is the one on which it begins
      if (!item.empty()) items.push_back(item);
      begin = i + 1;
    }
    if (depth == 0) {
      if (is_blank(text.substr(begin))) return items;
      break;
    }
  }
  throw UserError("truncated or damaged JSON file",
                  {.where = file, .found = "an array that does not end with the file", .fix = "copy or make the file again"});
}

/// The text of a file: mapped, or unpacked into memory where its name says that it is compressed.
class TextFile {
 public:
  explicit TextFile(const std::filesystem::path& path) : mapped_(path) {
    const std::string extension = path.extension().string();
    if (extension == ".gz") unpack(arrow::Compression::GZIP);
    if (extension == ".zst") unpack(arrow::Compression::ZSTD);
  }

  std::string_view text() const {
    if (unpacked_) return *unpacked_;
    return {reinterpret_cast<const char*>(mapped_.bytes().data()), mapped_.bytes().size()};
  }
  const std::filesystem::path& path() const { return mapped_.path(); }

 private:
  void unpack(arrow::Compression::type kind) {
    const std::string name = path().string();
    const auto codec = value_or_throw(arrow::util::Codec::Create(kind), name);
    const auto file = value_or_throw(arrow::io::ReadableFile::Open(name), name);
    const auto stream = value_or_throw(arrow::io::CompressedInputStream::Make(codec.get(), file), name);
    const int64_t most = std::max(kAlwaysUnpacked, kMostTimes * static_cast<int64_t>(mapped_.bytes().size()));
    unpacked_ = std::make_unique<std::string>();
    std::string block(size_t{1} << 20, '\0');
    while (true) {
      const int64_t size = value_or_throw(stream->Read(static_cast<int64_t>(block.size()), block.data()), name);
      if (size == 0) return;
      unpacked_->append(block, 0, static_cast<size_t>(size));
      if (static_cast<int64_t>(unpacked_->size()) > most) {
        throw UserError("a compressed data set file unpacks to too much",
                        {.where = name, .found = fmt::format("more than {} MB", most >> 20), .fix = "unpack it first"});
      }
    }
  }

  MappedFile mapped_;
  std::unique_ptr<std::string> unpacked_;  // where rows point stays where it is
};

class JsonDataset : public Dataset, public HasColumns {
 private:
  template <typename Parse>
  auto at_place(int64_t index, Parse parse) const {
    try {
      return parse(rows_[static_cast<size_t>(index)]);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

 public:
  JsonDataset(const std::vector<std::filesystem::path>& paths, std::filesystem::path folder)
      : folder_(std::move(folder)), fingerprint_(fingerprint_of_texts(paths)) {
    files_.reserve(paths.size());
    for (const std::filesystem::path& path : paths) {
      std::string_view text = files_.emplace_back(path).text();
      try {
        refuse_utf16(text);
      } catch (const UserError& error) {
        throw error.at(path.string());
      }
      if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
      const size_t first = text.find_first_not_of(kBlanks);
      const bool is_array = first != std::string_view::npos && text[first] == '[';
      const std::vector<std::string_view> rows = is_array ? split_array(text, path.string()) : split_lines(text);
      rows_.insert(rows_.end(), rows.begin(), rows.end());
      index_.add_part(static_cast<int64_t>(rows.size()));
      count_lines(text, rows);
      refuse_other_kinds(index_.size() - static_cast<int64_t>(rows.size()));
    }
  }

  int64_t size() const override { return index_.size(); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return folder_; }

  std::vector<Column> columns() const override {
    constexpr size_t kRows = 100;
    std::vector<Column> columns;
    for (size_t i = 0; i < std::min(kRows, rows_.size()); ++i) {
      const Json row = Json::parse(rows_[i], nullptr, /*allow_exceptions=*/false);
      if (!row.is_object()) continue;
      for (const auto& [key, value] : row.items()) {
        const bool is_known = std::any_of(columns.begin(), columns.end(), [&name = key](const Column& each) { return each.name == name; });
        if (!is_known && !value.is_null()) columns.push_back({key, value.type_name(), is_json_row_key(key)});
      }
    }
    return columns;
  }

  std::string place(int64_t index) const override {
    return fmt::format("{}, line {}", files_[index_.find(index).first].path().string(), lines_[static_cast<size_t>(index)]);
  }

  Row row(int64_t index) const override {
    return at_place(index, [](std::string_view text) { return row_of_json(parse_row_object(text)); });
  }

 private:
  /// The lines of a file's rows, so that no place has to count from the file's start.
  void count_lines(std::string_view text, const std::vector<std::string_view>& rows) {
    uint32_t line = 1;
    size_t line_end = 0;
    for (const std::string_view& row : rows) {
      const auto begin = static_cast<size_t>(row.data() - text.data());
      for (; (line_end = text.find('\n', line_end)) < begin; ++line_end) ++line;
      lines_.push_back(line);
    }
  }

  /// Throws where none of a file's first rows can be read: that is told at once, not row by row.
  void refuse_other_kinds(int64_t first) const {
    const int64_t end = std::min(first + kFirstRows, index_.size());
    std::optional<UserError> problem;
    for (int64_t index = first; index < end; ++index) {
      try {
        at_place(index, parse_row_object);
        return;
      } catch (const UserError& error) {
        if (!problem) problem = error;
      }
    }
    if (problem) throw *problem;
  }

  std::filesystem::path folder_;
  std::string fingerprint_;
  std::vector<TextFile> files_;
  std::vector<std::string_view> rows_;
  std::vector<uint32_t> lines_;
  RowIndex index_;
};

}  // namespace

std::unique_ptr<Dataset> open_json(const std::vector<std::filesystem::path>& files, const std::filesystem::path& folder) {
  return std::make_unique<JsonDataset>(files, folder);
}

}  // namespace multimeditron
