#include "checkpoint/torch_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/temporary_folder.h"
#include "checkpoint/tensors.h"
#include "checkpoint/weights.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(TEST_DATA) / "torch_file";

void expect_equal(const std::map<std::string, TensorView>& found, const std::map<std::string, TensorView>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    SCOPED_TRACE(name);
    const auto entry = found.find(name);
    ASSERT_NE(entry, found.end());
    EXPECT_EQ(entry->second.dtype, tensor.dtype);
    EXPECT_EQ(entry->second.shape, tensor.shape);
    EXPECT_TRUE(std::ranges::equal(entry->second.bytes, tensor.bytes));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(entry->second.bytes.data()) % size_of(tensor.dtype), 0u);
  }
}

TEST(TorchFile, GivesTheTensorsThatTorchSaved) {
  const SafetensorsReader expected(kFolder / "expected.safetensors");
  for (const char* name : {"dict.bin", "protocol_4.bin", "old.bin"}) {
    SCOPED_TRACE(name);
    expect_equal(TorchFileReader(kFolder / name).tensors(), expected.tensors());
  }
}

TEST(TorchFile, TakesAStateDictOutOfATrainingProgramsCheckpoint) {
  const SafetensorsReader expected(kFolder / "state_dict.safetensors");
  for (const char* name : {"state_dict.bin", "checkpoint.bin"}) {
    SCOPED_TRACE(name);
    expect_equal(TorchFileReader(kFolder / name).tensors(), expected.tensors());
  }
}

TEST(Weights, AreFoundInAFolderUnderAnyOfTheNames) {
  const TemporaryFolder folder;
  const SafetensorsReader expected(kFolder / "state_dict.safetensors");
  const WeightsReader sharded(kFolder / "sharded");
  EXPECT_EQ(values_of<float>(*sharded.find("c")).at(1), 100);  // 'c' is 99
  EXPECT_EQ(sharded.file_of("c").filename(), "pytorch_model-00002-of-00002.bin");
  EXPECT_EQ(sharded.find("d"), nullptr);
  for (const char* name : {"open_clip_pytorch_model.bin", "pytorch_model.bin"}) {
    fs::copy_file(kFolder / "state_dict.bin", folder / name);
    const WeightsReader weights(folder.path());
    expect_equal(weights.tensors(), expected.tensors());
    EXPECT_EQ(weights.file_of("norm.weight").filename(), name);
  }
  for (const char* name : {"open_clip_pytorch_model.safetensors", "open_clip_model.safetensors", "model.safetensors"}) {
    fs::copy_file(kFolder / "state_dict.safetensors", folder / name);
    EXPECT_EQ(WeightsReader(folder.path()).file_of("norm.weight").filename(), name);
  }
  fs::remove(folder / "model.safetensors");
  fs::copy_file(kFolder / "sharded/pytorch_model.bin.index.json", folder / "model.bin.index.json");
  EXPECT_USER_ERROR(WeightsReader(folder / "model.bin.index.json"), "pytorch_model-00001-of-00002.bin", "missing");
}

// ---- files by hand

std::string little(uint64_t value, size_t width) {
  std::string bytes(width, '\0');
  std::memcpy(bytes.data(), &value, std::min(width, sizeof value));
  return bytes;
}

std::string text(const std::string& value) {
  return "X" + little(value.size(), 4) + value;
}

struct ZipEntry {
  std::string name, content;
  uint64_t method = 0, flags = 0, claimed_size = UINT64_MAX, offset = UINT64_MAX;
};

