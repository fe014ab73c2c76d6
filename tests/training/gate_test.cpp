#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <thread>

#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "generation/parity_report.h"
#include "models/model_folder.h"
#include "models/tensors.h"
#include "run_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = fs::path(TEST_DATA) / "gate";

std::vector<std::string> command(const std::string& recipe, const std::vector<std::string>& overrides) {
  std::vector<std::string> command{PROGRAM, "train-gate", "--config", (kRoot / (recipe + ".yaml")).string(), "--quiet"};
  command.insert(command.end(), overrides.begin(), overrides.end());
  return command;
}

Result train_gate(const std::string& recipe, const fs::path& out, const std::vector<std::string>& overrides = {}) {
  return run_command(command(recipe, overrides), {"CASE_ROOT=" + kRoot.string(), "OUT=" + out.string()});
}

fs::path last_checkpoint(const fs::path& run) {
  return checkpoint_path(run, list_checkpoints(run).back());
}

std::string weights(const fs::path& run) {
  return content_of(last_checkpoint(run) / "model.safetensors");
}

/// A column of the steps, or of the events of one name.
std::vector<double> column(const fs::path& run, const std::string& key, const std::string& event = "") {
  std::vector<double> values;
  std::istringstream lines(content_of(run / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    if (json.value("event", "") == event && json.contains(key)) values.push_back(json[key]);
  }
  return values;
}

std::vector<double> numbers(const Json& json) {
  return json.get<std::vector<double>>();
}

/// Steps, rates, tensors and measurements as torch has them: the whole network drawn from the seed, and a classifier whose backbone thaws.
TEST(TrainGate, FollowsTheReferenceStepByStep) {
  const Json all = read_json(kRoot / "expected.json");
  for (const std::string recipe : {"scratch", "thaw"}) {
    const TemporaryFolder out;
    const Result result = train_gate(recipe, out.path());
    ASSERT_EQ(result.code, 0) << result.err;
    const fs::path run = out / "gate";
    const Json& expected = all.at(recipe);
    report_parity("gate", recipe + ": losses of steps", largest_difference(column(run, "loss"), numbers(expected["losses"])), 1e-4);
    report_parity("gate", recipe + ": gradient norms", largest_difference(column(run, "grad_norm"), numbers(expected["grad_norms"])), 1e-4);
    report_parity("gate", recipe + ": learning rates",
                  largest_difference(column(run, "learning_rate"), numbers(expected["learning_rates"])), 1e-8);
    std::vector<double> losses, accuracies;
    for (const Json& epoch : expected["validation"]) {
      losses.push_back(epoch["loss"]);
      accuracies.push_back(epoch["accuracy"]);
    }
    report_parity("gate", recipe + ": validation losses", largest_difference(column(run, "loss", "validation"), losses), 1e-4);
    EXPECT_LT(largest_difference(column(run, "accuracy", "validation"), accuracies), 1e-6);

    const SafetensorsReader ours(last_checkpoint(run)), theirs(kRoot / "expected.safetensors");
    double parameters = 0;
    for (const auto& [name, view] : ours.tensors()) {
      const TensorView* other = theirs.find(recipe + name.substr(std::string("resnet").size()));
      ASSERT_NE(other, nullptr) << name;
      const at::Tensor a = to_tensor(view).to(at::kDouble), b = to_tensor(*other).to(at::kDouble);
      parameters = std::max(parameters, ((a - b).abs().max() / b.abs().max()).item<double>());
    }
    report_parity("gate", recipe + ": final tensors", parameters, 1e-4);
  }
}

/// The report measures the best gate, not the last one, on images that were not trained on.
TEST(TrainGate, ReportsTheBestGate) {
  const TemporaryFolder out;
  ASSERT_EQ(train_gate("scratch", out.path()).code, 0);
  const fs::path run = out / "gate";
  const Json report = read_json(run / "gate_report.json"), expected = read_json(kRoot / "expected.json").at("scratch");
  // The reference's best epoch: the highest accuracy, then the lowest loss.
  size_t best = 0;
  for (size_t i = 0; i < 5; ++i) {
    const Json &a = expected["validation"][i], &b = expected["validation"][best];
    if (a["accuracy"] > b["accuracy"] || (a["accuracy"] == b["accuracy"] && a["loss"] < b["loss"])) best = i;
  }
  EXPECT_EQ(report["epoch"], best + 1);
  EXPECT_NEAR(report["validation"]["accuracy"].get<double>(), expected["validation"][best]["accuracy"].get<double>(), 1e-6);
  EXPECT_EQ(report["classes"], Json({"experts/disc", "experts/bars", "experts/both"}));
  if (best == 4) {
    EXPECT_EQ(report["test"]["confusion"], expected["last_test"]["confusion"]);
    EXPECT_EQ(content_of(run / "best/model.safetensors"), weights(run));
  }
  for (const char* draw : {"validation", "test"}) {
    int64_t images = 0, right = 0;
    for (size_t i = 0; i < 3; ++i) {
      const Json& of_class = report[draw]["per_class"][i];
      EXPECT_EQ(of_class["images"], 2);
      EXPECT_EQ(of_class["right"], report[draw]["confusion"][i][i]);
      right += of_class["right"].get<int64_t>();
      for (const Json& count : report[draw]["confusion"][i]) images += count.get<int64_t>();
    }
    EXPECT_EQ(report[draw]["images"], images);
    EXPECT_DOUBLE_EQ(report[draw]["accuracy"].get<double>(), static_cast<double>(right) / 6);
  }
  const Json config = read_json(run / "best/config.json");
  EXPECT_EQ(config["model_type"], "gating_network");
  EXPECT_EQ(config["num_classes"], 3);
  EXPECT_EQ(read_json(run / "best/preprocessor_config.json")["image_mean"],
            read_json(kRoot / "processor/preprocessor_config.json")["image_mean"]);
  EXPECT_EQ(SafetensorsReader(run / "best").find("resnet.bn1.num_batches_tracked")->dtype, DType::kI64);
}

/// A run that has lost its last epochs goes on from what it has, and ends with the same bits: before, at and after the thaw, with images
/// augmented or not.
TEST(TrainGate, AResumedRunEndsWithTheSameBits) {
  for (const char* augment : {"false", "true"}) {
    const std::vector<std::string> overrides{"save_every_n_epochs=1", std::string("augment=") + augment};
    const TemporaryFolder whole;
    ASSERT_EQ(train_gate("thaw", whole.path(), overrides).code, 0);
    const fs::path reference = whole / "gate";
    ASSERT_EQ(list_checkpoints(reference), (std::vector<int64_t>{4, 8, 12}));
    for (const int64_t kept : {4, 8, 12}) {
      const TemporaryFolder cut;
      fs::copy(reference, cut / "gate", fs::copy_options::recursive);
      for (const int64_t step : {4, 8, 12}) {
        if (step > kept) fs::remove_all(checkpoint_path(cut / "gate", step));
      }
      write_file_atomic(cut / "gate/STATE", "running\n");
      ASSERT_EQ(train_gate("thaw", cut.path(), overrides).code, 0);
      EXPECT_EQ(weights(cut / "gate"), weights(reference)) << "after step " << kept;
      EXPECT_EQ(content_of(cut / "gate/best/model.safetensors"), content_of(reference / "best/model.safetensors"));
      EXPECT_EQ(column(cut / "gate", "loss"), column(reference, "loss"));
      EXPECT_EQ(column(cut / "gate", "accuracy", "validation"), column(reference, "accuracy", "validation"));
      Json ours = read_json(cut / "gate/gate_report.json"), theirs = read_json(reference / "gate_report.json");
      ours.erase("gate");
      theirs.erase("gate");
      EXPECT_EQ(ours, theirs);
    }
  }
}

TEST(TrainGate, ASignalSavesAndTheSameCommandGoesOn) {
  const TemporaryFolder whole, out;
  const std::vector<std::string> overrides{"num_epochs=15"};
  ASSERT_EQ(train_gate("scratch", whole.path(), overrides).code, 0);
  const fs::path run = out / "gate";
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("CASE_ROOT", kRoot.c_str(), 1);
    ::setenv("OUT", out.path().c_str(), 1);
    const std::vector<std::string> words = command("scratch", overrides);
    std::vector<const char*> argv;
    for (const std::string& word : words) argv.push_back(word.c_str());
    argv.push_back(nullptr);
    ::execv(PROGRAM, const_cast<char**>(argv.data()));
    ::_exit(127);
  }
  while (!fs::exists(run / "metrics.jsonl") || column(run, "loss").empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  ::kill(child, SIGTERM);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 75) {
    EXPECT_EQ(read_run_state(run), "interrupted");
    EXPECT_FALSE(list_checkpoints(run).empty());
    ASSERT_EQ(train_gate("scratch", out.path(), overrides).code, 0);
  } else {
    ASSERT_EQ(WEXITSTATUS(status), 0);  // it was done before the signal came
  }
  EXPECT_EQ(weights(run), weights(whole / "gate"));
}

