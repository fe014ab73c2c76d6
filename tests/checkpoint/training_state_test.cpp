#include "checkpoint/training_state.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/temporary_folder.h"
#include "checkpoint/tensors.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

TrainingState some_state() {
  TrainingState state;
  state.step = 20;
  state.epoch = 0.5;
  state.max_steps = 40;
  state.micro_batches_per_step = 8;
  state.seed = 3;
  state.training_seed = 42;
  state.batch_size = 4;
  state.dataset_fingerprint = "bb";
  state.run_start_date = "2026-11-24";
  state.tokens_seen = int64_t{5} << 40;
  state.samples_seen = 640;
  state.extra = {{"note", "kept as it is"}};
  return state;
}

class TrainingStateFile : public testing::Test {
 protected:
  void write() {
    std::vector<TensorSource> tensors;
    for (const OptimizerPart part : {OptimizerPart::kMaster, OptimizerPart::kExpAvg, OptimizerPart::kExpAvgSq})
      tensors.push_back(counting_tensor(optimizer_key(part, "projector.weight"), 2, 3, static_cast<float>(part)));
    write_training_state(folder_.path(), some_state(), std::move(tensors));
  }

  /// Changes the JSON on the disk.
  template <typename Change>
  void change(Change change) {
    Json json = read_json(file_);
    change(json);
    write_file_atomic(file_, json.dump());
  }

  TemporaryFolder folder_;
  fs::path file_ = folder_ / "training_state/training_state.json";
};

TEST_F(TrainingStateFile, ComesBackAsItWas) {
  EXPECT_FALSE(has_training_state(folder_.path()));
  write();
  EXPECT_TRUE(has_training_state(folder_.path()));
  const TrainingState state = read_training_state(folder_.path()), expected = some_state();
  EXPECT_EQ(state.step, expected.step);
  EXPECT_EQ(state.epoch, expected.epoch);
  EXPECT_EQ(state.max_steps, expected.max_steps);
  EXPECT_EQ(state.micro_batches_per_step, expected.micro_batches_per_step);
  EXPECT_EQ(state.seed, expected.seed);
  EXPECT_EQ(state.training_seed, expected.training_seed);
  EXPECT_EQ(state.batch_size, expected.batch_size);
  EXPECT_EQ(state.dataset_fingerprint, expected.dataset_fingerprint);
  EXPECT_EQ(state.run_start_date, expected.run_start_date);
  EXPECT_EQ(state.tokens_seen, expected.tokens_seen);
  EXPECT_EQ(state.samples_seen, expected.samples_seen);
  EXPECT_EQ(state.extra, expected.extra);
}

TEST_F(TrainingStateFile, OptimizerTensorsAreFoundByParameterName) {
  write();
  const SafetensorsReader reader = open_optimizer_state(folder_.path());
  EXPECT_EQ(reader.tensors().size(), 3u);
  EXPECT_NE(reader.find("exp_avg_sq.projector.weight"), nullptr);
  EXPECT_EQ(values_of<float>(optimizer_tensor(reader, OptimizerPart::kExpAvg, "projector.weight", {2, 3}))[0], 1.0f);
  EXPECT_USER_ERROR(optimizer_tensor(reader, OptimizerPart::kMaster, "lm_head.weight", {2, 3}), "optimizer.safetensors",
                    "tensor master.lm_head.weight", "base_model");
  EXPECT_USER_ERROR(optimizer_tensor(reader, OptimizerPart::kMaster, "projector.weight", {3, 2}), "master.projector.weight", "[2, 3]",
                    "[3, 2] expected");
}

TEST_F(TrainingStateFile, ARunThatTrainsNothingStillHasAState) {
  write_training_state(folder_.path(), some_state(), {});
  EXPECT_TRUE(open_optimizer_state(folder_.path()).tensors().empty());
}

TEST_F(TrainingStateFile, WeightsWithoutAStateCannotBeResumed) {
  EXPECT_USER_ERROR(read_training_state(folder_.path()), folder_.path().string(), "weights only", "base_model");
}

TEST_F(TrainingStateFile, OtherVersionsAreNamed) {
  write();
  change([](Json& json) { json["version"] = 7; });
  EXPECT_USER_ERROR(read_training_state(folder_.path()), file_.string(), "version 7, 1 expected", "newer program");
  change([](Json& json) { json.erase("version"); });
  EXPECT_USER_ERROR(read_training_state(folder_.path()), "no `version`");
  write_file_atomic(file_, "[]");
  EXPECT_USER_ERROR(read_training_state(folder_.path()), "no `version`");
  write_file_atomic(file_, "{\"version\": 1,");
  EXPECT_USER_ERROR(read_training_state(folder_.path()), file_.string(), "not valid JSON");
}

TEST_F(TrainingStateFile, EveryFieldMustBeThereAndOfItsKind) {
  write();
  const Json whole = read_json(file_);
  for (const auto& [key, value] : whole.items()) {
    if (key == "version") continue;
    change([&](Json& json) {
      json = whole;
      json.erase(key);
    });
    if (key == "batch_size") {
      EXPECT_EQ(read_training_state(folder_.path()).batch_size, 0) << "states of older programs stay readable";
    } else {
      EXPECT_USER_ERROR(read_training_state(folder_.path()), "key " + key, "nothing");
    }
    change([&](Json& json) {
      json = whole;
      json[key] = Json::array();
    });
    EXPECT_USER_ERROR(read_training_state(folder_.path()), "key " + key, "array");
  }
}

TEST_F(TrainingStateFile, AStepOfNoMicroBatchesIsRefused) {
  write();
  change([](Json& json) { json["micro_batches_per_step"] = 0; });
  EXPECT_USER_ERROR(read_training_state(folder_.path()), "key micro_batches_per_step", "0, at least 1 expected");
}

TEST(TrainerStateFile, IsTheOneThatTransformersWrites) {
  const fs::path golden = fs::path(TEST_DATA) / "checkpoint";
  const TrainerState state = read_trainer_state(golden);
  EXPECT_EQ(state.global_step, 20);
  EXPECT_EQ(state.log_history.size(), 2u);
  const TemporaryFolder folder;
  write_trainer_state(folder.path(), state);
  EXPECT_EQ(read_file(folder / "trainer_state.json"), read_file(golden / "trainer_state.json"));
}

TEST(TrainerStateFile, MissingKeysAreNamed) {
  const TemporaryFolder folder;
  write_file_atomic(folder / "trainer_state.json", "{\"global_step\": 3}");
  EXPECT_USER_ERROR(read_trainer_state(folder.path()), "trainer_state.json, key epoch");
  EXPECT_USER_ERROR(read_trainer_state(folder / "absent"), "absent");
}

}  // namespace
}  // namespace multimeditron