/// A zip archive of stored entries; CRCs are not looked at.
std::string zip(const std::vector<ZipEntry>& entries) {
  std::string file, table;
  for (const ZipEntry& entry : entries) {
    const uint64_t size = std::min(entry.claimed_size, uint64_t{entry.content.size()});
    const std::string sizes = little(entry.claimed_size == UINT64_MAX ? size : entry.claimed_size, 4);
    table += "PK\x01\x02" + little(0, 4) + little(entry.flags, 2) + little(entry.method, 2) + little(0, 8) + sizes + sizes +
             little(entry.name.size(), 2) + little(0, 12) + little(entry.offset == UINT64_MAX ? file.size() : entry.offset, 4) + entry.name;
    file += "PK\x03\x04" + little(0, 22) + little(entry.name.size(), 2) + little(0, 2) + entry.name + entry.content;
  }
  return file + table + "PK\x05\x06" + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) + little(table.size(), 4) +
         little(file.size(), 4) + little(0, 2);
}

/// An archive with this pickle and one storage `0` of four floats.
std::string archive(const std::string& pickle) {
  return zip({{"archive/data.pkl", pickle}, {"archive/data/0", std::string(16, '\1')}});
}

std::string integer(int64_t value) {
  return "\x8a\x08" + little(static_cast<uint64_t>(value), 8);
}

std::string tuple(const std::vector<int64_t>& values) {
  std::string items;
  for (const int64_t value : values) items += integer(value);
  return "(" + items + "t";
}

