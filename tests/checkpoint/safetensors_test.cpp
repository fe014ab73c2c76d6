#include "checkpoint/safetensors.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/json.h"
#include "base/temporary_folder.h"
#include "checkpoint/tensors.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const fs::path kData = fs::path(TEST_DATA) / "checkpoint";

/// What a Python tensor `arange(count) % 100` holds, as T.
template <typename T>
std::vector<T> counted(size_t count) {
  std::vector<T> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<T>(i % 100);
  return values;
}

uint16_t bfloat16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>(bits >> 16);  // exact for small whole numbers
}

uint16_t float16(int value) {  // whole numbers below 2048
  if (value == 0) return 0;
  int exponent = 0;
  while ((value >> exponent) > 1) ++exponent;
  return static_cast<uint16_t>(((exponent + 15) << 10) | ((value << (10 - exponent)) & 0x3ff));
}

/// The tensors of tests/reference/safetensors_goldens.py.
std::vector<TensorSource> mixed_tensors() {
  std::vector<uint16_t> halves(15), bfloats(15);
  for (int i = 0; i < 15; ++i) {
    halves[static_cast<size_t>(i)] = float16(i);
    bfloats[static_cast<size_t>(i)] = bfloat16(static_cast<float>(i));
  }
  std::vector<uint8_t> booleans(15, 1);
  booleans[0] = 0;
  std::vector<TensorSource> tensors;
  tensors.push_back(tensor_source("tensor.F64", DType::kF64, {3, 5}, counted<double>(15)));
  tensors.push_back(tensor_source("tensor.F32", DType::kF32, {3, 5}, counted<float>(15)));
  tensors.push_back(tensor_source("tensor.F16", DType::kF16, {3, 5}, halves));
  tensors.push_back(tensor_source("tensor.BF16", DType::kBF16, {3, 5}, bfloats));
  tensors.push_back(tensor_source("tensor.I64", DType::kI64, {3, 5}, counted<int64_t>(15)));
  tensors.push_back(tensor_source("tensor.I32", DType::kI32, {3, 5}, counted<int32_t>(15)));
  tensors.push_back(tensor_source("tensor.I16", DType::kI16, {3, 5}, counted<int16_t>(15)));
  tensors.push_back(tensor_source("tensor.I8", DType::kI8, {3, 5}, counted<int8_t>(15)));
  tensors.push_back(tensor_source("tensor.U8", DType::kU8, {3, 5}, counted<uint8_t>(15)));
  tensors.push_back(tensor_source("tensor.BOOL", DType::kBool, {3, 5}, booleans));
  tensors.push_back(tensor_source("scalar", DType::kF32, {}, std::vector<float>{7}));
  tensors.push_back(tensor_source("empty", DType::kF32, {0, 3}, std::vector<float>{}));
  tensors.push_back(tensor_source("name \"quoted\" \u00e9", DType::kI16, {2}, counted<int16_t>(2)));
  return tensors;
}

