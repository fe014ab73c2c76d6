#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/error.h"
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
  write_language_model(folder_ / "llm", "qwen3", 0);
  write_clip(folder_ / "clip", folder_ / "llm");
  const Pretrained llm = load_checkpoint(folder_ / "llm", at::kFloat);
  EXPECT_EQ(llm.model->llm().config().hidden_size, kHiddenSize);

  const ImageProcessor processor = ImageProcessor::load(folder_ / "clip");
  EXPECT_EQ(processor.height(), read_json(folder_ / "clip" / "config.json").at("vision_config").at("image_size").get<int64_t>());
}

TEST_F(DemoFiles, ALanguageModelSaysWhatRecipesNeed) {
  train_tokenizer(folder_ / "llm", 0, 64);
  write_language_model(folder_ / "llm", "llama", 0);
  const LanguageModel found = read_language_model((folder_ / "llm").string());
  EXPECT_EQ(found.folder, folder_ / "llm");
  EXPECT_EQ(found.hidden_size, kHiddenSize);
  EXPECT_EQ(found.tokenizer_type, "qwen3");  // ChatML, whatever the architecture
  fs::remove(folder_ / "llm" / "chat_template.jinja");
  Json config = read_json(folder_ / "llm" / "tokenizer_config.json");
  config.erase("chat_template");
  write_file_atomic(folder_ / "llm" / "tokenizer_config.json", config.dump());
  try {
    read_language_model((folder_ / "llm").string());
    FAIL() << "a model without chat template is no use";
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("no chat template"), std::string::npos) << error.what();
  }
}

TEST_F(DemoFiles, SameSeedSameWeights) {
  train_tokenizer(folder_ / "a", 0, 64);
  train_tokenizer(folder_ / "b", 0, 64);
  write_language_model(folder_ / "a", "llama", 1);
  write_language_model(folder_ / "b", "llama", 1);
  for (const char* file : {"tokenizer.json", "config.json", "model.safetensors"}) {
    EXPECT_EQ(read_file(folder_ / "a" / file), read_file(folder_ / "b" / file)) << file;
  }
}

}  // namespace
}  // namespace multimeditron::demo