/// Another folder takes over a run's state and best gate.
TEST(TrainGate, GoesOnInAnotherFolder) {
  const TemporaryFolder whole, out;
  ASSERT_EQ(train_gate("thaw", whole.path(), {"save_every_n_epochs=1"}).code, 0);
  ASSERT_EQ(train_gate("thaw", out.path(), {"resume_from=" + (whole / "gate/checkpoint-8").string()}).code, 0);
  EXPECT_EQ(column(out / "gate", "loss").size(), 4U);
  EXPECT_EQ(weights(out / "gate"), weights(whole / "gate"));
  EXPECT_EQ(content_of(out / "gate/best/model.safetensors"), content_of(whole / "gate/best/model.safetensors"));
}

/// What is taken for the best gate so far is of the epoch that the checkpoint says, or it is not taken.
TEST(TrainGate, TakesOverTheBestGateOfItsEpochAlone) {
  const TemporaryFolder whole, out;
  ASSERT_EQ(train_gate("thaw", whole.path(), {"save_every_n_epochs=1"}).code, 0);
  const fs::path run = out / "gate", moved = out / "moved/checkpoint-8", best = out / "moved/best";
  fs::create_directories(out / "moved");
  fs::copy(whole / "gate/best", best, fs::copy_options::recursive);
  fs::copy(whole / "gate/checkpoint-8", moved, fs::copy_options::recursive);
  fs::remove(moved / "manifest.json");
  Json state = read_json(moved / "training_state/training_state.json");
  state["extra"]["gate"]["best_epoch"] = 2;
  state["extra"]["gate"]["best_accuracy"] = 2;  // never to be beaten
  write_file_atomic(moved / "training_state/training_state.json", state.dump());
  const std::string resume = "resume_from=" + moved.string() + "/";

  write_file_atomic(best / "epoch.json", "{\"epoch\": 3}");
  ASSERT_EQ(train_gate("thaw", out.path(), {resume}).code, 0);
  EXPECT_EQ(read_json(run / "gate_report.json").at("epoch"), 3);
  EXPECT_EQ(content_of(run / "best/model.safetensors"), weights(run)) << "its own third epoch's";

  // Of the right epoch it is taken, and neither a dry run nor the run that is set aside is touched by that.
  write_file_atomic(best / "epoch.json", "{\"epoch\": 2}");
  fs::copy_file(moved / "model.safetensors", best / "model.safetensors", fs::copy_options::overwrite_existing);
  const std::string old = content_of(run / "best/model.safetensors"), taken = content_of(best / "model.safetensors");
  ASSERT_NE(old, taken);
  ASSERT_EQ(train_gate("thaw", out.path(), {resume, "output_dir=" + (out / "planned").string(), "--dry-run"}).code, 0);
  EXPECT_FALSE(fs::exists(out / "planned"));
  ASSERT_EQ(train_gate("thaw", out.path(), {resume, "--fresh"}).code, 0);
  EXPECT_EQ(read_json(run / "gate_report.json").at("epoch"), 2);
  EXPECT_EQ(content_of(run / "best/model.safetensors"), taken);
  EXPECT_EQ(content_of(out / "gate.old-1/best/model.safetensors"), old);
}

