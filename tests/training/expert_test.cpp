#include <ATen/TensorOperators.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>

#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "generation/parity_report.h"
#include "models/tensors.h"
#include "run_case.h"
#include "training/retrieval.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = fs::path(TEST_DATA) / "expert";

Result train_expert(const fs::path& out, std::vector<std::string> overrides = {}) {
  std::vector<std::string> command{PROGRAM, "train-expert", "--config", (kRoot / "expert.yaml").string(), "--quiet"};
  command.insert(command.end(), overrides.begin(), overrides.end());
  return run_command(command, {"CASE_ROOT=" + kRoot.string(), "OUT=" + out.string()});
}

fs::path last_checkpoint(const fs::path& out) {
  return checkpoint_path(out / "expert", list_checkpoints(out / "expert").back());
}

std::vector<double> column(const fs::path& out, const char* key) {
  std::vector<double> values;
  for (const Json& step : step_lines(out / "expert/metrics.jsonl")) values.push_back(step.at(key));
  return values;
}

/// Largest difference of the last checkpoint's parameters from the reference's, max|a - b| / max|b| over each tensor.
double difference_of_parameters(const fs::path& out) {
  const SafetensorsReader ours(last_checkpoint(out)), expected(kRoot / "expected.safetensors");
  double largest = 0;
  for (const auto& [name, view] : ours.tensors()) {
    const TensorView* other = expected.find("final." + name);
    EXPECT_NE(other, nullptr) << name;
    if (other == nullptr || name.ends_with("k_proj.bias")) continue;  // whose true gradient is zero
    const at::Tensor a = to_tensor(view).to(at::kDouble), b = to_tensor(*other).to(at::kDouble);
    largest = std::max(largest, ((a - b).abs().max() / b.abs().max()).item<double>());
  }
  return largest;
}

