#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "base/file.h"
#include "checkpoint/folder.h"
#include "run_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

/// Each mistake gets one message with place, finding and remedy, and exit code 2.
void expect_mistake(const Result& result, const std::vector<std::string>& parts) {
  EXPECT_EQ(result.code, 2) << result.err;
  for (const std::string& part : parts) EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;
}

fs::path copy_of(const std::string& name, const TemporaryFolder& folder, const std::string& part) {
  const fs::path target = folder / fs::path(part).filename().string();
  fs::copy(fs::path(TEST_DATA) / name / part, target, fs::copy_options::recursive);
  return target;
}

TEST(Mistakes, MissingModelFolder) {
  const TemporaryFolder folder;
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=nowhere/checkpoint-3"}), {"nowhere/checkpoint-3"});
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=null", "base_llm=someone/missing-llm"}),
                 {"someone/missing-llm", "base_llm"});
  EXPECT_FALSE(fs::exists(folder.path() / "alignment")) << "an empty folder would look like a run to the next stage";
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder / "outer/inner", {"base_model=nowhere/checkpoint-3"}), {"nowhere"});
  EXPECT_FALSE(fs::exists(folder / "outer"));
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(),
                            {"base_model=null", "base_llm=" + (fs::path(TEST_DATA) / "case_qwen3_clip/vision/clip").string()}),
                 {"holds no language model", "name the folder of a language model"});
  // The mended recipe runs in the same folder: nothing was claimed.
  EXPECT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=1"}).code, 0);
}

TEST(Mistakes, AMissingCheckpointNamesThoseThatExist) {
  const TemporaryFolder folder;
  ASSERT_EQ(
      train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=2", "training_args.save_strategy=steps"}).code,
      0);
  expect_mistake(
      train_case("case_qwen3_clip", "end2end", folder.path(), {"base_model=" + (folder.path() / "alignment/checkpoint-333").string()}),
      {"checkpoint-333", "checkpoint-2"});
}

TEST(Mistakes, MissingDataSet) {
  const TemporaryFolder folder;
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"datasets.0.packed_path=no/such/data"}),
                 {"no/such/data", "packed_path"});
}

TEST(Mistakes, AnAlignmentWithoutImages) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "text.jsonl", R"({"text": "A lesion in the liver."})"
                                           "\n");
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"datasets.0.packed_path=" + (folder / "text.jsonl").string()}),
                 {"no sample of the first step has an image", "modalities"});
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(),
                            {"base_model=null", "attachment_token=<|other|>", "training_args.output_dir=" + (folder / "other").string()}),
                 {"attachment tokens do not match", "`attachment_token`"});
}

TEST(Mistakes, TruncatedWeights) {
  const TemporaryFolder folder;
  const fs::path checkpoint = copy_of("case_qwen3_clip", folder, "cases/qwen3_clip/checkpoint");
  fs::resize_file(checkpoint / "model.safetensors", fs::file_size(checkpoint / "model.safetensors") - 1000);
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=" + checkpoint.string()}),
                 {"model.safetensors", "truncated"});
}

TEST(Mistakes, TensorOfTheWrongShape) {
  const TemporaryFolder folder;
  const fs::path checkpoint = copy_of("case_qwen3_clip", folder, "cases/qwen3_clip/checkpoint");
  Json config = read_json(checkpoint / "config.json");
  config["vocab_size"] = 700;
  write_file_atomic(checkpoint / "config.json", config.dump());
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=" + checkpoint.string()}),
                 {"wrong shape", "model.model.embed_tokens.weight", "[698, 64] where [700, 64] was expected"});
}

TEST(Mistakes, MoreThanOneModality) {
  const TemporaryFolder folder;
  const fs::path checkpoint = copy_of("case_qwen3_clip", folder, "cases/qwen3_clip/checkpoint");
  Json config = read_json(checkpoint / "config.json");
  const Json modality = config["modalities"][0];
  config["modalities"].push_back(modality);
  write_file_atomic(checkpoint / "config.json", config.dump());
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=" + checkpoint.string()}),
                 {"one modality can be run", "2 entries"});
}

