#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"
#include "models/tensors.h"
#include "trajectory.h"

// The cookbook's twenty recipes as they are shipped, in tiny, against transformers, timm and torch (tests/reference/cookbook_goldens.py).
namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const Json& golden() {
  static const Json json = read_json(fs::path(TEST_DATA) / "cookbook/expected.json");
  return json;
}

/// The models under their ids, to be found relative to the working directory.
void lay_out_hub(const fs::path& hub) {
  for (const auto& [id, folder] : golden()["hub"].items()) {
    fs::create_directories((hub / id).parent_path());
    fs::create_directory_symlink(fs::path(TEST_DATA) / folder.get<std::string>(), hub / id);
  }
}

/// The data sets under their names, made of the samples of case_two.
void lay_out_data(const fs::path& storage) {
  const fs::path source = fs::path(TEST_DATA) / "case_two/data/jsonl";
  std::vector<std::string> rows;
  std::istringstream lines(content_of(source / "train.jsonl"));
  for (std::string line; std::getline(lines, line);) rows.push_back(line);
  for (const auto& [name, numbers] : golden()["data"].items()) {
    fs::create_directories(storage / name / "images");
    std::ofstream file(storage / name / "train.jsonl");
    for (const size_t number : numbers) {
      file << rows.at(number) << "\n";
      const Json row = Json::parse(rows[number]);
      for (const Json& image : row["modalities"]) {
        const std::string path = image["value"];
        fs::copy_file(source / path, storage / name / path);
      }
    }
  }
}

class CookbookParity : public ::testing::TestWithParam<std::string> {};

TEST_P(CookbookParity, BothStagesFollowTheReferenceForTenSteps) {
  const TemporaryFolder folder;
  lay_out_hub(folder / "hub");
  lay_out_data(folder / "storage");
  const fs::path models = folder / "models";
  // Stage 2's base_model names stage 1's run.
  for (const char* mode : {"ALIGNMENT", "END2END"}) {
    const Json& expected = golden()["recipes"][GetParam()][mode];
    const fs::path recipe = fs::path(TEST_DATA) / "../../recipes/sft" / GetParam() / expected["file"].get<std::string>();
    std::vector<std::string> command{"env", "-C", (folder / "hub").string(), PROGRAM, "train", "--config", recipe.string(), "--quiet"};
    for (const std::string each : expected["overrides"]) command.push_back(each);
    command.push_back("logging_level=micro");
    const Result result = run_command(command, {"STORAGE_ROOT=" + (folder / "storage").string(), "MODEL_ROOT=" + models.string()});
    ASSERT_EQ(result.code, 0) << result.err;

    const std::string name = "cookbook " + GetParam();
    const fs::path out = models / expected["output"].get<std::string>();
    report_trajectory(name, mode, out / "metrics.jsonl", expected);
    const SafetensorsReader reader(checkpoint_path(out, list_checkpoints(out).back()));
    double largest = 0;
    for (const Json& each : expected["final"]) {
      const std::string tensor = golden()["tensors"][each[0].get<size_t>()];
      const TensorView* view = reader.find(tensor);
      ASSERT_NE(view, nullptr) << tensor;
      largest = std::max(largest, difference_from_stated(to_tensor(*view), each[1], each[2]));
    }
    report_parity(name, std::string(mode) + " final parameters", largest, 1e-4);
  }
}

std::vector<std::string> directories() {
  std::vector<std::string> names;
  for (const auto& [name, stages] : golden()["recipes"].items()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Recipes, CookbookParity, ::testing::ValuesIn(directories()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace(name, '/', '_');
  return name;
});

}  // namespace
}  // namespace multimeditron::testing