/// A run begun anew from a checkpoint of its own folder, which is set aside: the best gate comes along.
TEST(TrainGate, BeginsAnewFromItsOwnCheckpoint) {
  const TemporaryFolder out;
  ASSERT_EQ(train_gate("thaw", out.path(), {"save_every_n_epochs=1"}).code, 0);
  const fs::path run = out / "gate";
  const std::string best = content_of(run / "best/model.safetensors"), last = weights(run);
  const Json report = read_json(run / "gate_report.json");
  ASSERT_EQ(train_gate("thaw", out.path(), {"resume_from=" + last_checkpoint(run).string(), "--fresh"}).code, 0);
  EXPECT_EQ(read_json(run / "gate_report.json").at("epoch"), report.at("epoch"));
  EXPECT_EQ(content_of(run / "best/model.safetensors"), best);
  EXPECT_EQ(read_json(run / "gate_report.json").at("test"), report.at("test"));
}

/// A bit that has changed since the save is found before it is trained on.
TEST(TrainGate, DoesNotGoOnFromADamagedCheckpoint) {
  const TemporaryFolder out;
  ASSERT_EQ(train_gate("thaw", out.path(), {"save_every_n_epochs=1"}).code, 0);
  const fs::path run = out / "gate", damaged = run / "checkpoint-8/training_state/optimizer.safetensors";
  const std::string expected = weights(run);
  fs::remove_all(run / "checkpoint-12");
  write_file_atomic(run / "STATE", "running\n");
  std::string bytes = content_of(damaged);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file_atomic(damaged, bytes);
  const Result result = train_gate("thaw", out.path(), {"save_every_n_epochs=1"});
  EXPECT_EQ(result.code, 2) << result.err;
  for (const char* part : {"is not what was saved", "optimizer.safetensors", "SHA-256", "the one before"})
    EXPECT_NE(result.err.find(part), std::string::npos) << "no " << part << " in\n" << result.err;
  fs::remove_all(run / "checkpoint-8");
  ASSERT_EQ(train_gate("thaw", out.path(), {"save_every_n_epochs=1"}).code, 0);
  EXPECT_EQ(weights(run), expected);
}