TEST(Mistakes, AnotherAttachmentTokenThanTheCheckpointsIsToldAndNotUsed) {
  const TemporaryFolder folder;
  const std::string root = (fs::path(TEST_DATA) / "case_qwen3_clip").string();
  const Result result = run_command({"env", "-C", root, PROGRAM, "train", "--config", "cases/qwen3_clip/alignment.yaml",
                                     "training_args.max_steps=1", "attachment_token=<|endoftext|>"},
                                    {"CASE_ROOT=" + root, "OUT=" + folder.path().string()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_NE(result.err.find("<|endoftext|> is not used"), std::string::npos) << result.err;
}

TEST(Mistakes, MissingTensor) {
  const TemporaryFolder folder;
  const fs::path llm = copy_of("case_qwen3_clip", folder, "llm/qwen3");
  Json config = read_json(llm / "config.json");
  config["num_hidden_layers"] = 3;
  write_file_atomic(llm / "config.json", config.dump());
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=null", "base_llm=" + llm.string()}),
                 {"tensors are missing", "model.layers.2.self_attn.q_proj.weight", "more"});
}

TEST(Mistakes, TokenizerWithoutChatTemplate) {
  const TemporaryFolder folder;
  const fs::path checkpoint = copy_of("case_qwen3_clip", folder, "cases/qwen3_clip/checkpoint");
  fs::remove(checkpoint / "chat_template.jinja");
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"base_model=" + checkpoint.string()}), {"chat template"});
}

TEST(Mistakes, TokenSizeThatDisagrees) {
  const TemporaryFolder folder;
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"token_size=96", "modalities.0.hidden_size=96"}),
                 {"token_size", "64", "96"});
}

TEST(Mistakes, OutputFolderOfAnotherRecipe) {
  const TemporaryFolder folder;
  ASSERT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=1"}).code, 0);
  expect_mistake(
      train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=1", "training_args.learning_rate=0.5"}),
      {"another recipe", "learning_rate", "0.5", "--fresh"});
}

/// An unfinished run of the Python original: its checkpoints have no manifest, and a save of ours would replace one of the same step.
TEST(Mistakes, OutputFolderWithCheckpointsOfAnotherProgram) {
  const TemporaryFolder folder;
  fs::create_directories(folder / "alignment/checkpoint-1");
  write_file_atomic(folder / "alignment/checkpoint-1/model.safetensors", "weights");
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=1"}),
                 {"checkpoints of another program", "output_dir"});
  EXPECT_EQ(content_of(folder.path() / "alignment/checkpoint-1/model.safetensors"), "weights");
}

TEST(Mistakes, OutputFolderThatCannotBeMade) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "file", "not a folder");
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder / "file", {}), {"output folder", "output_dir"});
}

TEST(Mistakes, TwoRunsInOneFolder) {
  const TemporaryFolder folder;
  const RunLock other([&] {
    fs::create_directories(folder / "alignment");
    return folder / "alignment";
  }());
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path()), {(folder / "alignment").string()});
}

TEST(Mistakes, DivergedTraining) {
  const TemporaryFolder folder;
  expect_mistake(
      train_case("case_qwen3_clip", "end2end", folder.path(), {"training_args.learning_rate=1e30", "training_args.max_grad_norm=0"}),
      {"diverged", "learning_rate"});
  EXPECT_EQ(read_run_state(folder / "end2end"), "failed");
  const Result named = train_case("case_qwen3_clip", "end2end", folder / "micro",
                                  {"training_args.learning_rate=1e30", "training_args.max_grad_norm=0", "logging_level=micro"});
  expect_mistake(named, {"diverged", "; rows [", "inspect --index"});
}

TEST(Mistakes, AWeightThatIsNoNumber) {
  const TemporaryFolder folder;
  const fs::path checkpoint = copy_of("case_qwen3_clip", folder, "cases/qwen3_clip/checkpoint");
  std::string bytes = content_of(checkpoint / "model.safetensors");
  const float nan = std::nanf("");
  std::memcpy(bytes.data() + bytes.size() - sizeof(nan), &nan, sizeof(nan));  // in the last norm
  write_file_atomic(checkpoint / "model.safetensors", bytes);
  expect_mistake(train_case("case_qwen3_clip", "end2end", folder.path(), {"base_model=" + checkpoint.string()}),
                 {"diverged", "step 1 of", "NaN or infinity in the weights"});
}

