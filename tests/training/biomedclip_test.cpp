#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/weights.h"
#include "run_case.h"

// `meditron_biomedclip` from the hub's files to an answer.
namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kCase = fs::path(TEST_DATA) / "case_biomedclip";
const fs::path kVision = fs::path(TEST_DATA) / "vision";
const std::string kPrefix = "modalities_with_projection.0.feature_extractor.";

/// Overrides that build the model from the other case's language model and an encoder, as a first stage does.
std::vector<std::string> from_parts(const fs::path& encoder, std::vector<std::string> more = {}) {
  std::vector<std::string> overrides{"base_model=null",
                                     "base_llm=" + (fs::path(TEST_DATA) / "case_two/llm/qwen3").string(),
                                     "token_size=45",
                                     "modalities.0.hidden_size=45",
                                     "modalities.0.clip_name=" + encoder.string(),
                                     "training_args.max_steps=2",
                                     "training_args.save_strategy=steps"};
  overrides.insert(overrides.end(), more.begin(), more.end());
  return overrides;
}

fs::path newest(const fs::path& run) {
  return checkpoint_path(run, list_checkpoints(run).back());
}

Result answer_of(const fs::path& folder) {
  return run({"generate", "--model", folder.string(), "--image", (fs::path(TEST_DATA) / "image/png-rgb-8.png").string(), "--max-new-tokens",
              "4", "--json", "Which organ?"});
}

TEST(BiomedClipTraining, ACheckpointHoldsTheWholeEncoderUnderItsNames) {
  const TemporaryFolder folder;
  const Result result = train_case("case_biomedclip", "alignment", folder.path(), from_parts(kCase / "vision/biomedclip"));
  ASSERT_EQ(result.code, 0) << result.err;
  const fs::path checkpoint = newest(folder.path() / "alignment");
  const SafetensorsReader written(checkpoint);
  const WeightsReader source(kCase / "vision/biomedclip");
  for (const auto& [name, view] : source.tensors()) {
    const TensorView* ours = written.find(kPrefix + name);
    ASSERT_NE(ours, nullptr) << name;
    EXPECT_EQ(ours->shape, view.shape);
  }
  size_t extractor = 0;
  for (const auto& [name, view] : written.tensors()) extractor += name.starts_with(kPrefix);
  EXPECT_EQ(extractor, source.tensors().size());
  const Json config = read_json(checkpoint / "config.json")["modalities"][0];
  EXPECT_EQ(config["model_type"], "meditron_biomedclip");
  EXPECT_EQ(config["trust_remote_code"], true);
  EXPECT_EQ(config["clip_config"]["model_type"], "timm_vit");
  EXPECT_EQ(config["image_processor_config"]["open_clip"]["size"], 32);

  const Result answer = answer_of(folder.path() / "alignment");  // from anywhere: the checkpoint needs no other folder
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_GT(Json::parse(answer.out)["prompt_tokens"].get<int>(), 16);
}

/// A checkpoint keeps the size that it was trained at; a recipe that says another is told so.
TEST(BiomedClipTraining, AnotherImageSizeThanTheCheckpointsIsNotUsedSilently) {
  const TemporaryFolder folder;
  ASSERT_EQ(train_case("case_biomedclip", "alignment", folder.path(), from_parts(kCase / "vision/biomedclip")).code, 0);
  const Result result = run_command({"env", "-C", kCase.string(), PROGRAM, "train", "--config", "cases/qwen3_clip/alignment.yaml",
                                     "base_model=" + (folder / "alignment").string(), "token_size=45", "modalities.0.hidden_size=45",
                                     "modalities.0.image_size=64", "training_args.max_steps=1"},
                                    {"CASE_ROOT=" + kCase.string(), "OUT=" + (folder / "again").string()});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("modalities.0.image_size (64; the checkpoint has 32)"), std::string::npos) << result.err;
}

