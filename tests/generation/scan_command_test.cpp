#include "base/file.h"
#include "base/json.h"
#include "cli/program.h"

namespace multimeditron {
namespace {

using testing::run;

const std::string kMedical = std::string(TEST_DATA) + "/medical/";
const std::string kProcessor = std::string(TEST_DATA) + "/case_qwen3_clip/vision/clip";

testing::Result inspect(const std::string& file, std::vector<std::string> more = {}) {
  more.insert(more.begin(), {"inspect", "--image", kMedical + file, "--processor", kProcessor, "--json"});
  return run(more);
}

/// What the reference scripts expect of a file and its options.
std::string expected(const std::string& file, const Json& options) {
  const Json goldens = read_json(kMedical + "goldens.json");
  for (const Json& golden : goldens["cases"]) {
    Json rest = golden;
    for (const char* key : {"file", "width", "height", "rgb_sha256"}) rest.erase(key);
    if (golden["file"] == file && rest == options) return golden["rgb_sha256"];
  }
  return "no such case";
}

TEST(ScanCommand, OptionsChooseWindowAndSlice) {
  const auto sha_of = [](const testing::Result& result) {
    EXPECT_EQ(result.code, 0) << result.err;
    return result.code == 0 ? Json::parse(result.out)["rgb_sha256"].get<std::string>() : "";
  };
  EXPECT_EQ(sha_of(inspect("ct-explicit.dcm")), expected("ct-explicit.dcm", Json::object()));
  EXPECT_EQ(sha_of(inspect("ct-explicit.dcm", {"--window", "lung"})), expected("ct-explicit.dcm", {{"window", {-600, 1500}}}));
  EXPECT_EQ(sha_of(inspect("ct-explicit.dcm", {"--window", "400.5,1800"})), expected("ct-explicit.dcm", {{"window", {400.5, 1800}}}));
  EXPECT_EQ(sha_of(inspect("ct-explicit.dcm", {"--window", "-600,1500"})), expected("ct-explicit.dcm", {{"window", {-600, 1500}}}));
  EXPECT_EQ(sha_of(inspect("frames.dcm", {"--frame", "2"})), expected("frames.dcm", {{"frame", 2}}));
  EXPECT_EQ(sha_of(inspect("ras.nii", {"--axis", "coronal", "--slice", "5"})), expected("ras.nii", {{"plane", "coronal"}, {"slice", 5}}));
  EXPECT_EQ(sha_of(inspect("time.nii.gz", {"--volume", "1"})), expected("time.nii.gz", {{"volume", 1}}));
}

TEST(ScanCommand, FilesOfPatientsStayNameless) {
  // Every file bears this name; whatever the program says, and whatever is wrong, it does not say it.
  for (const char* file : {"ct-explicit.dcm", "enhanced.dcm", "bad-truncated.dcm", "bad-no-pixels.dcm", "bad-syntax.dcm", "bad-bits.dcm",
                           "bad-cut-in-elements.dcm", "bad-rle-cut.dcm"}) {
    const auto result = inspect(file);
    EXPECT_EQ(result.code, std::string(file).starts_with("bad") ? 2 : 0) << result.err;
    EXPECT_EQ((result.out + result.err).find("ZZPATIENT"), std::string::npos) << result.out << result.err;
  }
}

TEST(ScanCommand, MistakesNameTheOptionAndTheRemedy) {
  const auto refused = [](const std::vector<std::string>& more, const std::string& word) {
    const auto result = inspect("ras.nii", more);
    EXPECT_EQ(result.code, 2);
    EXPECT_NE(result.err.find(word), std::string::npos) << result.err;
  };
  refused({"--window", "lungs"}, "did you mean");
  refused({"--window", "40,0"}, "centre,width");
  refused({"--axis", "up"}, "--axis");
  refused({"--slice", "-2"}, "--slice");
  refused({"--slice", "7"}, "set `slice` to at most 6");
  const auto samples = run({"inspect", "--config", "recipe.yaml", "--window", "lung"});
  EXPECT_EQ(samples.code, 2);
  EXPECT_NE(samples.err.find("`--window` has no meaning with `--config`"), std::string::npos) << samples.err;
}

}  // namespace
}  // namespace multimeditron