/// Losses, gradient norms, rates, final parameters and retrieval as transformers and torch have them, with the batch in one piece.
TEST(Expert, FollowsTheReferenceStepByStep) {
  const TemporaryFolder out;
  const Result result = train_expert(out.path());
  ASSERT_EQ(result.code, 0) << result.err;
  const Json expected = read_json(kRoot / "expected.json");
  const auto numbers = [&](const char* key) { return expected.at(key).get<std::vector<double>>(); };
  report_parity("expert", "contrastive losses of steps", largest_difference(column(out.path(), "loss"), numbers("losses")), 1e-4);
  report_parity("expert", "gradient norms", largest_difference(column(out.path(), "grad_norm"), numbers("grad_norms")), 1e-4);
  report_parity("expert", "learning rates", largest_difference(column(out.path(), "learning_rate"), numbers("learning_rates")), 1e-8);
  report_parity("expert", "final parameters", difference_of_parameters(out.path()), 1e-4);

  bool measured = false;
  std::istringstream lines(content_of(out / "expert/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    Json json = Json::parse(line);
    if (json.value("event", "") != "retrieval") continue;
    measured = true;
    for (const auto& [key, value] : expected.at("retrieval").items())
      EXPECT_NEAR(json.at(key).get<double>(), value.get<double>(), 1e-6) << key;
  }
  EXPECT_TRUE(measured);

  const Json zero_shot = read_json(out / "expert/zero_shot.json"), &golden = expected.at("zero_shot");
  EXPECT_EQ(zero_shot.at("classes"), golden.at("classes"));
  EXPECT_EQ(zero_shot.at("confusion"), golden.at("confusion"));
  EXPECT_EQ(zero_shot.at("images"), golden.at("images"));
  const double loss = golden.at("loss");
  report_parity("expert", "zero-shot loss", std::abs(zero_shot.at("loss").get<double>() - loss) / loss, 1e-4);
}

/// What is asked may come later than the training.
TEST(Expert, AFinishedRunIsExaminedByOtherClasses) {
  const TemporaryFolder out;
  ASSERT_EQ(train_expert(out.path(), {"zero_shot_class_map=null"}).code, 0);
  const fs::path file = out / "expert/zero_shot.json";
  EXPECT_FALSE(fs::exists(file));
  Result result = train_expert(out.path());
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(read_json(file).at("confusion"), read_json(kRoot / "expected.json").at("zero_shot").at("confusion"));
  const std::string first = content_of(file);
  write_file_atomic(file, first + " ");
  ASSERT_EQ(train_expert(out.path()).code, 0);
  EXPECT_EQ(content_of(file), first + " ") << "the same question is not asked twice";
  ASSERT_EQ(train_expert(out.path(), {"zero_shot_templates=[\"{}\"]"}).code, 0);
  EXPECT_EQ(read_json(file).at("templates"), Json({"{}"}));
  EXPECT_NE(content_of(out / "expert/metrics.jsonl").find("\"event\":\"zero_shot\""), std::string::npos);
  EXPECT_EQ(step_lines(out / "expert/metrics.jsonl").size(), 5U);
}

/// Examined again, a run of bf16 computes as it did at its own end. Without a checkpoint there is nothing to examine.
TEST(Expert, AFinishedRunIsExaminedAsItWasTrained) {
  const TemporaryFolder out, without;
  const fs::path file = out / "expert/zero_shot.json";
  ASSERT_EQ(train_expert(out.path(), {"training_args.bf16=true"}).code, 0);
  const std::string own = content_of(file);
  fs::remove(file);
  ASSERT_EQ(train_expert(out.path(), {"training_args.bf16=true"}).code, 0);
  EXPECT_EQ(content_of(file), own);

  const std::vector<std::string> overrides{"training_args.save_strategy=no", "training_args.max_steps=1"};
  ASSERT_EQ(train_expert(without.path(), overrides).code, 0);
  const Result result = train_expert(without.path(), {overrides[0], overrides[1], "zero_shot_templates=[\"{}\"]"});
  EXPECT_EQ(result.code, 2) << result.err;
  EXPECT_NE(result.err.find("no checkpoint to examine"), std::string::npos) << result.err;
}

/// Gradient caching: the batch in parts is the batch.
TEST(Expert, ABatchInPartsGivesTheSameSteps) {
  const TemporaryFolder out;
  const Result result =
      train_expert(out.path(), {"training_args.per_device_train_batch_size=2", "training_args.gradient_accumulation_steps=3"});
  ASSERT_EQ(result.code, 0) << result.err;
  const auto losses = read_json(kRoot / "expected.json").at("losses").get<std::vector<double>>();
  EXPECT_LT(largest_difference(column(out.path(), "loss"), losses), 1e-4);
  EXPECT_LT(difference_of_parameters(out.path()), 1e-4);
}

/// In bf16 the masters move by the same rule; losses stay near.
TEST(Expert, TrainsInBf16) {
  const TemporaryFolder out;
  ASSERT_EQ(train_expert(out.path(), {"training_args.bf16=true"}).code, 0);
  const auto losses = read_json(kRoot / "expected.json").at("losses").get<std::vector<double>>();
  EXPECT_LT(largest_difference(column(out.path(), "loss"), losses), 0.05);
  EXPECT_EQ(SafetensorsReader(last_checkpoint(out.path())).find("visual_projection.weight")->dtype, DType::kBF16);
}

/// A run that has lost its last steps goes on from what it has, and ends with the same bits.
TEST(Expert, AResumedRunEndsWithTheSameBits) {
  const TemporaryFolder out;
  const std::vector<std::string> often{"training_args.save_strategy=steps", "training_args.save_steps=2"};
  ASSERT_EQ(train_expert(out.path(), often).code, 0);
  const fs::path run = out / "expert";
  const std::string whole = content_of(run / "checkpoint-5/model.safetensors"), metrics = content_of(run / "metrics.jsonl");
  fs::remove_all(run / "checkpoint-5");
  fs::remove_all(run / "checkpoint-4");
  write_file_atomic(run / "STATE", "running\n");
  ASSERT_EQ(train_expert(out.path(), often).code, 0);
  EXPECT_EQ(content_of(run / "checkpoint-5/model.safetensors"), whole);
  EXPECT_EQ(step_lines(run / "metrics.jsonl").size(), 5U);
}

/// What it writes is a CLIPModel folder that it can start from again, and whose random start depends on the seed alone.
TEST(Expert, StartsFromScratchOrFromItsOwnCheckpoint) {
  const TemporaryFolder first, second, third;
  ASSERT_EQ(train_expert(first.path(), {"from_scratch=true", "training_args.max_steps=1"}).code, 0);
  ASSERT_EQ(train_expert(second.path(), {"from_scratch=true", "training_args.max_steps=1"}).code, 0);
  EXPECT_EQ(content_of(last_checkpoint(first.path()) / "model.safetensors"),
            content_of(last_checkpoint(second.path()) / "model.safetensors"));
  EXPECT_NE(column(first.path(), "loss"), read_json(kRoot / "expected.json").at("losses").get<std::vector<double>>());
  EXPECT_EQ(train_expert(third.path(), {"clip_name=" + last_checkpoint(first.path()).string()}).code, 0);
}

TEST(Expert, TellsMistakes) {
  const TemporaryFolder out;
  const auto expect = [&](const std::vector<std::string>& overrides, const std::vector<std::string>& parts) {
    const Result result = train_expert(out.path(), overrides);
    EXPECT_EQ(result.code, 2) << result.err;
    for (const std::string& part : parts)
      EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;
  };
  expect({"clip_nam=x"}, {"clip_nam", "clip_name"});
  expect({"clip_name=null"}, {"`clip_name` must be a string"});
  expect({"training_args.per_device_train_batch_size=1"}, {"several pairs"});
  expect({"held_out=0.99"}, {"too few pairs"});
  expect({"clip_name=" + (fs::path(TEST_DATA) / "case_qwen3_clip/cases/qwen3_clip/checkpoint").string()}, {"not a CLIP model"});
  fs::create_directories(out / "open");
  fs::copy_file(fs::path(TEST_DATA) / "vision/biomedclip/open_clip_config.json", out / "open/open_clip_config.json");
  expect({"clip_name=" + (out / "open").string()}, {"train-expert takes CLIPs in the form of transformers'", "open_clip_config.json"});
  const fs::path broken = out / "clip";
  fs::copy(kRoot / "clip", broken);
  Json config = read_json(broken / "config.json");
  config["projection_dim"] = 10;
  write_file_atomic(broken / "config.json", config.dump());
  expect({"clip_name=" + broken.string()}, {"wrong shape", "[20, 24] where [10, 24] was expected"});
  EXPECT_FALSE(fs::exists(out / "expert/run.json"));
}

/// Other data would be held out: that is a mistake, not a warning.
TEST(Expert, ARunDoesNotGoOnWithOtherData) {
  const TemporaryFolder out;
  const fs::path pairs = out / "pairs";
  fs::copy(kRoot / "pairs", pairs, fs::copy_options::recursive);
  const std::vector<std::string> overrides{"datasets.0.packed_path=" + pairs.string(), "training_args.save_strategy=steps",
                                           "training_args.save_steps=2"};
  ASSERT_EQ(train_expert(out.path(), overrides).code, 0);
  fs::remove_all(out / "expert/checkpoint-5");
  write_file_atomic(out / "expert/STATE", "running\n");
  Json state = read_json(pairs / "state.json");
  state["_fingerprint"] = "another";
  write_file_atomic(pairs / "state.json", state.dump());
  const Result result = train_expert(out.path(), overrides);
  EXPECT_EQ(result.code, 2) << result.out;
  EXPECT_NE(result.err.find("the data set has changed"), std::string::npos) << result.err;
  EXPECT_TRUE(fs::exists(out / "expert/checkpoint-4"));
}

/// Everything is read and checked, and nothing is written; a run that would go on says where.
TEST(Expert, ADryRunTellsAndLeavesNothing) {
  const TemporaryFolder out;
  const auto plan = [&](std::vector<std::string> overrides) {
    std::vector<std::string> command{PROGRAM, "train-expert", "--config", (kRoot / "expert.yaml").string(), "--dry-run"};
    command.insert(command.end(), overrides.begin(), overrides.end());
    return run_command(command, {"CASE_ROOT=" + kRoot.string(), "OUT=" + out.path().string()});
  };
  const Result result = plan({});
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* part : {"what would be trained", "parameters", "held out", "steps"})
    EXPECT_NE((result.out + result.err).find(part), std::string::npos) << "no " << part << " in\n" << result.out << result.err;
  EXPECT_TRUE(fs::is_empty(out.path()));
  EXPECT_EQ(plan({"held_out=0.99"}).code, 2);
  EXPECT_TRUE(fs::is_empty(out.path()));
}