TEST(BiomedClipTraining, EveryLayoutOfTheEncoderTrainsAlike) {
  const TemporaryFolder folder;
  std::vector<std::vector<double>> losses;
  for (const char* name : {"biomedclip", "vit", "dual"}) {
    const Result result = train_case("case_biomedclip", "alignment", folder / name, from_parts(kVision / name));
    ASSERT_EQ(result.code, 0) << result.err;
    losses.emplace_back();
    for (const Json& step : step_lines(folder.path() / name / "alignment/metrics.jsonl")) losses.back().push_back(step.at("loss"));
  }
  // transformers' processor squashes where open_clip crops: other pixels, so only the first two are of one kind.
  EXPECT_EQ(losses[1], losses[2]);
  EXPECT_EQ(losses[0].size(), 2u);
  const SafetensorsReader written(newest(folder.path() / "vit/alignment")), open_clip(newest(folder.path() / "biomedclip/alignment"));
  const std::string qkv = kPrefix + "visual.trunk.blocks.1.attn.qkv.weight";
  EXPECT_TRUE(std::ranges::equal(written.find(qkv)->bytes, open_clip.find(qkv)->bytes));
  EXPECT_NE(SafetensorsReader(newest(folder.path() / "dual/alignment")).find(kPrefix + "visual.head.proj.weight"), nullptr);
}

/// What a wrapper on the hub puts in front of its names stays in the checkpoint, and is found in the original's.
TEST(BiomedClipTraining, AWrappersPrefixIsKept) {
  const TemporaryFolder folder;
  const fs::path encoder = folder / "encoder";
  fs::copy(kVision / "biomedclip", encoder);
  const WeightsReader source(encoder);
  std::vector<TensorSource> tensors;
  for (const auto& [name, view] : source.tensors())
    tensors.push_back({.name = "model." + name, .dtype = view.dtype, .shape = view.shape, .bytes = [bytes = view.bytes] { return bytes; }});
  write_safetensors(encoder, "model", tensors);
  ASSERT_EQ(train_case("case_biomedclip", "alignment", folder / "first", from_parts(encoder)).code, 0);
  const fs::path checkpoint = newest(folder.path() / "first/alignment");
  EXPECT_NE(SafetensorsReader(checkpoint).find(kPrefix + "model.visual.trunk.cls_token"), nullptr);
  EXPECT_NE(SafetensorsReader(checkpoint).find(kPrefix + "model.logit_scale"), nullptr);
  const Result second = train_case("case_biomedclip", "end2end", folder / "second",
                                   {"base_model=" + checkpoint.string(), "token_size=45", "modalities.0.hidden_size=45",
                                    "training_args.max_steps=1", "training_args.save_strategy=steps"});
  ASSERT_EQ(second.code, 0) << second.err;
  EXPECT_NE(SafetensorsReader(newest(folder.path() / "second/end2end")).find(kPrefix + "model.visual.trunk.cls_token"), nullptr);
}

TEST(BiomedClipTraining, AnInterruptedRunEndsWithTheSameBits) {
  const TemporaryFolder folder;
  const std::vector<std::string> saves{"training_args.max_steps=4", "training_args.save_strategy=steps", "training_args.save_steps=2"};
  ASSERT_EQ(train_case("case_biomedclip", "full", folder / "whole", saves).code, 0);
  std::vector<std::string> overrides = saves;
  overrides.push_back("resume_from_checkpoint=" + (folder.path() / "whole/full/checkpoint-2").string());
  ASSERT_EQ(train_case("case_biomedclip", "full", folder / "again", overrides).code, 0);
  EXPECT_EQ(content_of(folder.path() / "whole/full/checkpoint-4/model.safetensors"),
            content_of(folder.path() / "again/full/checkpoint-4/model.safetensors"));
}

TEST(BiomedClipTraining, AnotherImageSizeIsAskedForOrRefused) {
  const TemporaryFolder folder;
  const fs::path encoder = folder / "encoder";
  fs::copy(kVision / "vit", encoder);
  write_file_atomic(encoder / "preprocessor_config.json",
                    R"({"image_processor_type": "ViTImageProcessor", "size": {"height": 48, "width": 48}, "resample": 3})");
  const Result refused = train_case("case_biomedclip", "alignment", folder.path(), from_parts(encoder));
  EXPECT_EQ(refused.code, 2);
  for (const char* part : {"the processor makes 48 x 48 pixels, the encoder takes 32 x 32", "image_size: 48"})
    EXPECT_NE(refused.err.find(part), std::string::npos) << refused.err;
  const Result odd = train_case("case_biomedclip", "alignment", folder.path(), from_parts(encoder, {"modalities.0.image_size=50"}));
  EXPECT_EQ(odd.code, 2);
  EXPECT_NE(odd.err.find("48 or 56"), std::string::npos) << odd.err;
  const Result result = train_case("case_biomedclip", "alignment", folder.path(), from_parts(encoder, {"modalities.0.image_size=48"}));
  ASSERT_EQ(result.code, 0) << result.err;
  const fs::path checkpoint = newest(folder.path() / "alignment");
  EXPECT_EQ(read_json(checkpoint / "config.json")["modalities"][0]["image_size"], 48);
  EXPECT_EQ(SafetensorsReader(checkpoint).find(kPrefix + "visual.trunk.pos_embed")->shape, (std::vector<int64_t>{1, 17, 24}));
  const Result answer = answer_of(checkpoint);
  ASSERT_EQ(answer.code, 0) << answer.err;
  EXPECT_GT(Json::parse(answer.out)["prompt_tokens"].get<int>(), 36);
}

