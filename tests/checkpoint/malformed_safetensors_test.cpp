#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tensors.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

std::string file_with(const std::string& header, size_t data_bytes) {
  const uint64_t size = header.size();
  std::string bytes(sizeof size, '\0');
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes + header + std::string(data_bytes, 'x');
}

/// One F32 tensor `a` with these fields, and `data_bytes` of data.
std::string one_tensor(const std::string& shape, const std::string& offsets, size_t data_bytes) {
  return file_with(fmt::format(R"({{"a":{{"dtype":"F32","shape":{},"data_offsets":{}}}}})", shape, offsets), data_bytes);
}

class MalformedSafetensors : public testing::Test {
 protected:
  /// Reads a file of these bytes.
  void read(const std::string& bytes) {
    write_file_atomic(file_, bytes);
    SafetensorsReader reader(file_);
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "bad.safetensors";
};

TEST_F(MalformedSafetensors, TruncationIsNamedAtEachPlace) {
  const std::string whole = one_tensor("[2]", "[0,8]", 8);
  EXPECT_NO_THROW(read(whole));
  EXPECT_USER_ERROR(read(""), "truncated", "bad.safetensors", "0 bytes");
  EXPECT_USER_ERROR(read(whole.substr(0, 5)), "truncated", "bad.safetensors", "5 bytes");
  EXPECT_USER_ERROR(read(whole.substr(0, 30)), "truncated", "bad.safetensors, header");
  EXPECT_USER_ERROR(read(whole.substr(0, whole.size() - 1)), "truncated", "bad.safetensors, tensor a", "7 bytes of data");
  EXPECT_USER_ERROR(read(whole + "y"), "1 bytes that belong to no tensor");
}

TEST_F(MalformedSafetensors, HeaderLengthsThatCannotBeAreRefused) {
  std::string bytes = one_tensor("[2]", "[0,8]", 8);
  const uint64_t huge = 100'000'001;
  std::memcpy(bytes.data(), &huge, sizeof huge);
  EXPECT_USER_ERROR(read(bytes), "a length of 100000001 bytes");
  std::fill_n(bytes.begin(), 8, '\xff');
  EXPECT_USER_ERROR(read(bytes), "bad.safetensors, header", "length");
}

TEST_F(MalformedSafetensors, OffsetsMustFitTheTensorAndEachOther) {
  EXPECT_USER_ERROR(read(one_tensor("[2]", "[0,4]", 4)), "tensor a", "4 bytes in data_offsets, 8 by its shape [2] of F32");
  EXPECT_USER_ERROR(read(one_tensor("[2]", "[8,0]", 8)), "tensor a", "the end before the beginning");
  EXPECT_USER_ERROR(read(one_tensor("[2]", "[4,12]", 12)), "tensor a", "begins at byte 4, beyond the end");
  EXPECT_USER_ERROR(read(one_tensor("[2]", "[18446744073709551608,18446744073709551615]", 8)), "tensor a");
  const std::string overlap =
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  EXPECT_USER_ERROR(read(file_with(overlap, 12)), "tensor b", "begins at byte 4, inside it");
}

TEST_F(MalformedSafetensors, SizesThatOverflowAreCaught) {
  EXPECT_USER_ERROR(read(one_tensor("[4611686018427387904,4]", "[0,0]", 0)), "tensor a", "more bytes than can be counted");
  EXPECT_USER_ERROR(read(one_tensor("[9223372036854775807,9223372036854775807,9223372036854775807]", "[0,0]", 0)), "tensor a");
  EXPECT_USER_ERROR(read(one_tensor("[9223372036854775808]", "[0,0]", 0)), "tensor a", "in `shape`");
  EXPECT_USER_ERROR(read(one_tensor("[-1]", "[0,0]", 0)), "tensor a", "a negative number");
  EXPECT_USER_ERROR(read(one_tensor("[1.5]", "[0,0]", 0)), "tensor a", "1.5");
  std::string dimensions = "[1";
  for (int i = 0; i < 64; ++i) dimensions += ",1";
  EXPECT_USER_ERROR(read(one_tensor(dimensions + "]", "[0,4]", 4)), "tensor a", "in `shape`");
}

TEST_F(MalformedSafetensors, FieldsMustBeThereOnceAndOfTheRightKind) {
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"shape":[],"data_offsets":[0,4]}})", 4)), "tensor a", "no `dtype`");
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4)), "tensor a", "no `shape`");
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"dtype":"F32","shape":[]}})", 4)), "tensor a", "no pair of `data_offsets`");
  EXPECT_USER_ERROR(read(one_tensor("[]", "[0]", 4)), "tensor a", "no pair of `data_offsets`");
  EXPECT_USER_ERROR(read(one_tensor("[]", "[0,4,8]", 4)), "tensor a", "in `data_offsets`");
  EXPECT_USER_ERROR(read(one_tensor("[[1]]", "[0,4]", 4)), "tensor a", "a list");
  EXPECT_USER_ERROR(read(one_tensor("\"x\"", "[0,4]", 4)), "tensor a", "a string");
  EXPECT_USER_ERROR(read(file_with(R"({"a":3})", 0)), "tensor a", "the number 3");
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"dtype":"F32","dtype":"F32","shape":[],"data_offsets":[0,4]}})", 4)), "tensor a", "two fields");
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"dtyp":"F32"}})", 4)), "tensor a", "unknown field `dtyp`");
  EXPECT_USER_ERROR(read(file_with(R"({"__metadata__":{"a":1}})", 0)), "__metadata__", "the number 1");
}

