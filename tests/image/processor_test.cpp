#include "image/processor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <numeric>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/temporary_folder.h"
#include "image/pattern.h"

namespace multimeditron {
namespace {

const std::filesystem::path kData = TEST_DATA;

RgbImage read_image(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  return decode_image(std::as_bytes(std::span(content.data(), content.size())));
}

TEST(Resize, IsBitEqualToPillow) {
  const Json goldens = read_json(kData / "image/goldens.json");
  for (const Json& golden : goldens["resized"]) {
    SCOPED_TRACE(golden.dump());
    const RgbImage image = pattern(golden["from"][0], golden["from"][1]);
    const int64_t width = golden["to"][0], height = golden["to"][1];
    const auto resample = static_cast<Resample>(golden["resample"].get<int>());
    const RgbImage resized = resize_region(image, resample, width, height, {0, 0, width, height});
    EXPECT_EQ(sha256(std::as_bytes(std::span(resized.pixels))), golden["rgb_sha256"].get<std::string>());
    if (resample == Resample::kBicubic) {
      EXPECT_EQ(resize_bicubic(image, width, height).pixels, resized.pixels);
    }
  }
}

TEST(Resize, LinesOfMillionsOfPixelsAreRefused) {
  for (const auto& [width, height] : {std::pair<int64_t, int64_t>{5'000'000, 1}, {1, 5'000'000}}) {
    const RgbImage line{width, height, std::vector<uint8_t>(15'000'000)};
    EXPECT_USER_ERROR(resize_bicubic(line, 224, 224), "too large", "5000000 pixels in a line");
  }
  EXPECT_EQ(resize_bicubic({200'000, 2, std::vector<uint8_t>(1'200'000, 7)}, 224, 224).pixels, std::vector<uint8_t>(224 * 224 * 3, 7));
}

TEST(Resize, RegionEqualsTheCropOfTheWhole) {
  const RgbImage image = pattern(83, 61);
  const RgbImage whole = resize_bicubic(image, 40, 50);
  const Region region{7, 11, 20, 13};
  const RgbImage part = resize_region(image, Resample::kBicubic, 40, 50, region);
  for (int64_t y = 0; y < region.height; ++y) {
    for (int64_t x = 0; x < region.width * 3; ++x) {
      ASSERT_EQ(part.pixels[static_cast<size_t>(y * region.width * 3 + x)],
                whole.pixels[static_cast<size_t>(((y + region.top) * 40 + region.left) * 3 + x)]);
    }
  }
}

TEST(ImageProcessor, IsBitEqualToTransformers) {
  const Json goldens = read_json(kData / "image/goldens.json");
  for (const Json& golden : goldens["processed"]) {
    SCOPED_TRACE(golden.dump());
    const ImageProcessor processor = ImageProcessor::from_json(golden["config"]);
    const std::vector<float> pixels = processor(pattern(golden["from"][0], golden["from"][1]));
    EXPECT_EQ(processor.height(), golden["shape"][1].get<int64_t>());
    EXPECT_EQ(processor.width(), golden["shape"][2].get<int64_t>());
    for (size_t i = 0; i < golden["first"].size(); ++i) EXPECT_FLOAT_EQ(pixels[i], golden["first"][i].get<float>());
    EXPECT_EQ(sha256(std::as_bytes(std::span(pixels))), golden["sha256"].get<std::string>());
  }
}

TEST(ImageProcessor, IsBitEqualToOpenClip) {
  const Json goldens = read_json(kData / "image/goldens.json");
  for (const Json& golden : goldens["open_clip"]) {
    SCOPED_TRACE(golden.dump());
    const int64_t size = golden["image_size"];
    const ImageProcessor processor = ImageProcessor::from_open_clip(golden["preprocess_cfg"], size);
    const RgbImage image = pattern(golden["from"][0], golden["from"][1]);
    const std::vector<float> pixels = processor(image);
    EXPECT_EQ(processor.height(), size);
    EXPECT_EQ(processor.width(), size);
    for (size_t i = 0; i < golden["first"].size(); ++i) EXPECT_FLOAT_EQ(pixels[i], golden["first"][i].get<float>());
    EXPECT_EQ(sha256(std::as_bytes(std::span(pixels))), golden["sha256"].get<std::string>());
    EXPECT_EQ(ImageProcessor::from_json(processor.config)(image), pixels) << "out of a checkpoint";
    EXPECT_EQ(ImageProcessor::from_open_clip(golden["preprocess_cfg"], 19).resized(size)(image), pixels);
  }
}

TEST(ImageProcessor, ReadsOpenClipsFile) {
  const TemporaryFolder folder;
  const auto load = [&](const std::string& json) {
    write_file_atomic(folder / "open_clip_config.json", json);
    return ImageProcessor::load(folder.path());
  };
  const ImageProcessor processor =
      load(R"({"model_cfg": {"vision_cfg": {"image_size": 32}}, "preprocess_cfg": {"mean": [0.1, 0.2, 0.3], "std": 0.5}})");
  EXPECT_EQ(processor.width(), 32);
  EXPECT_EQ(processor.image_mean, (std::array<double, 3>{0.1, 0.2, 0.3}));
  EXPECT_EQ(processor.image_std, (std::array<double, 3>{0.5, 0.5, 0.5}));
  EXPECT_EQ(load("{}").width(), 224);
  EXPECT_USER_ERROR(load(R"({"preprocess_cfg": {"resize_mode": "crop"}})"), "open_clip_config.json", "resize_mode",
                    "shortest, squash, longest");
  EXPECT_USER_ERROR(load(R"({"preprocess_cfg": {"resize_mode": "longest", "fill_color": 7}})"), "fill_color");
  EXPECT_USER_ERROR(load(R"({"preprocess_cfg": {"std": [0.5, 0, 0.5]}})"), "std");
  EXPECT_USER_ERROR(load(R"({"preprocess_cfg": []})"), "preprocess_cfg");
  EXPECT_USER_ERROR(load(R"({"model_cfg": {"vision_cfg": {"image_size": [224, 112]}}})"), "image_size");
  write_file_atomic(folder / "preprocessor_config.json", R"({"size": 20, "crop_size": 20})");
  EXPECT_EQ(load("{}").width(), 20) << "transformers' file counts where both are there";
}

TEST(ImageProcessor, IsMadeForAnotherSize) {
  for (const char* config : {R"({"size": 20, "crop_size": 20})", R"({"size": {"height": 20, "width": 20}, "do_center_crop": false})",
                             R"({"size": 20, "image_processor_type": "ViTImageProcessor"})",
                             R"({"size": 20, "image_processor_type": "ConvNextImageProcessor"})"}) {
    const ImageProcessor processor = ImageProcessor::from_json(Json::parse(config)).resized(32);
    EXPECT_EQ(processor.width(), 32) << config;
    EXPECT_EQ(processor.height(), 32) << config;
    EXPECT_EQ(processor(pattern(61, 43)).size(), 3u * 32 * 32) << config;
  }
}

TEST(ImageProcessor, OfAnotherSizeItCropsTheSamePart) {
  const auto resized = [](const char* config) { return ImageProcessor::from_json(Json::parse(config)).resized(336); };
  EXPECT_EQ(resized(R"({"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "crop_size": 224})").shortest_edge,
            384);
  const ImageProcessor deit = resized(R"({"image_processor_type": "DeiTImageProcessor"})");
  EXPECT_EQ(deit.resize_height, 384);
  EXPECT_EQ(deit.width(), 336);
}

TEST(ImageProcessor, SaysWhatSizeIsEnough) {
  using Size = std::optional<std::array<int64_t, 2>>;
  const auto enough = [](const char* config) { return ImageProcessor::from_json(Json::parse(config)).enough(); };
  EXPECT_EQ(enough(R"({"size": 20, "crop_size": 18})"), (Size{{20, 20}}));
  EXPECT_EQ(enough(R"({"size": {"height": 20, "width": 30}, "do_center_crop": false})"), (Size{{30, 20}}));
  EXPECT_EQ(enough(R"({"size": 21, "image_processor_type": "ConvNextImageProcessor"})"), (Size{{24, 24}}));
  EXPECT_EQ(enough(R"({"do_resize": false, "crop_size": 18})"), std::nullopt);
  EXPECT_EQ(ImageProcessor::from_open_clip(Json{{"resize_mode", "longest"}}, 24).enough(), (Size{{24, 24}}));
}

TEST(ImageProcessor, GivesThePixelsOfTheWorkedExample) {
  const std::filesystem::path root = kData / "case_qwen3_clip";
  const Json expected = read_json(root / "cases/qwen3_clip/expected.json");
  const ImageProcessor processor = ImageProcessor::load(root / "vision/clip");
  ASSERT_EQ(expected["images"].size(), 23u);
  for (const Json& golden : expected["images"]) {
    SCOPED_TRACE(golden["path"].get<std::string>());
    const RgbImage image = read_image(root / "data/jsonl/images" / golden["path"].get<std::string>());
    EXPECT_EQ(image.width, golden["decoded_size"][0].get<int64_t>());
    EXPECT_EQ(image.height, golden["decoded_size"][1].get<int64_t>());
    EXPECT_EQ(std::accumulate(image.pixels.begin(), image.pixels.end(), int64_t{0}), golden["decoded_rgb_sum"].get<int64_t>());
    const std::vector<float> pixels = processor(image);
    const Json& digest = golden["pixel_values"];
    ASSERT_EQ(pixels.size(), 3u * 48 * 48);
    double sum = 0, abs_sum = 0;
    for (const float pixel : pixels) {
      sum += pixel;
      abs_sum += std::abs(pixel);
    }
    EXPECT_NEAR(sum, digest["sum"].get<double>(), 1e-6 * abs_sum);
    EXPECT_NEAR(abs_sum, digest["abs_sum"].get<double>(), 1e-6 * abs_sum);
    for (size_t i = 0; i < 8; ++i) {
      EXPECT_NEAR(pixels[i], digest["first"][i].get<double>(), 1e-6);
      EXPECT_NEAR(pixels[pixels.size() - 8 + i], digest["last"][i].get<double>(), 1e-6);
    }
  }
}

/// The message of from_json for a configuration that it must refuse.
std::string complaint(const char* config) {
  try {
    ImageProcessor::from_json(Json::parse(config));
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

TEST(ImageProcessor, NamesTheKeyThatCannotBeUsed) {
  EXPECT_NE(complaint(R"({"resample": 0})").find("where: resample"), std::string::npos);
  EXPECT_NE(complaint(R"({"size": {"longest_edge": 20}})").find("where: size"), std::string::npos);
  EXPECT_NE(complaint(R"({"crop_size": {"shortest_edge": 20}})").find("where: crop_size"), std::string::npos);
  EXPECT_NE(complaint(R"({"size": -3})").find("where: size"), std::string::npos);
  EXPECT_NE(complaint(R"({"image_mean": [0.5]})").find("where: image_mean"), std::string::npos);
  EXPECT_NE(complaint(R"({"image_std": [0, 1, 1]})").find("where: image_std"), std::string::npos);
  EXPECT_NE(complaint(R"({"do_resize": "yes"})").find("where: do_resize"), std::string::npos);
  EXPECT_NE(complaint(R"({"do_center_crop": false})").find("different sizes"), std::string::npos);
  EXPECT_NE(complaint(R"({"image_processor_type": "DonutImageProcessor"})").find("DonutImageProcessor"), std::string::npos);
  EXPECT_NE(complaint(R"({"image_processor_type": "ConvNextImageProcessor", "size": {"height": 9, "width": 9}})").find("where: size"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"image_processor_type": "ConvNextImageProcessor", "crop_pct": 0})").find("where: crop_pct"), std::string::npos);
  EXPECT_NE(complaint(R"({"image_processor_type": "ConvNextFeatureExtractor", "do_center_crop": true})").find("where: do_center_crop"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"image_processor_type": "ConvNextImageProcessor", "do_resize": false})").find("different sizes"),
            std::string::npos);
}

TEST(ImageProcessor, IsFoundInBothFilesAndMissedByName) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "image_processor_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);
  try {
    ImageProcessor::load(folder);
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find(folder.string()), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("preprocessor_config.json"), std::string::npos);
  }
  std::ofstream(folder / "processor_config.json") << R"({"image_processor": {"size": 32, "crop_size": 30}})";
  EXPECT_EQ(ImageProcessor::load(folder).shortest_edge, 32);
  std::ofstream(folder / "preprocessor_config.json") << R"({"size": 48, "resample": 7})";
  try {
    ImageProcessor::load(folder);
    ADD_FAILURE();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("preprocessor_config.json, resample"), std::string::npos) << error.what();
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace multimeditron
