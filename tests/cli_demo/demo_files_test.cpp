#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/json.h"
#include "cli/demo/data_sets.h"
#include "cli/demo/models.h"
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

TEST_F(DemoFiles, ModelsAreOrdinaryFolders) {
  train_tokenizer(folder_ / "llm", 0, 64);
  write_language_model(folder_ / "llm", 0);
  write_clip(folder_ / "clip", folder_ / "llm");
  const Pretrained llm = load_checkpoint(folder_ / "llm", at::kFloat);
  EXPECT_EQ(llm.model->llm().config().hidden_size, kHiddenSize);

  const ImageProcessor processor = ImageProcessor::load(folder_ / "clip");
  EXPECT_EQ(processor.height(), read_json(folder_ / "clip" / "config.json").at("vision_config").at("image_size").get<int64_t>());
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