/// What stands in the summary: the second place where there is one, and always what chance would find.
TEST(Retrieval, IsTakenAmongAsManyCaptionsAsThereAre) {
  const at::Tensor three = at::eye(3).repeat({2, 1});
  const std::string few = describe(measure_retrieval(three, three, {0, 1, 2, 0, 1, 2}));
  EXPECT_NE(few.find("6 pairs held out, 3 different captions"), std::string::npos) << few;
  EXPECT_NE(few.find("by chance 33 %"), std::string::npos) << few;
  EXPECT_EQ(few.find("among five"), std::string::npos) << few;
  const at::Tensor six = at::eye(6);
  EXPECT_NE(describe(measure_retrieval(six, six, {0, 1, 2, 3, 4, 5})).find("among five"), std::string::npos);
}

/// Similarities that say nothing find nothing: where all pairs lie in one place, or where there are no numbers.
TEST(Retrieval, TiesAndNoNumbersFindNothing) {
  const std::vector<int64_t> captions{0, 1, 2, 3, 4, 5};
  const at::Tensor same = at::ones({6, 4}) / 2, none = at::full({6, 4}, std::nan(""));
  for (const at::Tensor& images : {same, none}) {
    const Retrieval found = measure_retrieval(images, images, captions);
    EXPECT_EQ(found.image_to_text_r1, 0);
    EXPECT_EQ(found.image_to_text_r5, 0);
    EXPECT_EQ(found.text_to_image_r1, 0);
    EXPECT_EQ(found.text_to_image_r5, 0);
  }
  const at::Tensor apart = at::eye(6);
  EXPECT_EQ(measure_retrieval(apart, apart, captions).image_to_text_r1, 1);
  const at::Tensor three = at::eye(3).repeat({2, 1});  // each place twice; whoever shares a place also shares the caption
  EXPECT_EQ(measure_retrieval(three, three, {0, 1, 2, 0, 1, 2}).text_to_image_r1, 1);
  EXPECT_EQ(measure_retrieval(three, three, captions).text_to_image_r1, 0);
}