/// A disk that is full while the second checkpoint is written: a limit on the size of files stands in for it.
TEST(Mistakes, FullDiskWhileSavingKeepsTheOldCheckpoint) {
  const TemporaryFolder folder;
  const fs::path root = fs::path(TEST_DATA) / "case_qwen3_clip";
  const std::vector<std::string> environment{"CASE_ROOT=" + root.string(), "OUT=" + folder.path().string()};
  const auto command = [&](const std::string& limit) {
    return std::vector<std::string>{"sh", "-c",
                                    "cd '" + root.string() + "' && trap '' XFSZ && ulimit -f " + limit + " && exec '" + PROGRAM +
                                        "' train --quiet --config cases/qwen3_clip/end2end.yaml training_args.save_strategy=steps"
                                        " training_args.save_steps=2 training_args.max_steps=" +
                                        (limit == "unlimited" ? "4" : "4")};
  };
  ASSERT_EQ(run_command(command("unlimited"), environment).code, 0);
  fs::remove_all(folder.path() / "end2end/checkpoint-4");
  write_run_state(folder / "end2end", "running");
  const Result result = run_command(command("300"), environment);  // blocks of 512 bytes
  expect_mistake(result, {"cannot write a file", "checkpoint-4"});
  EXPECT_EQ(list_checkpoints(folder / "end2end"), (std::vector<int64_t>{2}));
  EXPECT_NO_THROW(verify_checkpoint(folder.path() / "end2end/checkpoint-2"));
  ASSERT_EQ(run_command(command("unlimited"), environment).code, 0);
  EXPECT_EQ(list_checkpoints(folder / "end2end"), (std::vector<int64_t>{2, 4}));
}

TEST(Mistakes, ARunThatFindsNothingToLearnFrom) {
  const TemporaryFolder folder;
  expect_mistake(
      train_case("case_qwen3_clip", "alignment", folder.path(), {"loaders.0.base_path=no/such/images", "loaders.0.loader_type=fs-image"}),
      {"loaders.0.base_path", "no/such/images"});
  // A length that no sample fits into makes every sample bad: that is told at the first step, with the reason.
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"truncation=true", "max_sequence_length=2"}),
                 {"no sample of the first step can be used", "max_sequence_length"});
  EXPECT_TRUE(list_checkpoints(folder / "alignment").empty());
  EXPECT_EQ(content_of(folder / "alignment/STATE"), "failed\n");
  // Nothing is lost with such a run: the mended recipe takes its folder.
  EXPECT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), {"training_args.max_steps=1"}).code, 0);
  EXPECT_EQ(step_lines(folder / "alignment/metrics.jsonl").size(), 1U);
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), {"tokenizer_type=llama"}), {"another recipe", "base_model"});
}

TEST(Mistakes, ARunThatTakesAFailedOnesFolderCanFailAndBeReplacedToo) {
  const TemporaryFolder folder;
  const std::vector<std::string> short_run{"training_args.max_steps=3", "training_args.save_strategy=no"};
  const auto train = [&](std::vector<std::string> more) {
    more.insert(more.end(), short_run.begin(), short_run.end());
    return train_case("case_qwen3_clip", "end2end", folder.path(), more);
  };
  expect_mistake(train({"truncation=true", "max_sequence_length=2"}), {"no sample of the first step can be used"});
  expect_mistake(train({"training_args.learning_rate=1e30", "training_args.max_grad_norm=0"}), {"diverged"});
  EXPECT_EQ(read_run_state(folder / "end2end"), "failed");
  EXPECT_EQ(train({}).code, 0);
}

TEST(Mistakes, ARecordOfTheRunThatMakesNoSense) {
  const TemporaryFolder folder;
  const std::vector<std::string> fails{"truncation=true", "max_sequence_length=2"};
  ASSERT_EQ(train_case("case_qwen3_clip", "alignment", folder.path(), fails).code, 2);
  Json record = read_json(folder.path() / "alignment/run.json");
  record["micro_batches_per_step"] = 0;
  write_file_atomic(folder / "alignment/run.json", record.dump());
  expect_mistake(train_case("case_qwen3_clip", "alignment", folder.path(), fails),
                 {"run.json", "micro_batches_per_step 0, at least 1 expected", "--fresh"});
}

