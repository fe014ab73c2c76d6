#include "evaluation/attention.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/temporary_folder.h"
#include "data/dataset.h"
#include "evaluation/answering.h"
#include "generation/parity_case.h"
#include "generation/parity_report.h"
#include "generation/question.h"
#include "models/batch.h"

namespace multimeditron {
namespace {

using testing::ParityCase;

/// The golden's prompt as a row of a task, its image as a file.
TaskRow row_of(const Dataset& dataset, const Json& prompt, const std::string& question, const TemporaryFolder& folder) {
  TaskRow row;
  row.question = question;
  if (prompt["image_range"].is_null()) return row;
  const int64_t sample = prompt["sample"];
  row.images.push_back({"image", folder / std::to_string(sample), std::string(64, static_cast<char>('0' + sample))});
  std::ofstream(row.images[0].file, std::ios::binary) << dataset.row(sample).modalities.at(0).bytes;
  return row;
}

TEST(Attention, EqualsTransformersEagerAttentionHeadByHead) {
  for (const Json& golden : read_json(TEST_DATA "/evaluation/attention.json")) {
    const ParityCase parity(golden["case"]);
    const Pretrained pretrained = parity.load();
    const auto dataset = open_dataset(parity.root / "data/arrow");
    const TemporaryFolder folder;
    double largest = 0;
    for (const Json& prompt : golden["prompts"]) {
      const TaskRow row = row_of(*dataset, prompt, golden["question"], folder);
      MultimodalModel& model = *pretrained.model;
      const Sample sample = make_question(model, *pretrained.tokenizer, load_images(model, row), "", row.question);
      ASSERT_EQ(sample.text.input_ids, prompt["input_ids"].get<std::vector<int64_t>>());
      const MicroBatch batch = make_micro_batch({&sample, 1}, model.image_size(), model.image_size());
      const at::Tensor ours = model.llm().last_attention(model.embed(batch, nullptr));
      ASSERT_EQ(ours.size(2), batch.num_tokens());
      for (int64_t layer = 0; layer < ours.size(0); ++layer) {
        for (int64_t head = 0; head < ours.size(1); ++head) {
          const auto theirs = prompt["attention"][static_cast<size_t>(layer)][static_cast<size_t>(head)].get<std::vector<double>>();
          double highest = 0;
          for (const double value : theirs) highest = std::max(highest, value);
          for (int64_t t = 0; t < ours.size(2); ++t)
            largest = std::max(largest, std::abs(ours[layer][head][t].item<double>() - theirs[static_cast<size_t>(t)]) / highest);
        }
      }
    }
    testing::report_parity(golden["case"], "attention of the last position", largest, 1e-5);
  }
}

TEST(Attention, TheMapIsTheMeanOverLayersAndHeadsAtTheImagesPlaces) {
  for (const Json& golden : read_json(TEST_DATA "/evaluation/attention.json")) {
    const ParityCase parity(golden["case"]);
    const Pretrained pretrained = parity.load();
    const auto dataset = open_dataset(parity.root / "data/arrow");
    const TemporaryFolder folder;
    for (const Json& prompt : golden["prompts"]) {
      if (prompt["image_range"].is_null()) continue;
      const TaskRow row = row_of(*dataset, prompt, golden["question"], folder);
      const AttentionMap map = attention_on_image(pretrained, row);
      const size_t first = prompt["image_range"][0], last = prompt["image_range"][1];
      ASSERT_EQ(map.weights.size(), last - first);
      EXPECT_EQ(static_cast<size_t>(map.grid[0] * map.grid[1]), map.weights.size());
      double share = 0;
      for (size_t patch = 0; patch < map.weights.size(); ++patch) {
        double mean = 0, count = 0;
        for (const Json& layer : prompt["attention"])
          for (const Json& head : layer) {
            mean += head[first + patch].get<double>();
            ++count;
          }
        EXPECT_NEAR(map.weights[patch], mean / count, 1e-6);
        share += mean / count;
      }
      EXPECT_NEAR(map.image_share, share, 1e-6);
      EXPECT_EQ(map.token, pretrained.tokenizer->decode(std::vector<int64_t>{prompt["token"]}));
      EXPECT_EQ(map.layers.size(), prompt["attention"].size());
    }
  }
}

TEST(Attention, TheRegionIsWhatTheCropKeeps) {
  const ParityCase parity("case_qwen3_clip");
  const Pretrained pretrained = parity.load();
  const TemporaryFolder folder;
  TaskRow row;
  row.question = "?";
  row.images.push_back({"wide.png", folder / "wide.png", std::string(64, 'a')});
  std::ofstream(row.images[0].file, std::ios::binary) << encode_png({96, 48, std::vector<uint8_t>(96 * 48 * 3, 90)});
  const AttentionMap map = attention_on_image(pretrained, row);  // 48 x 48 out of the middle of 96 x 48
  EXPECT_EQ(map.region, (std::array<double, 4>{0.25, 0, 0.75, 1}));
}

TEST(Attention, ShowsRowsOfEveryKindInTurnAndOnDifferentImages) {
  std::vector<TaskRow> rows;
  for (int i = 0; i < 30; ++i) {
    TaskRow row;
    row.kind = i < 20 ? "often" : i < 28 ? "seldom" : "twice";
    const std::string image = std::to_string(i % 7);
    if (i != 3) row.images.push_back({image, image, image});
    rows.push_back(row);
  }
  const auto shown = rows_to_show(rows, 6, 0);
  ASSERT_EQ(shown.size(), 6U);
  std::map<std::string, int> kinds;
  std::set<std::string> images;
  for (const size_t i : shown) {
    ++kinds[rows[i].kind];
    images.insert(rows[i].images.front().content);
  }
  EXPECT_EQ(kinds, (std::map<std::string, int>{{"often", 2}, {"seldom", 2}, {"twice", 2}}));
  EXPECT_GE(images.size(), 5U);
  EXPECT_EQ(shown, rows_to_show(rows, 6, 0));
  EXPECT_EQ(rows_to_show(rows, 100, 0).size(), 29U) << "all with an image";
  EXPECT_TRUE(rows_to_show(rows, 0, 0).empty());
}

TEST(LoadImages, ScansAreShownByTheTasksWindow) {
  const ParityCase parity("case_qwen3_clip");
  const Pretrained pretrained = parity.load();
  TaskRow row;
  row.images.push_back({"ct", std::filesystem::path(TEST_DATA "/medical/ct-big-endian.dcm"), std::string(64, '1'), ""});
  const std::string bytes = read_image(row.images[0]);
  std::vector<std::vector<float>> seen;
  for (const Window& window : {Window{-600, 1500}, Window{40, 80}}) {
    const VolumeOptions view{.window = window};
    seen.push_back(load_images(*pretrained.model, row, view).front().pixel_values);
    const RgbImage shown = decode_image(std::as_bytes(std::span(bytes)), {.volume = view});
    EXPECT_EQ(seen.back(), pretrained.model->config().modalities.front().processor(shown));
  }
  EXPECT_NE(seen[0], seen[1]);
}

}  // namespace
}  // namespace multimeditron