TEST(Safetensors, ReadsWhatPythonWrote) {
  const SafetensorsReader reader(kData / "mixed.safetensors");
  const std::vector<TensorSource> expected = mixed_tensors();
  ASSERT_EQ(reader.tensors().size(), expected.size());
  for (const TensorSource& tensor : expected) {
    const TensorView* view = reader.find(tensor.name);
    ASSERT_NE(view, nullptr) << tensor.name;
    EXPECT_EQ(view->dtype, tensor.dtype) << tensor.name;
    EXPECT_EQ(view->shape, tensor.shape) << tensor.name;
    const auto bytes = tensor.bytes();
    EXPECT_TRUE(std::equal(view->bytes.begin(), view->bytes.end(), bytes.begin(), bytes.end())) << tensor.name;
  }
  EXPECT_EQ(reader.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  EXPECT_EQ(reader.find("absent"), nullptr);
  EXPECT_EQ(reader.file_of("scalar").filename(), "mixed.safetensors");
}

TEST(Safetensors, WritesTheBytesThatPythonWrites) {
  const TemporaryFolder folder;
  write_safetensors(folder.path(), "mixed", mixed_tensors());
  EXPECT_TRUE(read_file(folder / "mixed.safetensors") == read_file(kData / "mixed.safetensors"));
}

TEST(Safetensors, WritesTheShardsThatHuggingFaceWrites) {
  const TemporaryFolder folder;
  std::vector<TensorSource> tensors;
  for (int i = 4; i >= 0; --i) tensors.push_back(counting_tensor("layers." + std::to_string(i) + ".weight", 4, 8, static_cast<float>(i)));
  write_safetensors(folder.path(), "model", tensors, {{"format", "pt"}}, 260);
  for (const char* name : {"model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"})
    EXPECT_TRUE(read_file(folder / name) == read_file(kData / "sharded" / name)) << name;
  EXPECT_FALSE(fs::exists(folder / "model.safetensors"));
  const Json ours = read_json(folder / "model.safetensors.index.json"), theirs = read_json(kData / "sharded/model.safetensors.index.json");
  EXPECT_EQ(ours["weight_map"], theirs["weight_map"]);
  EXPECT_EQ(ours["metadata"]["total_size"], theirs["metadata"]["total_size"]);
  EXPECT_EQ(ours["metadata"]["total_parameters"], 5 * 4 * 8);
}

TEST(Safetensors, ReadsShardsThroughTheFolderAndTheIndex) {
  for (const fs::path& path : {kData / "sharded", kData / "sharded/model.safetensors.index.json"}) {
    const SafetensorsReader reader(path);
    ASSERT_EQ(reader.tensors().size(), 5u);
    EXPECT_EQ(values_of<float>(*reader.find("layers.4.weight"))[1], 5.0f);
    EXPECT_EQ(reader.file_of("layers.4.weight").filename(), "model-00003-of-00003.safetensors");
  }
}

TEST(Safetensors, ATensorLargerThanAShardHasOneOfItsOwn) {
  const TemporaryFolder folder;
  write_safetensors(folder.path(), "model", {counting_tensor("a", 1, 2), counting_tensor("b", 10, 10), counting_tensor("c", 1, 2)}, {}, 64);
  const SafetensorsReader reader(folder.path());
  EXPECT_EQ(reader.file_of("b").filename(), "model-00002-of-00003.safetensors");
  EXPECT_EQ(values_of<float>(*reader.find("b")).back(), 99.0f);
}

TEST(Safetensors, AnotherStemIsFoundInTheFolder) {
  const TemporaryFolder folder;
  write_safetensors(folder.path(), "optimizer", {counting_tensor("a", 1, 2)});
  EXPECT_EQ(SafetensorsReader(folder.path(), "optimizer").tensors().size(), 1u);
}

TEST(Safetensors, AsksForTheBytesOfOneTensorAtATime) {
  const TemporaryFolder folder;
  std::vector<float> scratch(4);  // shared by all sources: each must be written before the next is asked
  const auto source = [&](const std::string& name, float value) {
    return TensorSource{name, DType::kF32, {4}, [&scratch, value] {
                          std::fill(scratch.begin(), scratch.end(), value);
                          return std::as_bytes(std::span(scratch));
                        }};
  };
  write_safetensors(folder.path(), "model", {source("b", 2), source("a", 1), source("c", 3)});
  const SafetensorsReader reader(folder.path());
  EXPECT_EQ(values_of<float>(*reader.find("a")), std::vector<float>(4, 1.0f));
  EXPECT_EQ(values_of<float>(*reader.find("b")), std::vector<float>(4, 2.0f));
  EXPECT_EQ(values_of<float>(*reader.find("c")), std::vector<float>(4, 3.0f));
}

TEST(Safetensors, SavedAgainIsByteEqual) {
  const TemporaryFolder folder;
  const SafetensorsReader reader(kData / "mixed.safetensors");
  std::vector<TensorSource> tensors;
  for (const auto& [name, view] : reader.tensors())
    tensors.push_back({name, view.dtype, view.shape, [&view = view] { return view.bytes; }});
  write_safetensors(folder.path(), "model", tensors, reader.metadata());
  EXPECT_TRUE(read_file(folder / "model.safetensors") == read_file(kData / "mixed.safetensors"));
}

}  // namespace
}  // namespace multimeditron