TEST(Mistakes, ATokenizerOfAnotherTypeIsToldBeforeWeightsAndDataAreRead) {
  const TemporaryFolder folder;
  for (const char* more : {"training_args.max_steps=1", "--dry-run"}) {
    const Result result =
        train_case("case_qwen3_clip", "alignment", folder.path(), {"tokenizer_type=llama", more, "datasets.0.packed_path=no/such/data"});
    expect_mistake(result, {"the tokenizer is not one of tokenizer_type llama", "alignment.yaml, key tokenizer_type",
                            "no token <|start_header_id|>", "set `tokenizer_type: qwen3`"});
    EXPECT_EQ(result.err.find("no/such/data"), std::string::npos) << result.err;
  }
  EXPECT_FALSE(fs::exists(folder / "alignment/checkpoint-1"));
}

TEST(Mistakes, SeveralProcesses) {
  const fs::path root = fs::path(TEST_DATA) / "case_qwen3_clip";
  const TemporaryFolder folder;
  for (const char* variable : {"WORLD_SIZE=2", "SLURM_STEP_NUM_TASKS=4"}) {
    expect_mistake(run_command({"env", "-C", root.string(), variable, PROGRAM, "train", "cases/qwen3_clip/alignment.yaml", "--quiet"},
                               {"CASE_ROOT=" + root.string(), "OUT=" + folder.path().string()}),
                   {"trains in one process", std::string(variable).substr(std::string(variable).size() - 1) + " processes"});
  }
}

TEST(Mistakes, ARecipeOfTheOtherCommand) {
  const TemporaryFolder folder;
  const fs::path root = fs::path(TEST_DATA) / "expert";
  expect_mistake(
      run_command({PROGRAM, "train", (root / "expert.yaml").string()}, {"CASE_ROOT=" + root.string(), "OUT=" + folder.path().string()}),
      {"this is a recipe of train-expert", "multimeditron train-expert --config"});
}

TEST(BadSamples, AreLeftOutCountedAndListed) {
  const TemporaryFolder folder;
  const fs::path data = copy_of("case_qwen3_clip", folder, "data/jsonl");
  write_file_atomic(data / "images/000.png", "this is not an image");
  const std::vector<std::string> overrides{"datasets.0.packed_path=" + data.string(), "loaders.0.loader_type=fs-image",
                                           "loaders.0.base_path=" + data.string(), "training_args.max_steps=10"};
  const Result result = train_case("case_qwen3_clip", "alignment", folder.path(), overrides);
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string quarantine = content_of(folder.path() / "alignment/quarantine.jsonl");
  EXPECT_NE(quarantine.find("\"row\""), std::string::npos);
  EXPECT_EQ(step_lines(folder.path() / "alignment/metrics.jsonl").size(), 10U);
}

TEST(BadSamples, AreListedOnceByARunThatGoesOn) {
  const TemporaryFolder folder;
  const fs::path data = copy_of("case_qwen3_clip", folder, "data/jsonl"), run = folder.path() / "alignment";
  for (const char* image : {"images/000.png", "images/001.png", "images/002.png"}) write_file_atomic(data / image, "this is not an image");
  const std::vector<std::string> overrides{"datasets.0.packed_path=" + data.string(), "loaders.0.loader_type=fs-image",
                                           "loaders.0.base_path=" + data.string(),    "training_args.max_steps=10",
                                           "training_args.save_strategy=steps",       "training_args.save_steps=4",
                                           "training_args.save_total_limit=0",        "training_args.logging_steps=3"};
  Result result = train_case("case_qwen3_clip", "alignment", folder.path(), overrides);
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string quarantine = content_of(run / "quarantine.jsonl"), log = content_of(run / "checkpoint-10/trainer_state.json");
  const std::string state = content_of(run / "checkpoint-10/training_state/training_state.json");
  for (const char* checkpoint : {"checkpoint-8", "checkpoint-10"}) fs::remove_all(run / checkpoint);
  write_run_state(run, "running");
  result = train_case("case_qwen3_clip", "alignment", folder.path(), overrides);
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(content_of(run / "quarantine.jsonl"), quarantine);
  EXPECT_EQ(content_of(run / "checkpoint-10/trainer_state.json"), log);
  const Json before = Json::parse(state), after = read_json(run / "checkpoint-10/training_state/training_state.json");
  EXPECT_EQ(after.at("extra"), before.at("extra"));
}

}  // namespace
}  // namespace multimeditron::testing