TEST_F(MalformedSafetensors, UnknownDtypesAreNamed) {
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4)), "tensor a", "F8_E4M3", "BF16");
}

TEST_F(MalformedSafetensors, TwoTensorsOfOneNameAreRefused) {
  const std::string twice = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})";
  EXPECT_USER_ERROR(read(file_with(twice, 2)), "tensor a", "two entries");
}

TEST_F(MalformedSafetensors, SyntaxErrorsNameTheByte) {
  EXPECT_USER_ERROR(read(file_with(R"({"a":{"dtype" "F32"}})", 0)), "header, byte");
  EXPECT_USER_ERROR(read(file_with("[]", 0)), "no `{`");
  EXPECT_USER_ERROR(read(file_with(std::string("{\"a\xff\":{}}"), 0)), "header, byte");
  EXPECT_USER_ERROR(read(file_with("{" + std::string(5000, '['), 0)), "header");
}

TEST_F(MalformedSafetensors, OtherFormatsAreRecognised) {
  EXPECT_USER_ERROR(read("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"), "Git LFS pointer", "git lfs pull");
  EXPECT_USER_ERROR(read("PK\x03\x04 and so on"), "pickle", "save_file");
}

TEST_F(MalformedSafetensors, NamesCannotPaintTheTerminal) {
  EXPECT_USER_ERROR(read(file_with("{\"\\u001b[2Jx\":3}", 0)), "tensor ?[2Jx");
}

TEST_F(MalformedSafetensors, TooManyEntriesAreRefused) {
  std::string header = "{";
  for (int i = 0; i < 300'000; ++i)
    header += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", i == 0 ? "" : ",", i);
  EXPECT_USER_ERROR(read(file_with(header + "}", 0)), "more than 262144 tensors");
}

TEST_F(MalformedSafetensors, MisplacedTensorsAreReadAligned) {
  // A header of odd length, as old writers made them: the floats lie at odd addresses in the file.
  std::string bytes = one_tensor("[2]", "[0,8]", 0);
  const float values[2] = {1.5f, -2.0f};
  bytes.append(reinterpret_cast<const char*>(values), sizeof values);
  ASSERT_NE((bytes.size() - sizeof values) % sizeof(float), 0u);
  write_file_atomic(file_, bytes);
  const SafetensorsReader reader(file_);
  const TensorView& tensor = *reader.find("a");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.bytes.data()) % alignof(float), 0u);
  EXPECT_EQ(values_of<float>(tensor), (std::vector<float>{1.5f, -2.0f}));
}

