#include "checkpoint/safetensors_header.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>
#include <unordered_set>

#include "base/error.h"
#include "base/json.h"

namespace multimeditron {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxEntries = size_t{1} << 18;
constexpr size_t kMaxDimensions = 64;  // LibTorch's own limit
constexpr const char* kFetchAgain = "copy or download the file again";

std::optional<DType> dtype_of(const std::string& name) {
  for (const DType dtype :
       {DType::kF64, DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32, DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    if (name == to_string(dtype)) return dtype;
  }
  return std::nullopt;
}

[[noreturn]] void malformed(const std::string& where, const std::string& found) {
  throw UserError("this file is not valid safetensors", {.where = where, .found = found, .fix = kFetchAgain});
}

/// Takes the header apart while it is read: no tree of the whole is built, so that a hostile header costs no more memory than its names.
class HeaderHandler : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderHandler(SafetensorsHeader& header) : header_(header) {}

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override { unexpected("the number " + shown(text)); }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::kShape && entry_.shape.size() < kMaxDimensions && value <= static_cast<uint64_t>(INT64_MAX)) {
      entry_.shape.push_back(static_cast<int64_t>(value));
    } else if (place_ == Place::kOffsets && num_offsets_ < 2) {
      (num_offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    } else {
      unexpected(fmt::format("the number {}", value));
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::kMetadata && !field_.empty()) {
      if (!header_.metadata.emplace(field_, text).second) malformed("__metadata__", fmt::format("two entries `{}`", shown(field_)));
      field_.clear();
    } else if (place_ == Place::kTensor && field_ == "dtype") {
      const std::optional<DType> dtype = dtype_of(text);
      if (!dtype)
        throw UserError(
            "this dtype is not supported",
            {.where = where(), .found = shown(text), .fix = "convert the tensor to F64, F32, F16, BF16, I64, I32, I16, I8, U8 or BOOL"});
      entry_.dtype = *dtype;
      has_dtype_ = true;
      field_.clear();
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) {
      place_ = Place::kTop;
    } else if (place_ == Place::kTop && name_ == "__metadata__") {
      place_ = Place::kMetadata;
    } else if (place_ == Place::kTop) {
      place_ = Place::kTensor;
      entry_ = {.name = name_};
      has_dtype_ = has_shape_ = false;
      num_offsets_ = 0;
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& text) override {
    if (place_ == Place::kTop) {
      if (!names_.insert(text).second) malformed(fmt::format("tensor {}", shown(text)), "two entries of this name");
      name_ = text;
    } else {
      field_ = text;
      const bool known = text == "dtype" || text == "shape" || text == "data_offsets";
      const bool repeated =
          (text == "dtype" && has_dtype_) || (text == "shape" && has_shape_) || (text == "data_offsets" && num_offsets_ > 0);
      if (place_ == Place::kTensor && (!known || repeated))
        malformed(where(), fmt::format("{} `{}`", repeated ? "two fields" : "an unknown field", shown(text)));
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::kTensor) {
      if (!has_dtype_ || !has_shape_ || num_offsets_ != 2)
        malformed(where(), fmt::format("no {}", !has_dtype_ ? "`dtype`" : !has_shape_ ? "`shape`" : "pair of `data_offsets`"));
      if (header_.entries.size() >= kMaxEntries) malformed("header", fmt::format("more than {} tensors", kMaxEntries));
      header_.entries.push_back(std::move(entry_));
    }
    place_ = place_ == Place::kTop ? Place::kOutside : Place::kTop;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::kTensor && field_ == "shape") {
      place_ = Place::kShape;
      has_shape_ = true;
    } else if (place_ == Place::kTensor && field_ == "data_offsets") {
      place_ = Place::kOffsets;
    } else {
      unexpected("a list");
    }
    field_.clear();
    return true;
  }

  bool end_array() override {
    place_ = Place::kTensor;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const Json::exception&) override {
    malformed(fmt::format("header, byte {}", position), "a syntax error in its JSON");
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kTensor, kShape, kOffsets };

  std::string where() const {
    if (place_ == Place::kOutside || name_.empty()) return "header";
    return name_ == "__metadata__" ? name_ : fmt::format("tensor {}", shown(name_));
  }

  [[noreturn]] void unexpected(const std::string& what) const {
    const char* place = place_ == Place::kShape ? " in `shape`" : place_ == Place::kOffsets ? " in `data_offsets`" : "";
    malformed(where(), fmt::format("{}{} where the format has none", what, place));
  }

  SafetensorsHeader& header_;
  std::unordered_set<std::string> names_;
  Place place_ = Place::kOutside;
  std::string name_, field_;
  SafetensorsEntry entry_;
  bool has_dtype_ = false, has_shape_ = false;
  int num_offsets_ = 0;
};

