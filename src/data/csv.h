#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace multimeditron {

/// The records of a CSV text as RFC 4180 has them: fields in quotes may hold separators, line ends and doubled quotes; a quote inside a
/// field without quotes is a character as others. Lines end with LF, CR LF or CR; empty ones are passed over, and so is a byte order mark.
class CsvReader {
 public:
  /// Refers to `text`, which must outlive it.
  CsvReader(std::string_view text, char separator);

  /// The next record's fields, unquoted; false at the end. Throws UserError (its place the line): a quote that is not closed, which takes
  /// the rest of the text with it, or text behind a closing one, after which the next line may be read.
  bool next(std::vector<std::string>& fields);
  /// Whether a quote that is not closed was met.
  bool is_lost() const { return is_lost_; }
  /// The line on which the last record began, from 1.
  int64_t line() const { return line_of_record_; }
  /// Where the next record will be read from.
  size_t offset() const { return offset_; }

 private:
  bool skip_line_end();
  std::string quoted_field();

  std::string_view text_;
  char separator_;
  bool is_lost_ = false;
  size_t offset_ = 0;
  int64_t line_ = 1, line_of_record_ = 0;
};

/// Tab for the extension .tsv, else a comma.
char csv_separator(const std::string& file_name);

}  // namespace multimeditron