/// The temperature stays below 100 (arXiv:2103.00020, 2.5), however it is pushed.
TEST(Expert, TheTemperatureStaysInItsBounds) {
  const TemporaryFolder out;
  const fs::path clip = out / "clip";
  fs::copy(kRoot / "clip", clip, fs::copy_options::recursive);
  ASSERT_EQ(train_expert(out.path(), {"clip_name=" + clip.string(), "training_args.learning_rate=10", "training_args.max_grad_norm=0",
                                      "training_args.lr_scheduler_type=constant"})
                .code,
            0);
  const SafetensorsReader reader(last_checkpoint(out.path()));
  EXPECT_LE(to_tensor(*reader.find("logit_scale")).item<double>(), std::log(100.0) + 1e-6);
}

/// Pairs that cannot be used are left out and listed with their reason; long captions are cut.
TEST(Expert, BadPairsAreListedAndTheOthersTrained) {
  const TemporaryFolder out;
  const fs::path image = fs::path(TEST_DATA) / "image/png-grey-8.png";
  fs::copy_file(image, out / "a.png");
  std::string rows;
  const auto add = [&](const Json& text, const std::vector<std::string>& images) {
    Json row = {{"text", text}, {"modalities", Json::array()}};
    for (const std::string& name : images) row["modalities"].push_back({{"type", "image"}, {"value", name}});
    rows += row.dump() + "\n";
  };
  for (int i = 0; i < 12; ++i)
    add("a grey picture, number " + std::to_string(i) + ", with a long caption that is cut to a few tokens", {"a.png"});
  add("", {"a.png"});
  add(" <|reserved_special_token_0|> ", {"a.png"});
  add("two images", {"a.png", "a.png"});
  add("an image that is gone", {"gone.png"});
  write_file_atomic(out / "pairs.jsonl", rows);
  write_file_atomic(
      out / "expert.yaml",
      "clip_name: " + (kRoot / "clip").string() +
          "\nmax_text_length: 6\nheld_out: 0\nloaders:\n- {loader_type: fs-image, modality_type: image, base_path: " + out.path().string() +
          "}\ndatasets:\n- packed_path: " + (out / "pairs.jsonl").string() +
          "\ntraining_args:\n  output_dir: " + (out / "expert").string() + "\n  per_device_train_batch_size: 4\n  max_steps: 4\n");
  const Result result = run_command({PROGRAM, "train-expert", "--config", (out / "expert.yaml").string(), "--quiet"});
  ASSERT_EQ(result.code, 0) << result.err;
  const std::string list = content_of(out / "expert/quarantine.jsonl");
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 4) << list;
  for (const char* reason : {"a pair has no caption", "a pair has one image", "an image file is missing"})
    EXPECT_NE(list.find(reason), std::string::npos) << list;
  // Six tokens a caption, and the vision tower's places.
  const Json config = read_json(kRoot / "clip/config.json").at("vision_config");
  const int64_t side = config.at("image_size").get<int64_t>() / config.at("patch_size").get<int64_t>();
  EXPECT_LE(step_lines(out / "expert/metrics.jsonl").front().at("tokens").get<int64_t>(), 4 * (side * side + 1 + 6));
}

