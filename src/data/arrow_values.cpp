#include "data/arrow_values.h"

#include <algorithm>

#include "base/error.h"

namespace multimeditron {

using arrow::Type;

void throw_damaged_values() {
  throw UserError("damaged data set file", {.found = "an offset that points outside its column", .fix = "copy or make the file again"});
}

namespace {

int64_t dictionary_index(const arrow::DictionaryArray& array, int64_t index) {
  const int64_t value = array.GetValueIndex(index);
  if (value < 0 || value >= array.dictionary()->length()) throw_damaged_values();
  return value;
}

template <typename RunEnd>
int64_t physical_index(const arrow::Array& run_ends, int64_t logical) {
  const auto& ends = static_cast<const arrow::NumericArray<RunEnd>&>(run_ends);
  const auto* begin = ends.raw_values();
  return std::upper_bound(begin, begin + ends.length(), logical) - begin;
}

Cell find_in_runs(const arrow::RunEndEncodedArray& array, int64_t index) {
  const int64_t logical = index + array.offset();
  const arrow::Array& ends = *array.run_ends();
  int64_t run = 0;
  if (ends.type_id() == Type::INT16) run = physical_index<arrow::Int16Type>(ends, logical);
  if (ends.type_id() == Type::INT32) run = physical_index<arrow::Int32Type>(ends, logical);
  if (ends.type_id() == Type::INT64) run = physical_index<arrow::Int64Type>(ends, logical);
  if (run >= array.values()->length()) throw_damaged_values();
  return find_cell(*array.values(), run);
}

Cell find_in_union(const arrow::UnionArray& array, int64_t index) {
  const int code = array.type_code(index);
  const std::vector<int>& children = array.union_type()->child_ids();
  if (code < 0 || static_cast<size_t>(code) >= children.size()) throw_damaged_values();
  const int child = children[static_cast<size_t>(code)];
  if (child < 0 || child >= array.num_fields()) throw_damaged_values();
  const int64_t at = array.type_id() == Type::DENSE_UNION ? static_cast<const arrow::DenseUnionArray&>(array).value_offset(index) : index;
  return find_cell(*array.field(child), at);
}

/// `begin` to `end` of the data buffer.
std::string_view part_of(const std::shared_ptr<arrow::Buffer>& data, int64_t begin, int64_t end) {
  if (begin < 0 || end < begin || end > (data == nullptr ? 0 : data->size())) throw_damaged_values();
  return begin == end ? std::string_view()
                      : std::string_view(reinterpret_cast<const char*>(data->data()) + begin, static_cast<size_t>(end - begin));
}

template <typename ArrayType>
std::string_view view_with_offsets(const Cell& cell) {
  const auto& strings = static_cast<const ArrayType&>(*cell.array);
  return part_of(strings.value_data(), strings.value_offset(cell.index), strings.value_offset(cell.index + 1));
}

std::string_view view_of_views(const Cell& cell) {
  const auto& array = static_cast<const arrow::BinaryViewArray&>(*cell.array);
  const auto& view = array.raw_values()[cell.index];
  if (view.size() < 0) throw_damaged_values();
  if (view.is_inline()) return {reinterpret_cast<const char*>(view.inline_data()), static_cast<size_t>(view.size())};
  const size_t buffer = static_cast<size_t>(view.ref.buffer_index) + 2;  // after validity and views
  if (view.ref.buffer_index < 0 || buffer >= array.data()->buffers.size()) throw_damaged_values();
  return part_of(array.data()->buffers[buffer], view.ref.offset, int64_t{view.ref.offset} + view.size());
}

Items range_of(const arrow::Array& values, int64_t begin, int64_t end) {
  if (begin < 0 || end < begin || end > values.length()) throw_damaged_values();
  return {&values, begin, end};
}

template <typename ArrayType>
Items items_between_offsets(const Cell& cell) {
  const auto& lists = static_cast<const ArrayType&>(*cell.array);
  return range_of(*lists.values(), lists.value_offset(cell.index), lists.value_offset(cell.index + 1));
}

/// Lists that say where each of them begins and how long it is.
template <typename ArrayType>
Items items_by_size(const Cell& cell) {
  const auto& lists = static_cast<const ArrayType&>(*cell.array);
  const int64_t begin = lists.value_offset(cell.index), size = lists.value_length(cell.index);
  if (begin < 0 || size < 0 || begin > lists.values()->length() - size) throw_damaged_values();
  return range_of(*lists.values(), begin, begin + size);
}

}  // namespace

Cell find_cell(const arrow::Array& array, int64_t index) {
  if (index < 0 || index >= array.length()) throw_damaged_values();
  switch (array.type_id()) {
    // These have no bitmap of their own; what Arrow does instead looks into other arrays at offsets that nobody has checked.
    case Type::EXTENSION:
      return find_cell(*static_cast<const arrow::ExtensionArray&>(array).storage(), index);
    case Type::RUN_END_ENCODED:
      return find_in_runs(static_cast<const arrow::RunEndEncodedArray&>(array), index);
    case Type::DENSE_UNION:
    case Type::SPARSE_UNION:
      return find_in_union(static_cast<const arrow::UnionArray&>(array), index);
    default:
      break;
  }
  if (array.IsNull(index)) return {};
  if (array.type_id() != Type::DICTIONARY) return {&array, index};
  const auto& words = static_cast<const arrow::DictionaryArray&>(array);
  return find_cell(*words.dictionary(), dictionary_index(words, index));
}

Cell field_of(const Cell& structure, const char* name) {
  if (structure.is_null() || structure.type() != Type::STRUCT) return {};
  const auto& structs = static_cast<const arrow::StructArray&>(*structure.array);
  const int index = static_cast<const arrow::StructType&>(*structs.type()).GetFieldIndex(name);
  return index < 0 ? Cell{} : find_cell(*structs.field(index), structure.index);
}

std::optional<std::string_view> bytes_of(const Cell& cell) {
  if (cell.is_null()) return std::nullopt;
  switch (cell.type()) {
    case Type::STRING:
    case Type::BINARY:
      return view_with_offsets<arrow::BinaryArray>(cell);
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return view_with_offsets<arrow::LargeBinaryArray>(cell);
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
      return view_of_views(cell);
    case Type::FIXED_SIZE_BINARY: {
      const auto& array = static_cast<const arrow::FixedSizeBinaryArray&>(*cell.array);
      return std::string_view(reinterpret_cast<const char*>(array.GetValue(cell.index)), static_cast<size_t>(array.byte_width()));
    }
    default:
      return std::nullopt;
  }
}

Items items_of(const Cell& cell) {
  if (cell.is_null()) return {};
  switch (cell.type()) {
    case Type::LIST:
      return items_between_offsets<arrow::ListArray>(cell);
    case Type::LARGE_LIST:
      return items_between_offsets<arrow::LargeListArray>(cell);
    case Type::LIST_VIEW:
      return items_by_size<arrow::ListViewArray>(cell);
    case Type::LARGE_LIST_VIEW:
      return items_by_size<arrow::LargeListViewArray>(cell);
    case Type::FIXED_SIZE_LIST:
      return items_by_size<arrow::FixedSizeListArray>(cell);
    default:
      return {};
  }
}

void prepare_for_threads(const arrow::Array& array) {
  switch (array.type_id()) {
    case Type::EXTENSION:
      return prepare_for_threads(*static_cast<const arrow::ExtensionArray&>(array).storage());
    case Type::DICTIONARY:
      return prepare_for_threads(*static_cast<const arrow::DictionaryArray&>(array).dictionary());
    case Type::RUN_END_ENCODED:
      return prepare_for_threads(*static_cast<const arrow::RunEndEncodedArray&>(array).values());
    case Type::STRUCT:
      for (int i = 0; i < array.num_fields(); ++i) prepare_for_threads(*static_cast<const arrow::StructArray&>(array).field(i));
      return;
    case Type::DENSE_UNION:
    case Type::SPARSE_UNION:
      for (int i = 0; i < array.num_fields(); ++i) prepare_for_threads(*static_cast<const arrow::UnionArray&>(array).field(i));
      return;
    case Type::LIST:
      return prepare_for_threads(*static_cast<const arrow::ListArray&>(array).values());
    case Type::LARGE_LIST:
      return prepare_for_threads(*static_cast<const arrow::LargeListArray&>(array).values());
    case Type::LIST_VIEW:
      return prepare_for_threads(*static_cast<const arrow::ListViewArray&>(array).values());
    case Type::LARGE_LIST_VIEW:
      return prepare_for_threads(*static_cast<const arrow::LargeListViewArray&>(array).values());
    case Type::FIXED_SIZE_LIST:
      return prepare_for_threads(*static_cast<const arrow::FixedSizeListArray&>(array).values());
    default:
      return;
  }
}

const arrow::DataType& plain_type(const arrow::DataType& type) {
  switch (type.id()) {
    case Type::EXTENSION:
      return plain_type(*static_cast<const arrow::ExtensionType&>(type).storage_type());
    case Type::DICTIONARY:
      return plain_type(*static_cast<const arrow::DictionaryType&>(type).value_type());
    case Type::RUN_END_ENCODED:
      return plain_type(*static_cast<const arrow::RunEndEncodedType&>(type).value_type());
    default:
      return type;
  }
}

bool holds_strings(const arrow::DataType& type) {
  const Type::type id = plain_type(type).id();
  return id == Type::STRING || id == Type::LARGE_STRING || id == Type::STRING_VIEW || id == Type::NA;
}

bool holds_bytes(const arrow::DataType& type) {
  const Type::type id = plain_type(type).id();
  return holds_strings(type) || id == Type::BINARY || id == Type::LARGE_BINARY || id == Type::BINARY_VIEW || id == Type::FIXED_SIZE_BINARY;
}

const arrow::DataType* item_type(const arrow::DataType& type) {
  const arrow::DataType& plain = plain_type(type);
  switch (plain.id()) {
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
    case Type::FIXED_SIZE_LIST:
      return plain.field(0)->type().get();
    default:
      return nullptr;
  }
}

const arrow::DataType* field_type(const arrow::DataType& type, const char* name) {
  const arrow::DataType& plain = plain_type(type);
  if (plain.id() != Type::STRUCT) return nullptr;
  const int index = static_cast<const arrow::StructType&>(plain).GetFieldIndex(name);
  return index < 0 ? nullptr : plain.field(index)->type().get();
}

}  // namespace multimeditron