/// A checkpoint that has come without `best/`: the report is of a gate that there is.
TEST(TrainGate, GoesOnWithoutTheBestGate) {
  const TemporaryFolder whole, out;
  ASSERT_EQ(train_gate("thaw", whole.path(), {"save_every_n_epochs=1"}).code, 0);
  fs::create_directories(out / "moved");
  fs::copy(whole / "gate/checkpoint-8", out / "moved/checkpoint-8", fs::copy_options::recursive);
  const Result result = train_gate("thaw", out.path(), {"resume_from=" + (out / "moved/checkpoint-8").string()});
  ASSERT_EQ(result.code, 0) << result.err;
  const Json report = read_json(out / "gate/gate_report.json");
  const std::vector<double> losses = column(out / "gate", "loss", "validation");
  const int64_t epoch = report.at("epoch");
  ASSERT_GE(epoch, 3);
  EXPECT_NEAR(report.at("validation").at("loss").get<double>(), losses.at(static_cast<size_t>(epoch - 3)), 1e-5);
  EXPECT_TRUE(fs::exists(out / "gate/best/model.safetensors"));
}

/// A mixture that names a gate's run takes its best epoch, not its last.
TEST(TrainGate, AMixtureTakesTheBestGateOfARun) {
  const TemporaryFolder out;
  ASSERT_EQ(train_gate("thaw", out.path(), {"save_every_n_epochs=1"}).code, 0);
  EXPECT_EQ(find_gate_folder("gate", out.path(), "gating_path"), out / "gate/best");
  EXPECT_EQ(find_gate_folder("gate/checkpoint-8", out.path(), "gating_path"), out / "gate/checkpoint-8");
  fs::remove_all(out / "gate/best");
  EXPECT_EQ(find_gate_folder("gate", out.path(), "gating_path").filename().string().substr(0, 11), "checkpoint-");
}

/// Everything is read and checked, and nothing is written.
TEST(TrainGate, ADryRunTellsAndLeavesNothing) {
  const TemporaryFolder out, images;
  for (const char* image : {"10.png", "20.png", "30.png", "40.png"})
    fs::copy_file(fs::path(TEST_DATA) / "datasets/json/images" / image, images / image);
  std::vector<std::string> words = command("thaw", {"--dry-run", "dataset_class_map.1=" + images.path().string()});  // a folder of images
  std::erase(words, "--quiet");
  const Result result = run_command(words, {"CASE_ROOT=" + kRoot.string(), "OUT=" + out.path().string()});
  EXPECT_EQ(result.code, 0) << result.err;
  for (const char* part : {"what would be trained", "the classifier alone", "for validation", "steps"})
    EXPECT_NE((result.out + result.err).find(part), std::string::npos) << "no " << part << " in\n" << result.out << result.err;
  EXPECT_TRUE(fs::is_empty(out.path()));
}

