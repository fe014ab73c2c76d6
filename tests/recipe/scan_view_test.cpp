#include "recipe/scan_view.h"

#include "recipe/recipe_file.h"

namespace multimeditron::testing {
namespace {

ScanView scan_of(const std::vector<std::string>& overrides) {
  return load(kSmall, overrides).loaders[0].scan;
}

TEST(ScanKeys, AreReadFromALoader) {
  const std::string volume = "loaders.0.loader_type=raw-volume";
  EXPECT_EQ(scan_of({}).window, "file");
  EXPECT_EQ(scan_of({"loaders.0.window=lung"}).window, "lung");
  const ScanView scan =
      scan_of({volume, "loaders.0.window=[-600, 1500.5]", "loaders.0.axis=coronal", "loaders.0.slice=40", "loaders.0.volume=2"});
  ASSERT_TRUE(find_window(scan.window));
  EXPECT_EQ(find_window(scan.window)->centre, -600);
  EXPECT_EQ(find_window(scan.window)->width, 1500.5);
  EXPECT_EQ(scan.axis, "coronal");
  EXPECT_EQ(scan.slice, "40");
  EXPECT_EQ(scan.volume, 2);
  EXPECT_EQ(scan_of({volume, "loaders.0.slice=middle", "loaders.0.frame=3"}).frame, 3);
  for (const ScanWindow& window : scan_windows()) EXPECT_EQ(find_window(window.name)->width, window.width);
}

TEST(ScanKeys, AreWrittenIntoTheEffectiveRecipeWhereTheyAreNotTheDefault) {
  const std::string plain = load(kSmall).effective_yaml;
  EXPECT_EQ(plain.find("window"), std::string::npos) << plain;
  EXPECT_EQ(plain.find("slice"), std::string::npos) << plain;
  const Recipe recipe = load(kSmall, {"loaders.0.loader_type=raw-volume", "loaders.0.window=[40, 400]", "loaders.0.slice=7"});
  EXPECT_NE(recipe.effective_yaml.find("slice: 7"), std::string::npos) << recipe.effective_yaml;
  EXPECT_NE(recipe.effective_yaml.find("window"), std::string::npos) << recipe.effective_yaml;
  EXPECT_NE(recipe.fingerprint,
            load(kSmall, {"loaders.0.loader_type=raw-volume", "loaders.0.window=[40, 401]", "loaders.0.slice=7"}).fingerprint);
}

TEST(ScanKeys, MistakesNameTheKeyAndTheRemedy) {
  const auto expect = [](const std::vector<std::string>& overrides, const std::vector<std::string>& parts) {
    const std::string text = mistakes(kSmall, overrides);
    for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << text;
  };
  expect({"loaders.0.window=lungs"}, {"`loaders.0.window` has no choice of this name", "did you mean `lung`?"});
  expect({"loaders.0.window=[40]"}, {"`loaders.0.window` is no window", "[40]", "[centre, width]"});
  expect({"loaders.0.window=[40, 0]"}, {"`loaders.0.window` is no window", "above 0"});
  expect({"loaders.0.window=[40, wide]"}, {"`loaders.0.window` is no window"});
  expect({"loaders.0.loader_type=raw-volume", "loaders.0.slice=-1"}, {"`loaders.0.slice` must be `middle` or a whole number"});
  expect({"loaders.0.loader_type=raw-volume", "loaders.0.axis=axail"}, {"did you mean `axial`?"});
  expect({"loaders.0.slice=3"}, {"`loaders.0.slice` has no meaning for raw-image", "write `loader_type: raw-volume`"});
  expect({"loaders.0.loader_type=fs-image", "loaders.0.axis=axial"}, {"has no meaning for fs-image", "fs-volume"});
  expect({"loaders.0.frame=-1"}, {"`loaders.0.frame` is out of range"});
}

}  // namespace
}  // namespace multimeditron::testing
