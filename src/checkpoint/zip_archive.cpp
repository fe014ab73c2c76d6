#include "checkpoint/zip_archive.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "checkpoint/safetensors_header.h"

namespace multimeditron {
namespace {

constexpr const char* kFetchAgain = "copy or download the file again";
constexpr uint64_t kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20, kEntrySize = 46, kLocalSize = 30;
constexpr uint64_t kMaxComment = 65535, kIn64Bits = 0xffffffff;

[[noreturn]] void malformed(const std::string& where, const std::string& found) {
  throw UserError("this PyTorch file is malformed", {.where = where, .found = found, .fix = kFetchAgain});
}

/// Numbers out of a part of the file, each checked to lie inside.
class Fields {
 public:
  Fields(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  template <typename T>
  uint64_t at(uint64_t offset) const {
    static_assert(std::endian::native == std::endian::little);
    T value;
    std::memcpy(&value, bytes(offset, sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> bytes(uint64_t offset, uint64_t count) const {
    if (offset > bytes_.size() || count > bytes_.size() - offset) {
      throw UserError("this PyTorch file is truncated",
                      {.where = where_,
                       .found = fmt::format("{} bytes, {} more at byte {} were expected", bytes_.size(), count, offset),
                       .fix = kFetchAgain});
    }
    return bytes_.subspan(offset, count);
  }
  std::string text(uint64_t offset, uint64_t count) const {
    const auto view = bytes(offset, count);
    return {reinterpret_cast<const char*>(view.data()), view.size()};
  }
  uint64_t size() const { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
};

/// Where the record lies that ends the archive: behind it comes a comment at most.
uint64_t find_end(const Fields& file) {
  if (file.size() >= kEndSize) {
    const uint64_t last = file.size() - kEndSize;
    for (uint64_t back = 0; back <= kMaxComment && back <= last; ++back) {
      if (file.at<uint32_t>(last - back) == 0x06054b50 && file.at<uint16_t>(last - back + 20) == back) return last - back;
    }
  }
  throw UserError("this PyTorch file is truncated",
                  {.where = "end of the file", .found = "no table of the archive's entries", .fix = kFetchAgain});
}

struct Table {
  uint64_t offset, size, count;
};

Table find_table(const Fields& file) {
  const uint64_t end = find_end(file);
  Table table{file.at<uint32_t>(end + 16), file.at<uint32_t>(end + 12), file.at<uint16_t>(end + 10)};
  if (end >= kLocatorSize && file.at<uint32_t>(end - kLocatorSize) == 0x07064b50) {
    const uint64_t end64 = file.at<uint64_t>(end - kLocatorSize + 8);
    file.bytes(end64, kEnd64Size);
    if (file.at<uint32_t>(end64) != 0x06064b50) malformed("end of the file", "a zip64 record that is none");
    table = {file.at<uint64_t>(end64 + 48), file.at<uint64_t>(end64 + 40), file.at<uint64_t>(end64 + 32)};
  }
  return table;
}

/// The values of an entry that do not fit into 32 bits stand in an extra field, in this order, only those that do not fit.
void read_zip64(const Fields& extra, uint64_t& size, uint64_t& packed_size, uint64_t& offset) {
  uint64_t at = 0;
  while (at + 4 <= extra.size()) {
    const uint64_t id = extra.at<uint16_t>(at), length = extra.at<uint16_t>(at + 2);
    if (id == 1) {
      const Fields field(extra.bytes(at + 4, length), "zip64 field");
      uint64_t place = 0;
      for (uint64_t* value : {&size, &packed_size, &offset}) {
        if (*value != kIn64Bits) continue;
        *value = field.at<uint64_t>(place);
        place += 8;
      }
      return;
    }
    at += 4 + length;
  }
}

}  // namespace

std::map<std::string, std::span<const std::byte>> read_stored_zip(std::span<const std::byte> bytes) {
  const Fields file(bytes, "archive");
  const Table table = find_table(file);
  const Fields entries(file.bytes(table.offset, table.size), "table of the archive's entries");
  std::map<std::string, std::span<const std::byte>> found;
  uint64_t at = 0;
  for (uint64_t i = 0; i < table.count; ++i) {
    const std::string number = fmt::format("entry {} of the archive", i);
    if (entries.at<uint32_t>(at) != 0x02014b50) malformed(number, "no entry where one was expected");
    const uint64_t flags = entries.at<uint16_t>(at + 8), method = entries.at<uint16_t>(at + 10);
    uint64_t packed_size = entries.at<uint32_t>(at + 20), size = entries.at<uint32_t>(at + 24), offset = entries.at<uint32_t>(at + 42);
    const uint64_t name_size = entries.at<uint16_t>(at + 28), extra_size = entries.at<uint16_t>(at + 30);
    const std::string name = entries.text(at + kEntrySize, name_size);
    read_zip64(Fields(entries.bytes(at + kEntrySize + name_size, extra_size), number), size, packed_size, offset);
    at += kEntrySize + name_size + extra_size + entries.at<uint16_t>(at + 32);

    const std::string where = "entry " + shown(name);
    if ((flags & 1) != 0) malformed(where, "encrypted content");
    if (method != 0 || packed_size != size) malformed(where, "compressed content, which torch.save never writes");
    const Fields local(bytes, where);
    if (local.at<uint32_t>(offset) != 0x04034b50) malformed(where, "no content where the table says it begins");
    const uint64_t local_name = local.at<uint16_t>(offset + 26);
    if (local.text(offset + kLocalSize, local_name) != name) malformed(where, "content of another name");
    const uint64_t begin = offset + kLocalSize + local_name + local.at<uint16_t>(offset + 28);
    if (!found.emplace(name, local.bytes(begin, size)).second) malformed(where, "two entries of this name");
  }
  return found;
}

}  // namespace multimeditron