TEST_F(MalformedSafetensors, FoldersWithoutWeightsSayWhatIsThere) {
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), folder_.path().string(), "no file of weights");
  write_file_atomic(folder_ / "pytorch_model.bin", "x");
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), "pytorch_model.bin", "pickle");
  EXPECT_USER_ERROR(SafetensorsReader(folder_ / "none.safetensors"), "none.safetensors", "No such file");
}

TEST_F(MalformedSafetensors, IndexAndFilesMustAgree) {
  const fs::path index = folder_ / "model.safetensors.index.json";
  write_safetensors(folder_.path(), "part", {counting_tensor("a", 1, 2)});
  write_file_atomic(index, R"({"weight_map":{"a":"part.safetensors","b":"part.safetensors"}})");
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), "part.safetensors, tensor b", "missing");
  write_file_atomic(index, R"({"weight_map":{"a":"other.safetensors"}})");
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), "other.safetensors", "missing");
  write_file_atomic(index, R"({"weight_map":{"a":"../part.safetensors"}})");
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), "index.json", "tensor a");
  write_file_atomic(index, R"({"weight_map":[]})");
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), "weight_map");
  write_safetensors(folder_.path(), "twin", {counting_tensor("a", 1, 2)});
  write_file_atomic(index, R"({"weight_map":{"a":"part.safetensors","b":"twin.safetensors"}})");
  EXPECT_USER_ERROR(SafetensorsReader(folder_.path()), "the same tensor", "part.safetensors", "twin.safetensors");
}

/// Whatever becomes of a file, it is read whole or refused with a message that names it.
TEST_F(MalformedSafetensors, TwoThousandMutantsAreReadOrRefused) {
  const std::string original = read_file(fs::path(TEST_DATA) / "checkpoint/mixed.safetensors");
  uint64_t header_size;
  std::memcpy(&header_size, original.data(), sizeof header_size);
  std::mt19937 random(20240613);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  const std::string pieces[] = {"\"",      "{", "}",   "[", "]", ",", ":", "0", "9", "-", "1e9", "null", "18446744073709551615",
                                "\\u0000", " ", "\xff"};
  int num_read = 0, num_refused = 0;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = original;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t at = below(4) == 0 ? below(bytes.size()) : below(8 + header_size);
      switch (below(6)) {
        case 0:
          bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
          break;
        case 1:
          bytes[at] = static_cast<char>(random());
          break;
        case 2:
          bytes.resize(std::max<size_t>(at, 1));
          break;
        case 3:
          bytes.insert(at, pieces[below(std::size(pieces))]);
          break;
        case 4:
          bytes.erase(at, 1 + below(40));
          break;
        default:  // a digit becomes another: sizes and offsets that almost fit
          if (std::isdigit(static_cast<unsigned char>(bytes[at]))) bytes[at] = static_cast<char>('0' + below(10));
      }
      if (bytes.size() <= 8 + header_size) break;
    }
    fs::remove(file_);  // cutting it short and filling it again makes some file systems write it out at once
    std::ofstream(file_, std::ios::binary) << bytes;
    try {
      const SafetensorsReader reader(file_);
      size_t sum = 0;
      for (const auto& [name, tensor] : reader.tensors())
        for (const std::byte byte : tensor.bytes) sum += static_cast<size_t>(byte);
      EXPECT_LE(sum, 255 * bytes.size());
      ++num_read;
    } catch (const UserError& error) {
      EXPECT_NE(std::string(error.what()).find("bad.safetensors"), std::string::npos) << error.what();
      ++num_refused;
    }
  }
  EXPECT_GT(num_read, 100);
  EXPECT_GT(num_refused, 1000);
}

}  // namespace
}  // namespace multimeditron