/// Patience ends the run early, says so by its last epoch, and a finished run is left alone.
TEST(TrainGate, StopsWhenNothingGetsBetter) {
  const TemporaryFolder out;
  const std::vector<std::string> overrides{"early_stopping_patience=1", "num_epochs=30", "lr=1e-9", "save_every_n_epochs=30"};
  ASSERT_EQ(train_gate("scratch", out.path(), overrides).code, 0);
  const std::vector<double> losses = column(out / "gate", "loss", "validation"),
                            accuracies = column(out / "gate", "accuracy", "validation");
  ASSERT_LT(losses.size(), 30U);
  const size_t last = losses.size() - 1;
  EXPECT_FALSE(accuracies[last] > accuracies[last - 1] || (accuracies[last] == accuracies[last - 1] && losses[last] < losses[last - 1]));
  EXPECT_EQ(list_checkpoints(out / "gate").back(), static_cast<int64_t>(2 * losses.size()));
  EXPECT_EQ(read_run_state(out / "gate"), "finished");
  const auto written = fs::last_write_time(out / "gate/metrics.jsonl");
  ASSERT_EQ(train_gate("scratch", out.path(), overrides).code, 0);
  EXPECT_EQ(fs::last_write_time(out / "gate/metrics.jsonl"), written);
}

/// The seed decides: equal runs are equal whatever the number of loader threads, others are not.
TEST(TrainGate, DependsOnTheSeedAlone) {
  const TemporaryFolder first, second, third;
  const std::vector<std::string> augmented{"augment=true", "num_epochs=2"};
  ASSERT_EQ(train_gate("scratch", first.path(), {augmented[0], augmented[1], "num_workers=1"}).code, 0);
  ASSERT_EQ(train_gate("scratch", second.path(), {augmented[0], augmented[1], "num_workers=3"}).code, 0);
  ASSERT_EQ(train_gate("scratch", third.path(), {augmented[0], augmented[1], "seed=6"}).code, 0);
  EXPECT_EQ(weights(first / "gate"), weights(second / "gate"));
  EXPECT_NE(weights(first / "gate"), weights(third / "gate"));
}

/// A row that cannot be used is left out and listed; its class goes on without it. Another data set can be the test draw.
TEST(TrainGate, LeavesOutBadImagesAndTakesOtherTestData) {
  const TemporaryFolder out;
  fs::create_directories(out / "mixed");
  std::string lines;
  for (const char* image : {"10.png", "20.png", "30.png", "40.png", "50.png", "60.png"}) {
    fs::copy_file(fs::path(TEST_DATA) / "datasets/json/images" / image, out / "mixed" / image);
    lines += Json{{"text", "x"}, {"modalities", {{{"type", "image"}, {"value", image}}}}}.dump() + "\n";
  }
  write_file_atomic(out / "mixed/20.png", "no image");
  write_file_atomic(out / "mixed/train.jsonl", lines);
  const std::string data = (out / "mixed/train.jsonl").string();
  const std::vector<std::string> overrides{
      "dataset_class_map.1=" + data, "num_epochs=1", "warmup_epochs=0", "val_split=0",
      "test_dataset_class_map={0: " + (kRoot / "images/disc").string() + ", 1: " + data + ", 2: " + (kRoot / "images/both").string() + "}"};
  std::vector<std::string> words = command("scratch", overrides);
  std::erase(words, "--quiet");
  const Result result = run_command(words, {"CASE_ROOT=" + kRoot.string(), "OUT=" + out.path().string()});
  ASSERT_EQ(result.code, 0) << result.err;
  EXPECT_NE((result.out + result.err).find("1 bad image, listed in"), std::string::npos) << result.out << result.err;
  EXPECT_NE(content_of(out / "gate/quarantine.jsonl").find("\"row\""), std::string::npos);
  const Json report = read_json(out / "gate/gate_report.json");
  EXPECT_FALSE(report.contains("validation"));
  EXPECT_EQ(report["test"]["per_class"][0]["images"], 14);
  EXPECT_EQ(report["test"]["per_class"][1]["images"], 5);
  EXPECT_EQ(content_of(out / "gate/best/model.safetensors"), weights(out / "gate"));
}

