#pragma once

#include <string>
#include <vector>

#include "data/dataset.h"

namespace multimeditron {

/// What a file's rows are made of.
struct Column {
  std::string name, type;
  bool is_used = false;  ///< else it is passed over
};

/// A data set whose files say what their columns are.
class HasColumns {
 public:
  virtual ~HasColumns() = default;
  /// Columns of the first file, or keys of its first rows.
  virtual std::vector<Column> columns() const = 0;
};

/// Those of `dataset`; empty where it has none.
inline std::vector<Column> columns_of(const Dataset& dataset) {
  const auto* described = dynamic_cast<const HasColumns*>(&dataset);
  return described == nullptr ? std::vector<Column>() : described->columns();
}

}  // namespace multimeditron
