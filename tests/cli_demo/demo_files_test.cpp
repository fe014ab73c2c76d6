#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>

#include "base/file.h"
#include "cli/demo/data_sets.h"
#include "cli/demo/models.h"
#include "data/dataset.h"
#include "image/image.h"
#include "image/processor.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

/// A folder of its own for each test.
class DemoFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / (std::string("demo_") + testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

constexpr DataSetSizes kFew{16, 16, 16, 16};

TEST_F(DemoFiles, DataSetsHoldOneImageForEachAttachmentToken) {
  write_data_sets(folder_ / "data", 0, kFew);
  for (const char* name : {"text", "alignment", "instructions", "test"}) {
    const auto dataset = open_dataset(folder_ / "data" / name);
    EXPECT_EQ(dataset->size(), std::string(name) == "test" ? 40 : 16) << name;
    for (int64_t i = 0; i < dataset->size(); ++i) {
      const Row row = dataset->row(i);
      size_t tokens = 0;
      for (const Message& message : row.conversations) tokens += message.content.find(kAttachmentToken) != std::string::npos;
      EXPECT_EQ(tokens, row.modalities.size()) << dataset->place(i);
      EXPECT_EQ(tokens, std::string(name) == "text" ? 0u : 1u) << dataset->place(i);
    }
  }
}

TEST_F(DemoFiles, NoTestImageIsTrainedOn) {
  write_data_sets(folder_ / "data", 0, kFew);
  std::set<std::string> trained;
  for (const char* name : {"alignment", "instructions"}) {
    const auto dataset = open_dataset(folder_ / "data" / name);
    for (int64_t i = 0; i < dataset->size(); ++i) trained.insert(dataset->row(i).modalities.at(0).bytes);
  }
  EXPECT_EQ(trained.size(), 32u);
  const auto test = open_dataset(folder_ / "data" / "test");
  for (int64_t i = 0; i < test->size(); ++i) EXPECT_FALSE(trained.contains(test->row(i).modalities.at(0).bytes)) << i;
}

TEST_F(DemoFiles, DataSetsThatExistAreLeftAlone) {
  write_data_sets(folder_ / "data", 0, kFew);
  const auto written = fs::last_write_time(folder_ / "data" / "test" / "state.json");
  write_data_sets(folder_ / "data", 0, kFew);
  EXPECT_EQ(fs::last_write_time(folder_ / "data" / "test" / "state.json"), written);
}

TEST_F(DemoFiles, ModelsAreOrdinaryFolders) {
  train_tokenizer(folder_ / "llm", 0, 64);
  write_language_model(folder_ / "llm", 0);
  write_vision_tower(folder_ / "clip", 0);
  const Pretrained llm = load_checkpoint(folder_ / "llm", at::kFloat);
  EXPECT_EQ(llm.model->llm().config().hidden_size, kHiddenSize);

  const SafetensorsReader weights(folder_ / "clip");
  EXPECT_NE(weights.find("vision_model.embeddings.patch_embedding.weight"), nullptr);
  const ImageProcessor processor = ImageProcessor::load(folder_ / "clip");
  EXPECT_EQ(processor.height(), 64);
}

TEST_F(DemoFiles, SameSeedSameWeights) {
  train_tokenizer(folder_ / "a", 0, 64);
  train_tokenizer(folder_ / "b", 0, 64);
  write_language_model(folder_ / "a", 1);
  write_language_model(folder_ / "b", 1);
  for (const char* file : {"tokenizer.json", "config.json", "model.safetensors"}) {
    EXPECT_EQ(read_file(folder_ / "a" / file), read_file(folder_ / "b" / file)) << file;
  }
}

}  // namespace
}  // namespace multimeditron::demo