/// The opcodes of a tensor on storage `key` of `numel` floats.
std::string tensor(int64_t offset, const std::vector<int64_t>& shape, const std::vector<int64_t>& stride, int64_t numel = 4,
                   const std::string& key = "0") {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text(key) + text("cpu") + integer(numel) +
         "tQ" + integer(offset) + tuple(shape) + tuple(stride) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

std::string dict(const std::string& value) {
  return "\x80\x02}" + text("a") + value + "s.";
}

class HostileTorchFile : public testing::Test {
 protected:
  TorchFileReader read(const std::string& bytes) {
    std::ofstream(file_, std::ios::binary) << bytes;
    return TorchFileReader(file_);
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "bad.bin";
};

TEST_F(HostileTorchFile, TheHandMadeFileIsRead) {
  const TorchFileReader reader = read(archive(dict(tensor(1, {3}, {1}))));
  ASSERT_EQ(reader.tensors().size(), 1u);
  EXPECT_EQ(reader.tensors().at("a").bytes.size(), 12u);
}

TEST_F(HostileTorchFile, NothingButTensorsIsTakenAndNothingIsExecuted) {
  const fs::path marker = folder_ / "executed";
  const std::string command = text("touch " + marker.string());
  const auto refused = [&](const std::string& pickle, const std::string& name) {
    EXPECT_USER_ERROR(read(archive(pickle)), "something other than tensors", "bad.bin", name, "torch.save(model.state_dict(), FILE)");
  };
  refused(
      "\x80\x02"
      "cposix\nsystem\n" +
          command + "\x85R.",
      "posix.system");
  refused(dict("cbuiltins\neval\n" + command + "\x85R"), "builtins.eval");
  refused("\x80\x04" + text("os") + text("system") + "\x93" + command + "\x85R.", "os.system");
  refused(dict("ctorch._utils\n_rebuild_tensor\n)R"), "torch._utils._rebuild_tensor");
  refused(dict("cargparse\nNamespace\n)\x81"), "argparse.Namespace");
  refused(dict("(" + command + "i__main__\nrun\n"), "construction");
  refused(dict("ccollections\nOrderedDict\n]\x85R"), "OrderedDict");
  refused(dict(command + ")R"), "a call of a string");
  refused(dict("}K\x01"
               "b"),
          "attributes");
  refused(dict("\x82\x01"), "operation 0x82");
  EXPECT_FALSE(fs::exists(marker));
}

TEST_F(HostileTorchFile, ValuesThatAreNoTensorsAreNamed) {
  EXPECT_USER_ERROR(read(archive("\x80\x02" + tensor(0, {4}, {1}) + ".")), "a tensor where a dictionary of tensors was expected");
  EXPECT_USER_ERROR(read(archive(dict(text("patient")))), "entry a", "a string where a tensor was expected");
  EXPECT_USER_ERROR(read(archive("\x80\x02}K\x07" + tensor(0, {4}, {1}) + "s.")), "an integer where a tensor's name was expected");
}

TEST_F(HostileTorchFile, ElementsOutsideTheStorageAreRefused) {
  const auto refused = [&](const std::string& value, const std::string& found) {
    EXPECT_USER_ERROR(read(archive(dict(value))), "malformed", "bad.bin", found);
  };
  refused(tensor(0, {5}, {1}), "tensor a");
  refused(tensor(1, {4}, {1}), "elements up to number 4 of a storage of 4");
  refused(tensor(0, {2, 2}, {3, 1}), "elements up to number 4");
  refused(tensor(4, {1}, {1}), "elements up to number 4");
  refused(tensor(4, {}, {}), "elements up to number 4");
  refused(tensor(-1, {1}, {1}), "offset");
  refused(tensor(0, {-1}, {1}), "shape or stride");
  refused(tensor(0, {2}, {-1}), "shape or stride");
  refused(tensor(0, {INT64_MAX, INT64_MAX}, {0, 0}), "more bytes than can be counted");
  refused(tensor(INT64_MAX, {2}, {INT64_MAX}), "more bytes than can be counted");
  refused(tensor(0, {int64_t{1} << 40}, {0}), "bytes out of a file of");  // a terabyte out of four numbers
  refused(tensor(0, {2}, {1, 1}), "strides");
  refused(tensor(0, {4}, {1}, int64_t{1} << 60), "a storage of 16 bytes");
  refused(tensor(0, {4}, {1}, 5), "a storage of 16 bytes");
  refused(tensor(0, {4}, {1}, 4, "1"), "no storage 1");
  refused(tensor(0, {4}, {1}, 4, "../../etc/passwd"), "no storage");
  refused(tensor(0, std::vector<int64_t>(65, 1), std::vector<int64_t>(65, 1)), "shape or stride");
  EXPECT_EQ(read(archive(dict(tensor(4, {0}, {1})))).tensors().at("a").bytes.size(), 0u);
}

/// Memory is bounded by the file: what a pickle names again and again is kept once.
TEST_F(HostileTorchFile, RepetitionCostsNoMemory) {
  const std::string storage =
      text("storage") + "ctorch\nFloatStorage\n" + text(std::string(300'000, 'k')) + "q\x07" + text("cpu") + integer(4);
  std::string pickle = "\x80\x02(" + storage + "tQ0";
  const std::string again = "(" + text("storage") + "ctorch\nFloatStorage\nh\x07" + text("cpu") + integer(4) + "tQ0";
  for (int i = 0; i < 5000; ++i) pickle += again;
  reset_peak_resident();
  const int64_t before = peak_resident_bytes();
  EXPECT_EQ(read(archive(pickle + "}.")).tensors().size(), 0U);
  EXPECT_LT(peak_resident_bytes() - before, 64 << 20);
}

TEST_F(HostileTorchFile, NumbersUnderWhichValuesAreKeptAreBounded) {
  EXPECT_USER_ERROR(read(archive("\x80\x02}r" + little(uint64_t{1} << 31, 4) + ".")), "malformed", "kept under a number");
  EXPECT_USER_ERROR(read(archive("\x80\x02}q\x05h\x04s.")), "malformed", "a reference to nothing");
}

TEST_F(HostileTorchFile, EveryTruncationIsRefused) {
  const std::string whole = read_file(kFolder / "dict.bin"), old = read_file(kFolder / "old.bin");
  for (const std::string* content : {&whole, &old}) {
    for (size_t size = 0; size < content->size(); size += 97) {
      EXPECT_THROW(read(content->substr(0, size)), UserError) << size;
    }
  }
  EXPECT_USER_ERROR(read(old.substr(0, old.size() - 1)), "truncated", "bad.bin", "storage");
  EXPECT_USER_ERROR(read(archive("\x80\x02}X\xff\xff\xff\xff")), "truncated", "pickle, byte 3");
  EXPECT_USER_ERROR(read(archive("\x80\x02}")), "truncated");
}

/// Whatever bits are turned, the answer is tensors within the file or a UserError; the sanitizer build watches.
TEST_F(HostileTorchFile, TurnedBitsNeverLeadOutsideTheFile) {
  for (const char* name : {"dict.bin", "old.bin", "checkpoint.bin"}) {
    const std::string whole = read_file(kFolder / name);
    uint64_t state = 1, refused = 0, sum = 0;
    for (int round = 0; round < 250; ++round) {
      std::string turned = whole;
      for (int i = 0; i < 2; ++i) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        turned[(state >> 33) % turned.size()] ^= static_cast<char>(1u << (state >> 60 & 7));
      }
      try {
        const TorchFileReader reader = read(turned);
        for (const auto& [tensor, view] : reader.tensors()) {
          for (const std::byte byte : view.bytes) sum += static_cast<uint64_t>(byte);
        }
      } catch (const UserError&) {
        ++refused;
      }
    }
    EXPECT_GT(refused, 10u);
    EXPECT_GT(sum, 0u);
  }
}

TEST_F(HostileTorchFile, NestingAndCyclesCostNoStack) {
  std::string nested = "\x80\x02";
  for (int i = 0; i < 1'000'000; ++i) nested += i == 0 ? ")" : "\x85";
  EXPECT_USER_ERROR(read(archive(nested + ".")), "a tuple where a dictionary of tensors was expected");
  EXPECT_USER_ERROR(read(archive("\x80\x02}q\x01" + text("a") + "h\x01s.")), "entry a", "a dictionary where a tensor was expected");
  EXPECT_USER_ERROR(read(archive("\x80\x02" + std::string(3'000'000, ')') + ".")), "more than");
  for (const char* pickle : {"\x80\x02.", "\x80\x02s.", "\x80\x02t.", "\x80\x02(.", "\x80\x02h\x05.", "\x80\x02q\x05.", "\x80\x02Na.",
                             "\x80\x02NNNs.", "\x80\x02NQ.", "\x80\x02NN.", "\x80\x07N."}) {
    EXPECT_USER_ERROR(read(archive(pickle)), "malformed");
  }
}

TEST_F(HostileTorchFile, ArchivesOfOtherKindsAreRefused) {
  const std::string pickle = dict(tensor(0, {4}, {1}));
  const ZipEntry good{"archive/data.pkl", pickle}, storage{"archive/data/0", std::string(16, '\1')};
  EXPECT_NO_THROW(read(zip({good, storage})));
  const auto refused = [&](const std::vector<ZipEntry>& entries, const std::string& found) {
    EXPECT_USER_ERROR(read(zip(entries)), "bad.bin", found);
  };
  refused({{.name = "archive/data.pkl", .content = pickle, .method = 8}, storage}, "compressed");
  refused({{.name = "archive/data.pkl", .content = pickle, .flags = 1}, storage}, "encrypted");
  refused({good, good, storage}, "two entries");
  refused({{.name = "archive/data.pkl", .content = pickle, .claimed_size = 1'000'000}, storage}, "truncated");
  refused({{.name = "archive/data.pkl", .content = pickle, .offset = 0xfffffff0}, storage}, "truncated");
  refused({{.name = "archive/data.pkl", .content = pickle, .offset = 3}, storage}, "no content");
  refused({storage, {.name = "archive/data.pkl", .content = pickle, .offset = 0}}, "content of another name");
  refused({storage}, "no data.pkl");
  refused({good, storage, {"archive/byteorder", "big"}}, "big");
  EXPECT_USER_ERROR(read("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull");
  EXPECT_USER_ERROR(read(""), "an empty file");
  EXPECT_USER_ERROR(read("\x80\x02N."), "a pickle that torch.save did not write");
  EXPECT_USER_ERROR(read("GIF89a"), "neither a zip archive nor a pickle");
}

}  // namespace
}  // namespace multimeditron
