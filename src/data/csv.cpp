#include "data/csv.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"

namespace multimeditron {

CsvReader::CsvReader(std::string_view text, char separator) : text_(text), separator_(separator) {
  if (text_.starts_with("\xef\xbb\xbf")) offset_ = 3;
}

bool CsvReader::skip_line_end() {
  if (offset_ >= text_.size() || (text_[offset_] != '\n' && text_[offset_] != '\r')) return false;
  offset_ += text_.substr(offset_).starts_with("\r\n") ? 2 : 1;
  ++line_;
  return true;
}

std::string CsvReader::quoted_field() {
  const int64_t line_of_quote = line_;
  std::string field;
  while (true) {
    const size_t quote = text_.find('"', offset_ + 1);
    if (quote == std::string_view::npos) {
      is_lost_ = true;
      throw UserError("a quote is never closed",
                      {.where = fmt::format("line {}", line_of_quote), .fix = "close it, or write \"\" for a quote inside quotes"});
    }
    const std::string_view part = text_.substr(offset_ + 1, quote - offset_ - 1);
    field += part;
    line_ += std::count(part.begin(), part.end(), '\n');
    offset_ = quote + 1;
    if (offset_ >= text_.size() || text_[offset_] != '"') return field;
    field += '"';  // a doubled one
  }
}

bool CsvReader::next(std::vector<std::string>& fields) {
  fields.clear();
  while (skip_line_end()) {
  }
  if (offset_ >= text_.size()) return false;
  line_of_record_ = line_;
  while (true) {
    if (offset_ < text_.size() && text_[offset_] == '"') {
      fields.push_back(quoted_field());
    } else {
      size_t end = offset_;
      while (end < text_.size() && text_[end] != separator_ && text_[end] != '\n' && text_[end] != '\r') ++end;
      fields.emplace_back(text_.substr(offset_, end - offset_));
      offset_ = end;
    }
    if (offset_ >= text_.size() || skip_line_end()) return true;
    if (text_[offset_] != separator_) {
      offset_ = std::min(text_.find_first_of("\r\n", offset_), text_.size());
      throw UserError("text behind a closing quote",
                      {.where = fmt::format("line {}", line_), .fix = "put the whole field into quotes, with \"\" for a quote inside"});
    }
    ++offset_;
  }
}

char csv_separator(const std::string& file_name) {
  return file_name.ends_with(".tsv") ? '\t' : ',';
}

}  // namespace multimeditron