TEST(Expert, CheckUnderstandsItsRecipe) {
  const auto check = [](std::vector<std::string> arguments) {
    std::vector<std::string> command{PROGRAM, "check", (kRoot / "expert.yaml").string()};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return run_command(command, {"CASE_ROOT=" + kRoot.string(), "OUT=/tmp"});
  };
  const Result good = check({"--json"});
  EXPECT_EQ(good.code, 0) << good.err;
  EXPECT_EQ(Json::parse(good.out).at("ok"), true);
  EXPECT_EQ(check({}).code, 0);
  const Result bad = check({"held_out=2", "datasets.0.weight=2"});
  EXPECT_EQ(bad.code, 2);
  for (const char* word : {"held_out", "datasets.0.weight"}) EXPECT_NE(bad.err.find(word), std::string::npos) << bad.err;
  const TemporaryFolder folder;  // the model's configurations are read as for training
  fs::copy(kRoot / "clip", folder / "clip");
  Json processor = read_json(folder / "clip/preprocessor_config.json");
  processor["crop_size"] = {{"height", 16}, {"width", 16}};
  write_file_atomic(folder / "clip/preprocessor_config.json", processor.dump());
  const Result other = check({"clip_name=" + (folder / "clip").string()});
  EXPECT_EQ(other.code, 2);
  EXPECT_NE(other.err.find("the processor makes 16 x 16 pixels"), std::string::npos) << other.err;
}

}  // namespace
}  // namespace multimeditron::testing
