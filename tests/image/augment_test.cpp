#include "image/augment.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "base/file.h"
#include "base/json.h"

namespace multimeditron {
namespace {

/// The uint8 tensors of a safetensors file, [height, width, 3] each. (This folder does not know the reader.)
class Images {
 public:
  explicit Images(const std::filesystem::path& file) : bytes_(read_file(file)) {
    uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), sizeof(length));
    header_ = Json::parse(bytes_.substr(sizeof(length), length));
    start_ = sizeof(length) + length;
  }
  RgbImage operator()(const std::string& name) const {
    const Json& entry = header_.at(name);
    const size_t begin = start_ + entry["data_offsets"][0].get<size_t>(), end = start_ + entry["data_offsets"][1].get<size_t>();
    return {.width = entry["shape"][1],
            .height = entry["shape"][0],
            .pixels = {bytes_.begin() + static_cast<std::ptrdiff_t>(begin), bytes_.begin() + static_cast<std::ptrdiff_t>(end)}};
  }

 private:
  std::string bytes_;
  Json header_;
  size_t start_;
};

const std::filesystem::path kRoot = std::filesystem::path(TEST_DATA) / "gate";

/// Crop, flip and colours of given numbers, bit for bit as torchvision does it on Pillow images.
TEST(Augment, IsTorchvisions) {
  const Images images(kRoot / "augment.safetensors");
  const Json cases = read_json(kRoot / "augment.json");
  ASSERT_EQ(cases.size(), 6U);
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json& each = cases[i];
    Augmentation augmentation{
        .crop = {each["left"], each["top"], each["width"], each["height"]}, .is_flipped = each["flipped"], .order = {}, .factors = {}};
    for (size_t k = 0; k < 3; ++k) {
      augmentation.order[k] = static_cast<Augmentation::Step>(each["order"][k].get<int>());
      augmentation.factors[k] = each["factors"][k];
    }
    const std::string number = std::to_string(i);
    EXPECT_EQ(augment(images("image." + number), augmentation, each["side"]).pixels, images("augmented." + number).pixels) << "case " << i;
    EXPECT_EQ(resize_and_crop(images("image." + number), 73, 64).pixels, images("plain." + number).pixels) << "case " << i;
  }
}

/// The same seed draws the same; other seeds draw crops all over the image, of all allowed sizes.
TEST(Augment, DrawsWhatItShould) {
  EXPECT_EQ(draw_augmentation(90, 70, 4).crop.left, draw_augmentation(90, 70, 4).crop.left);
  EXPECT_EQ(draw_augmentation(90, 70, 4).factors, draw_augmentation(90, 70, 4).factors);
  double smallest = 1, largest = 0, lowest = 2, highest = 0;
  int flipped = 0;
  std::set<std::array<Augmentation::Step, 3>> orders;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const Augmentation each = draw_augmentation(90, 70, seed);
    EXPECT_GE(each.crop.left, 0);
    EXPECT_GE(each.crop.top, 0);
    EXPECT_LE(each.crop.left + each.crop.width, 90);
    EXPECT_LE(each.crop.top + each.crop.height, 70);
    const double area = static_cast<double>(each.crop.width * each.crop.height) / (90 * 70);
    smallest = std::min(smallest, area);
    largest = std::max(largest, area);
    for (const float factor : each.factors) {
      lowest = std::min<double>(lowest, factor);
      highest = std::max<double>(highest, factor);
    }
    flipped += each.is_flipped;
    orders.insert(each.order);
  }
  EXPECT_NEAR(smallest, 0.08, 0.01);
  EXPECT_GT(largest, 0.9);
  EXPECT_NEAR(lowest, 0.8, 0.01);
  EXPECT_NEAR(highest, 1.2, 0.01);
  EXPECT_NEAR(flipped, 1000, 100);
  EXPECT_EQ(orders.size(), 6U);
}

/// An image too thin for any allowed crop gives the largest one from its middle.
TEST(Augment, ThinImagesAreCutInTheMiddle) {
  const Augmentation wide = draw_augmentation(400, 3, 1);
  EXPECT_EQ(wide.crop.height, 3);
  EXPECT_EQ(wide.crop.width, 4);
  EXPECT_EQ(wide.crop.left, 198);
}

TEST(Augment, NormalisesAsTorchvision) {
  const RgbImage image{.width = 2, .height = 1, .pixels = {0, 51, 255, 255, 102, 0}};
  const std::vector<float> values = normalise(image, {0.5, 0.4, 0.3}, {0.5, 0.2, 0.1});
  const std::vector<float> expected{-1, 1, -1, 0, 7, -3};  // planes red, green, blue
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-5);
}

}  // namespace
}  // namespace multimeditron
