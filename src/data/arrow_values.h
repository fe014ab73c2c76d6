#pragma once

#include <arrow/api.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace multimeditron {

/// One value of an Arrow array, found below extension types, dictionaries, run-end encoding and unions. Nothing where it is null. Its array
/// lives as long as the column that it was found in.
struct Cell {
  const arrow::Array* array = nullptr;
  int64_t index = 0;

  bool is_null() const { return array == nullptr; }
  arrow::Type::type type() const { return array->type_id(); }
};

/// Value `index` of `array`. Offsets, codes and indices that come from the file are checked: UserError (without a place) where one points
/// outside its column.
Cell find_cell(const arrow::Array& array, int64_t index);

/// Field `name` of a struct value; null where there is no such field.
Cell field_of(const Cell& structure, const char* name);

/// A string or binary value of any layout (plain, large, view, fixed size); nothing for null or another type.
std::optional<std::string_view> bytes_of(const Cell& cell);

/// The items of a list value of any layout (plain, large, view, fixed size): a range of the list's child.
struct Items {
  const arrow::Array* values = nullptr;
  int64_t begin = 0, end = 0;

  int64_t size() const { return end - begin; }
  Cell operator[](int64_t item) const { return find_cell(*values, begin + item); }
};

/// Empty for null or another type.
Items items_of(const Cell& cell);

/// Does whatever Arrow would otherwise do at the first access, where two threads might do it at once.
void prepare_for_threads(const arrow::Array& array);

/// The type that values have below extension types, dictionaries and run-end encoding.
const arrow::DataType& plain_type(const arrow::DataType& type);

/// Text, or a column without any value.
bool holds_strings(const arrow::DataType& type);
/// Text or bytes, or a column without any value.
bool holds_bytes(const arrow::DataType& type);
/// The items' type of a list of any layout, else nothing.
const arrow::DataType* item_type(const arrow::DataType& type);
/// The type of a struct's field, else nothing.
const arrow::DataType* field_type(const arrow::DataType& type, const char* name);

[[noreturn]] void throw_damaged_values();

}  // namespace multimeditron