TEST(BiomedClipTraining, AnEncoderOfTheOtherKindIsNamed) {
  const TemporaryFolder folder;
  const Result clip = train_case("case_biomedclip", "alignment", folder.path(),
                                 from_parts(kVision / "biomedclip", {"modalities.0.model_type=meditron_clip"}));
  EXPECT_EQ(clip.code, 2);
  EXPECT_NE(clip.err.find("write model_type: meditron_biomedclip"), std::string::npos) << clip.err;
  // A CLIP of transformers' is one, whatever the recipe calls it.
  EXPECT_EQ(train_case("case_biomedclip", "alignment", folder.path(), from_parts(fs::path(TEST_DATA) / "case_two/vision/clip")).code, 0);
}

/// Weights that would run a command when Python unpickles them: one message, exit code 2, and the command has not run.
TEST(BiomedClipTraining, APickleThatIsAProgramIsRefused) {
  const TemporaryFolder folder;
  const fs::path encoder = folder / "encoder", marker = folder / "executed";
  fs::copy(kVision / "biomedclip", encoder);
  const std::string command = "touch " + marker.string();
  const std::string pickle = std::string("\x80\x02") + "cposix\nsystem\n" + "U" + static_cast<char>(command.size()) + command + "\x85R.";
  const auto number = [](uint64_t value, size_t width) {
    std::string bytes(width, '\0');
    std::memcpy(bytes.data(), &value, std::min(width, sizeof value));
    return bytes;
  };
  const std::string name = "archive/data.pkl", sizes = number(pickle.size(), 4) + number(pickle.size(), 4) + number(name.size(), 2);
  const std::string local = "PK\x03\x04" + number(0, 14) + sizes + number(0, 2) + name + pickle;
  const std::string table = "PK\x01\x02" + number(0, 8) + number(0, 8) + sizes + number(0, 16) + name;
  const std::string end =
      "PK\x05\x06" + number(0, 4) + number(1, 2) + number(1, 2) + number(table.size(), 4) + number(local.size(), 4) + number(0, 2);
  std::ofstream(encoder / "open_clip_pytorch_model.bin", std::ios::binary) << local + table + end;
  const Result result = train_case("case_biomedclip", "alignment", folder.path(), from_parts(encoder));
  EXPECT_EQ(result.code, 2);
  for (const char* part : {"something other than tensors", "open_clip_pytorch_model.bin", "posix.system", "nothing was executed"})
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(marker));
}

/// A CLIP repository of the hub that has only pytorch_model.bin.
TEST(ClipWeights, AreReadFromPytorchModelBin) {
  const TemporaryFolder folder;
  const fs::path encoder = folder / "clip";
  fs::copy(fs::path(TEST_DATA) / "vision/clip_bin", encoder);
  const Result result = train_case("case_biomedclip", "alignment", folder.path(),
                                   from_parts(encoder, {"modalities.0.model_type=meditron_clip", "modalities.0.trust_remote_code=false"}));
  ASSERT_EQ(result.code, 0) << result.err;
  const SafetensorsReader written(newest(folder.path() / "alignment"));
  EXPECT_NE(written.find(kPrefix + "vision_model.encoder.layers.0.self_attn.q_proj.weight"), nullptr);
  EXPECT_NE(written.find(kPrefix + "text_projection.weight"), nullptr);
}

}  // namespace
}  // namespace multimeditron::testing
