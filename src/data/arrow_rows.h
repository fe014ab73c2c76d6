#pragma once

#include <arrow/api.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/columns.h"
#include "data/dataset.h"

namespace multimeditron {

/// Throws UserError (with `file` as its place) unless `schema` has a column that samples are made of, each such column being of a type that
/// ArrowRows reads.
void check_row_schema(const arrow::Schema& schema, const std::string& file);

/// Whether ArrowRows reads this column of a checked schema.
bool is_row_column(const std::string& name);

/// The columns of a schema.
std::vector<Column> columns_of(const arrow::Schema& schema);

/// Reads rows out of one record batch whose schema has been checked. Strings and images are copied only for the row that is asked for.
/// Every offset is checked, so that a damaged file gives an error and not a crash. Const calls are thread-safe.
class ArrowRows {
 public:
  explicit ArrowRows(const arrow::RecordBatch& batch);
  int64_t size() const { return size_; }
  /// Throws UserError without a place.
  Row row(int64_t index, Dataset::Part part) const;
  /// Asks the system to fetch the row's images, for a batch that lies in a mapped file.
  void will_need(int64_t index) const;

 private:
  int64_t size_;
  std::shared_ptr<arrow::Array> conversations_, text_, modalities_, image_, images_;
};

/// `result`'s value, or a UserError that names `file`. What Arrow says is shown as found.
template <typename Result>
auto value_or_throw(Result&& result, const std::string& file) {
  if (!result.ok()) {
    throw UserError("cannot read a data set file",
                    {.where = file, .found = result.status().message(), .fix = "copy or make the file again"});
  }
  return std::forward<Result>(result).MoveValueUnsafe();
}

}  // namespace multimeditron
