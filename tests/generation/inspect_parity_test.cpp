#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "cli/program.h"
#include "generation/npy_array.h"
#include "generation/parity_case.h"
#include "generation/parity_report.h"

// Every number that the program shows of a sample and of a micro-batch, against transformers.
namespace multimeditron {
namespace {

using testing::kParityCases;
using testing::NpyArray;
using testing::ParityCase;
using testing::read_npy;
using testing::report_parity;

/// Lines of `inspect --config RECIPE ... --json` in the case's folder.
std::vector<Json> inspect(const ParityCase& parity, const std::string& recipe, std::vector<std::string> arguments) {
  std::vector<std::string> command{"inspect", "--config", (parity.folder / (recipe + ".yaml")).string(), "--json"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  const auto result = testing::run(command, {"CASE_ROOT=" + parity.root.string(), "OUT=unused"});
  EXPECT_EQ(result.code, 0) << result.err;
  std::vector<Json> lines;
  std::istringstream stream(result.out);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

double largest_of(std::span<const float> values) {
  double largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(static_cast<double>(value)));
  return largest;
}

/// max|a - b| / max|b|
double relative(std::span<const float> ours, std::span<const float> theirs) {
  EXPECT_EQ(ours.size(), theirs.size());
  double difference = 0;
  for (size_t i = 0; i < std::min(ours.size(), theirs.size()); ++i)
    difference = std::max(difference, std::abs(static_cast<double>(ours[i]) - theirs[i]));
  return difference / largest_of(theirs);
}

/// The same where shape, sums and a few values are all that is kept of the other tensor.
double relative_to_digest(const NpyArray& image, const Json& digest) {
  EXPECT_EQ(image.shape, digest["shape"].get<std::vector<int64_t>>());
  double sum = 0, abs_sum = 0;
  for (const float value : image.values) {
    sum += value;
    abs_sum += std::abs(value);
  }
  const auto number = [&](const char* key) { return digest[key].get<double>(); };
  double difference = std::max(std::abs(sum - number("sum")), std::abs(abs_sum - number("abs_sum"))) / number("abs_sum");
  const double scale = largest_of(image.values);
  const size_t count = digest["first"].size();
  for (size_t i = 0; i < count; ++i) {
    difference = std::max(difference, std::abs(image.values[i] - digest["first"][i].get<double>()) / scale);
    difference = std::max(difference, std::abs(image.values[image.values.size() - count + i] - digest["last"][i].get<double>()) / scale);
  }
  return difference;
}

std::string join(const Json& numbers) {
  std::string text;
  for (const Json& number : numbers) text += (text.empty() ? "" : ",") + number.dump();
  return text;
}

std::span<const float> floats(const SafetensorsReader& reader, const std::string& name) {
  const TensorView* view = reader.find(name);
  return {reinterpret_cast<const float*>(view->bytes.data()), static_cast<size_t>(view->numel())};
}

TEST(InspectParity, TokensLabelsAndPixelsOfEverySample) {
  for (const char* name : kParityCases) {
    const ParityCase parity(name);
    const TemporaryFolder folder;
    const Json& samples = parity.expected["samples"];
    const auto lines = inspect(parity, "alignment", {"--count", std::to_string(samples.size()), "--dump", folder.path().string()});
    ASSERT_EQ(lines.size(), samples.size());
    double pixels = 0;
    auto image = parity.expected["images"].begin();
    for (size_t i = 0; i < lines.size(); ++i) {
      const Json &line = lines[i], &sample = samples[i];
      EXPECT_EQ(line["index"], sample["index"]);
      for (const char* key : {"input_ids", "labels", "image_ranges", "learnt_tokens"})
        EXPECT_EQ(line[key], sample[key]) << i << ", " << key;
      ASSERT_EQ(line["images"].size(), sample["image_ranges"].size());
      if (line["images"].empty()) continue;
      const NpyArray dumped = read_npy(folder / ("row-" + std::to_string(i)) / "pixel_values.npy");
      ASSERT_EQ(dumped.shape.front(), static_cast<int64_t>(line["images"].size()));
      const size_t size = dumped.values.size() / line["images"].size();
      for (size_t k = 0; k < line["images"].size(); ++k, ++image) {
        EXPECT_EQ(line["images"][k]["size"], (*image)["decoded_size"]);
        EXPECT_EQ(line["images"][k]["rgb_sum"], (*image)["decoded_rgb_sum"]);
        const auto first = dumped.values.begin() + static_cast<std::ptrdiff_t>(k * size);
        const NpyArray one{{dumped.shape.begin() + 1, dumped.shape.end()}, {first, first + static_cast<std::ptrdiff_t>(size)}};
        pixels = std::max(pixels, relative_to_digest(one, (*image)["pixel_values"]));
      }
    }
    EXPECT_EQ(image, parity.expected["images"].end());
    report_parity(name, "pixel_values of all images", pixels, 1e-6);
  }
}

TEST(InspectParity, AssistantLabelsOfEverySample) {
  const ParityCase parity("case_two");
  const Json& samples = parity.expected["samples"];
  const auto lines = inspect(parity, "alignment", {"label_mask=assistant", "--count", std::to_string(samples.size())});
  ASSERT_EQ(lines.size(), samples.size());
  for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(lines[i]["labels"], samples[i]["labels_assistant"]) << i;
}

TEST(InspectParity, FeaturesEmbeddingsLogitsAndLossOfABatch) {
  for (const char* name : kParityCases) {
    const ParityCase parity(name);
    const TemporaryFolder folder;
    const Json& batch = parity.expected["batch"];
    const auto lines =
        inspect(parity, "end2end", {"--index", join(batch["samples"]), "--batch", "--forward", "--dump", folder.path().string()});
    ASSERT_EQ(lines.size(), batch["samples"].size() + 1);
    const SafetensorsReader expected(parity.folder / "expected.safetensors");
    for (const auto& [file, bound] : {std::pair{"pixel_values", 1e-6}, std::pair{"features", 1e-5}, std::pair{"projected", 1e-5}})
      report_parity(name, file,
                    relative(read_npy(folder / (std::string(file) + ".npy")).values, floats(expected, std::string("batch.") + file)),
                    bound);
    const double loss = batch["loss"];
    report_parity(name, "loss", std::abs(lines.back()["loss"].get<double>() - loss) / loss, 1e-5);

    // The reference pads its rows, ours lie side by side.
    const NpyArray logits = read_npy(folder / "logits.npy");
    const auto vocab_size = static_cast<size_t>(logits.shape[1]);
    std::vector<float> rows;
    size_t start = 0;
    for (size_t s = 0; s + 1 < lines.size(); ++s) {
      const auto ids = lines[s]["input_ids"].get<std::vector<int64_t>>(), positions = lines[s]["position_ids"].get<std::vector<int64_t>>();
      const auto padded = batch["input_ids"][s].get<std::vector<int64_t>>(), labels = batch["labels"][s].get<std::vector<int64_t>>();
      EXPECT_TRUE(std::equal(ids.begin(), ids.end(), padded.begin()));
      EXPECT_EQ(lines[s]["labels"], Json(std::vector<int64_t>(labels.begin(), labels.begin() + static_cast<std::ptrdiff_t>(ids.size()))));
      const auto expected_positions = batch["position_ids"][s].get<std::vector<int64_t>>();
      EXPECT_TRUE(std::equal(positions.begin(), positions.end(), expected_positions.begin()));
      for (const size_t row : {size_t{0}, size_t{1}, ids.size() - 1}) {
        const auto first = logits.values.begin() + static_cast<std::ptrdiff_t>((start + row) * vocab_size);
        rows.insert(rows.end(), first, first + static_cast<std::ptrdiff_t>(vocab_size));
      }
      start += ids.size();
    }
    EXPECT_EQ(start, static_cast<size_t>(logits.shape[0]));
    report_parity(name, "logits", relative(rows, floats(expected, "batch.logits_first_two_and_last_real_rows")), 1e-5);
  }
}

TEST(InspectParity, GradientsByNameInEveryMode) {
  for (const char* name : kParityCases) {
    const ParityCase parity(name);
    for (const auto& [mode, expected] : parity.expected["gradients"].items()) {
      const auto lines = inspect(parity, "end2end",
                                 {"--index", join(parity.expected["batch"]["samples"]), "--batch", "--gradients", "--training-mode", mode});
      const Json& found = lines.back()["gradients"];
      const double total = expected["total"];
      double largest = std::abs(lines.back()["gradient_norm"].get<double>() - total) / total;
      for (const auto& [tensor, norm] : expected["per_tensor"].items()) {
        ASSERT_TRUE(found.contains(tensor)) << mode << ", " << tensor;
        // A key bias of the tower has the gradient 0: what stands there is rounding.
        if (norm.get<double>() < 1e-6 * total) {
          EXPECT_LT(found[tensor].get<double>(), 1e-6 * total) << tensor;
        } else {
          largest = std::max(largest, std::abs(found[tensor].get<double>() - norm.get<double>()) / norm.get<double>());
        }
      }
      for (const auto& [tensor, norm] : found.items())
        EXPECT_TRUE(expected["per_tensor"].contains(tensor)) << mode << " trains " << tensor << ", the reference does not";
      report_parity(name, "gradients " + mode, largest, 1e-4);
    }
  }
}

TEST(InspectParity, ASampleAloneGivesTheGradientOfItsOwnMeanLoss) {
  const ParityCase parity("case_two");
  const auto separate = inspect(parity, "end2end", {"--index", "3", "--count", "2", "--gradients"});
  const auto alone = inspect(parity, "end2end", {"--index", "4", "--gradients"});
  const auto batch = inspect(parity, "end2end", {"--index", "4", "--batch", "--gradients"});
  ASSERT_EQ(separate.size(), 2u);
  EXPECT_EQ(separate[1]["gradients"], alone[0]["gradients"]);  // nothing of sample 3 is left in it
  EXPECT_EQ(batch[1]["gradients"], alone[0]["gradients"]);
  EXPECT_EQ(separate[1]["loss"], alone[0]["loss"]);
}

}  // namespace
}  // namespace multimeditron