/// A bad image is one bad row, however often it is augmented; a class whose images are all bad is refused, with the reason.
TEST(TrainGate, CountsABadImageOnce) {
  const TemporaryFolder out;
  fs::create_directories(out / "mixed");
  for (const char* image : {"10.png", "20.png", "30.png"})
    fs::copy_file(fs::path(TEST_DATA) / "datasets/json/images" / image, out / "mixed" / image);
  write_file_atomic(out / "mixed/20.png", "no image");
  const std::string data = (out / "mixed").string();
  const std::vector<std::string> whole{"val_split=0", "test_split=0", "warmup_epochs=0"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), whole.begin(), whole.end());
    return more;
  };
  ASSERT_EQ(train_gate("scratch", out.path(), with({"dataset_class_map.1=" + data, "augment=true", "num_epochs=4"})).code, 0);
  const std::string listed = content_of(out / "gate/quarantine.jsonl");
  ASSERT_EQ(std::count(listed.begin(), listed.end(), '\n'), 1) << listed;
  EXPECT_EQ(Json::parse(listed).at("row"), 15) << "behind the 14 of class 0";

  for (const char* image : {"10.png", "30.png"}) write_file_atomic(out / "mixed" / image, "no image");
  const Result result =
      train_gate("scratch", out.path(), with({"dataset_class_map.1=" + data, "output_dir=" + (out / "bad").string(), "max_bad_samples=1"}));
  EXPECT_EQ(result.code, 2) << result.err;
  for (const char* part : {"a class has no image that can be used", "dataset_class_map.1", "class 1 (", "0 of 3 rows"})
    EXPECT_NE(result.err.find(part), std::string::npos) << "no " << part << " in\n" << result.err;
}

TEST(TrainGate, TellsMistakes) {
  const TemporaryFolder out;
  const auto expect = [&](const std::string& recipe, const std::vector<std::string>& overrides, const std::vector<std::string>& parts) {
    const Result result = train_gate(recipe, out.path(), overrides);
    EXPECT_EQ(result.code, 2) << result.err;
    for (const std::string& part : parts)
      EXPECT_NE(result.err.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << result.err;
  };
  expect("scratch", {"num_classes=4"}, {"`class_names` disagrees with `num_classes`", "3 names, `num_classes: 4`"});
  expect("scratch", {"dataset_class_map.0=nowhere"}, {"dataset_class_map.0", "nowhere"});
  expect("scratch", {"max_samples_per_class=1", "val_split=0.9", "test_split=0"},
         {"a class has no image to train on", "dataset_class_map.0", "1 image(s)"});
  expect("scratch", {"image_processor_path=nowhere"}, {"image_processor_path", "nowhere"});
  expect("thaw", {"pretrained_backbone=" + (fs::path(TEST_DATA) / "expert/clip").string()},
         {"no ResNet of bottleneck blocks", "conv1.weight"});
  const Result checked =
      run_command({PROGRAM, "check", (kRoot / "scratch.yaml").string(), "image_processor_path=" + (kRoot / "gate").string()},
                  {"CASE_ROOT=" + kRoot.string(), "OUT=" + out.path().string()});
  EXPECT_EQ(checked.code, 2);  // a folder without an image processor
  EXPECT_NE(checked.err.find("preprocessor_config.json"), std::string::npos) << checked.err;
  const fs::path broken = out / "broken";
  fs::copy(kRoot / "gate", broken);
  fs::resize_file(broken / "model.safetensors", 1000);
  expect("thaw", {"pretrained_backbone=" + broken.string()}, {"model.safetensors"});
  EXPECT_FALSE(fs::exists(out / "gate/run.json"));

  ASSERT_EQ(train_gate("scratch", out.path(), {"save_every_n_epochs=1"}).code, 0);
  write_file_atomic(out / "gate/STATE", "running\n");
  expect("scratch", {"lr=1"}, {"another recipe", "lr: 0.001 -> 1", "another `output_dir`"});
}

}  // namespace
}  // namespace multimeditron::testing
