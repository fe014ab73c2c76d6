#include "cli/demo/gate.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "base/json.h"
#include "cli/program.h"
#include "data/dataset.h"
#include "recipe/gate_recipe.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kExperts{"experts/ct", "experts/mri", "experts/ultrasound", "experts/xray", "experts/drawing"};

/// The processor that the demo's CLIP has.
fs::path write_processor(const fs::path& folder) {
  const Json config{{"image_processor_type", "CLIPImageProcessor"},
                    {"size", {{"shortest_edge", 64}}},
                    {"crop_size", 64},
                    {"image_mean", {0.27, 0.27, 0.27}},
                    {"image_std", {0.28, 0.28, 0.28}}};
  fs::create_directories(folder);
  write_file_atomic(folder / "preprocessor_config.json", config.dump());
  return folder;
}

TEST(DemoGate, DataSetsHoldOneKindEach) {
  const TemporaryFolder folder;
  demo::write_gate_data(folder.path(), 3, {.training = 4, .test = 2});
  for (const char* kind : {"ct", "mri", "ultrasound", "xray", "drawing"}) {
    EXPECT_EQ(open_dataset(folder / "data/kinds" / kind)->size(), 4);
    EXPECT_EQ(open_dataset(folder / "data/kinds-test" / kind)->size(), 2);
  }
  EXPECT_NE(open_dataset(folder / "data/kinds/mri")->row(0).text->find("MRI"), std::string::npos);
  EXPECT_NE(open_dataset(folder / "data/kinds/xray")->row(1).text->find("X-ray"), std::string::npos);
  // The test's images are not among the others.
  EXPECT_NE(open_dataset(folder / "data/kinds/ct")->row(0).modalities[0].bytes,
            open_dataset(folder / "data/kinds-test/ct")->row(0).modalities[0].bytes);
}

/// What the mixture demo asks of its gate, by the recipe that it writes; MULTIMEDITRON_TEST_SEED draws other phantoms.
TEST(DemoGate, TellsTheKindsApart) {
  const TemporaryFolder folder;
  const char* asked = std::getenv("MULTIMEDITRON_TEST_SEED");
  const uint64_t seed = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 0;
  demo::write_gate_data(folder.path(), seed);
  const demo::Stage stage = demo::make_gate_stage(folder.path(), kExperts, write_processor(folder / "models/clip"), seed, false);
  fs::create_directories(stage.recipe.parent_path());
  write_file_atomic(stage.recipe, stage.yaml);
  EXPECT_TRUE(is_gate_recipe(stage.recipe));
  const Result result = run({"check", stage.recipe.string()});
  EXPECT_EQ(result.code, 0) << result.err;
  const Result trained = run({stage.command, "--config", stage.recipe.string()});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Json report = read_json(stage.run / "gate_report.json");
  std::printf("%.1f %% of the test draw, by the gate of epoch %d of %d\n", 100 * report["test"]["accuracy"].get<double>(),
              report["epoch"].get<int>(), report["epochs"].get<int>());
  EXPECT_EQ(report["test"]["images"], 300);
  EXPECT_GE(report["test"]["accuracy"].get<double>(), 0.98) << trained.out;
  EXPECT_EQ(report["classes"], Json({"CT", "MRI", "ultrasound", "X-ray", "drawing"}));
  EXPECT_EQ(read_json(stage.run / "best/config.json")["class_names"], Json(kExperts));
}

}  // namespace
}  // namespace multimeditron::testing