/// Bytes that the shape and dtype ask for, or nothing where they exceed what can be counted.
std::optional<uint64_t> expected_size(const SafetensorsEntry& entry) {
  uint64_t size = size_of(entry.dtype);
  for (const int64_t dimension : entry.shape) {
    if (__builtin_mul_overflow(size, static_cast<uint64_t>(dimension), &size)) return std::nullopt;
  }
  return size <= static_cast<uint64_t>(INT64_MAX) ? std::optional(size) : std::nullopt;
}

void check_sizes(const SafetensorsHeader& header, uint64_t data_size) {
  uint64_t end = 0;
  for (const SafetensorsEntry& entry : header.entries) {
    const std::string where = fmt::format("tensor {}", shown(entry.name));
    const std::optional<uint64_t> size = expected_size(entry);
    if (!size) malformed(where, fmt::format("shape [{}], more bytes than can be counted", fmt::join(entry.shape, ", ")));
    if (entry.end < entry.begin)
      malformed(where, fmt::format("data_offsets [{}, {}], the end before the beginning", entry.begin, entry.end));
    if (entry.end - entry.begin != *size)
      malformed(where, fmt::format("{} bytes in data_offsets, {} by its shape [{}] of {}", entry.end - entry.begin, *size,
                                   fmt::join(entry.shape, ", "), to_string(entry.dtype)));
    if (entry.end > data_size)
      throw UserError("this safetensors file is truncated",
                      {.where = where,
                       .found = fmt::format("{} bytes of data, the tensor's own end at byte {}", data_size, entry.end),
                       .fix = kFetchAgain});
    if (entry.begin != end)
      malformed(where, fmt::format("data that begins at byte {}, {} the end of the one before it ({})", entry.begin,
                                   entry.begin < end ? "inside it, not at" : "beyond", end));
    end = entry.end;
  }
  if (end != data_size) malformed("end of the file", fmt::format("{} bytes that belong to no tensor", data_size - end));
}

/// What people name model.safetensors by mistake, told by its first bytes.
void refuse_other_formats(std::string_view begin) {
  const auto refuse = [](const char* what, const char* fix) {
    throw UserError("this file is not valid safetensors", {.found = what, .fix = fix});
  };
  if (begin.starts_with("version https://git-lfs"))
    refuse("a Git LFS pointer, not the file itself", "run `git lfs pull` in the repository it came from");
  if (begin.starts_with("PK\x03\x04") || begin.starts_with("\x80\x02"))
    refuse("a PyTorch pickle", "convert it with Python: safetensors.torch.save_file(torch.load(FILE, weights_only=True), ...)");
}

}  // namespace

std::string shown(const std::string& name) {
  std::string text = name.size() <= 200 ? name : name.substr(0, 200) + "...";
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file) {
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.size());
  refuse_other_formats(text);
  if (file.size() < sizeof(uint64_t))
    throw UserError("this safetensors file is truncated",
                    {.found = fmt::format("{} bytes, not even the 8 of the header's length", file.size()), .fix = kFetchAgain});
  uint64_t size = 0;  // little-endian, as every machine that LibTorch runs on
  std::memcpy(&size, file.data(), sizeof size);
  if (size > kMaxHeaderBytes) malformed("header", fmt::format("a length of {} bytes, at most {} expected", size, kMaxHeaderBytes));
  if (size > file.size() - sizeof size)
    throw UserError(
        "this safetensors file is truncated",
        {.where = "header", .found = fmt::format("{} bytes in the file, a header of {}", file.size(), size), .fix = kFetchAgain});
  const std::string_view json = text.substr(sizeof size, size);
  if (!json.starts_with('{')) malformed("header", "no `{` at its beginning");

  SafetensorsHeader header;
  header.data_start = sizeof size + size;
  HeaderHandler handler(header);
  Json::sax_parse(json.begin(), json.end(), &handler);
  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);  // empty tensors before what begins at the same place
  });
  check_sizes(header, file.size() - header.data_start);
  return header;
}

std::string format_safetensors_header(std::span<const SafetensorsEntry> entries, const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) json += fmt::format("\"__metadata__\":{}", Json(metadata).dump());
  for (const SafetensorsEntry& entry : entries) {
    json += fmt::format("{}{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", json.size() > 1 ? "," : "",
                        Json(entry.name).dump(), to_string(entry.dtype), fmt::join(entry.shape, ","), entry.begin, entry.end);
  }
  json += "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  const uint64_t size = json.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + json;
}

}  // namespace multimeditron
