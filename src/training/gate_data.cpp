#include "training/gate_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/hash.h"
#include "base/hub.h"
#include "data/sampler.h"
#include "models/model_folder.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kImageNetSide = 224;

std::unique_ptr<LabelledImages> open_images(const GateRecipe& recipe, const std::vector<std::vector<std::string>>& map, const char* key,
                                            const LabelledImages::Options& options) {
  std::vector<std::unique_ptr<Dataset>> classes;
  for (size_t i = 0; i < map.size(); ++i) {
    std::vector<DatasetSpec> specs;
    for (const std::string& path : map[i]) specs.push_back({.packed_path = path, .weight = {}, .max_samples = {}});
    classes.push_back(open_datasets(specs, recipe.file, fmt::format("{}.{}", key, i)));
  }
  return std::make_unique<LabelledImages>(std::move(classes), options);
}

}  // namespace

ImageProcessor gate_processor(const GateRecipe& recipe) {
  std::optional<ImageProcessor> given;
  if (!recipe.image_processor_path.empty()) {
    const fs::path near = recipe.file.parent_path();
    std::optional<fs::path> folder;
    if (recipe.normalisation != "imagenet" || find_in_hub(recipe.image_processor_path, near, HubKind::kModel))
      folder = find_model_folder(recipe.image_processor_path, near, "image_processor_path");
    if (folder) given = ImageProcessor::load(*folder);
    if (given && given->height() != given->width()) {
      throw UserError("the image processor's pixels are not square", {.where = folder->string(),
                                                                      .found = fmt::format("{} x {}", given->width(), given->height()),
                                                                      .fix = "name the image processor of the mixture's experts"});
    }
  }
  if (recipe.normalisation != "imagenet") return *given;
  const int64_t side = given ? given->height() : kImageNetSide;
  return ImageProcessor::from_json({{"image_processor_type", "CLIPImageProcessor"},
                                    {"do_resize", true},
                                    {"size", {{"shortest_edge", side * 8 / 7}}},
                                    {"do_center_crop", true},
                                    {"crop_size", {{"height", side}, {"width", side}}},
                                    {"resample", 2},
                                    {"do_rescale", true},
                                    {"rescale_factor", 1.0 / 255},
                                    {"do_normalize", true},
                                    {"image_mean", {0.485, 0.456, 0.406}},
                                    {"image_std", {0.229, 0.224, 0.225}}});
}

std::string GateData::fingerprint() const {
  return test_images ? sha256(images->fingerprint() + test_images->fingerprint()) : images->fingerprint();
}

namespace {

/// Throws UserError for a class of which no row that would be trained on is an image: what it says of images would be chance.
void require_images(const GateRecipe& recipe, const GateData& data) {
  std::vector<bool> has_image(static_cast<size_t>(recipe.num_classes));
  std::vector<std::string> found(has_image.size());
  std::vector<int64_t> rows(has_image.size());
  for (const int64_t row : data.train) {
    const auto label = static_cast<size_t>(data.images->label(row));
    ++rows[label];
    if (has_image[label]) continue;
    try {
      data.images->build(row);
      has_image[label] = true;
    } catch (const UserError& error) {
      found[label] = error.message() + (error.details().found.empty() ? "" : ": " + error.details().found);
    }
  }
  for (size_t label = 0; label < has_image.size(); ++label) {
    if (has_image[label]) continue;
    throw UserError("a class has no image that can be used",
                    {.where = fmt::format("{}, key dataset_class_map.{}", recipe.file.string(), label),
                     .found = fmt::format("class {} ({}): 0 of {} rows; {}", label, recipe.labels()[label], rows[label], found[label]),
                     .fix = "mend the data or `loaders`, or name other data sets"});
  }
}

}  // namespace

GateData open_gate_data(const GateRecipe& recipe) {
  GateData data{.processor = gate_processor(recipe),
                .edge = 0,
                .side = 0,
                .images = {},
                .test_images = {},
                .train = {},
                .validation = {},
                .test = {}};
  data.side = data.processor.height();
  data.edge = data.side * 8 / 7;  // 256 for 224
  const LabelledImages::Options options{.edge = data.edge,
                                        .side = data.side,
                                        .mean = data.processor.image_mean,
                                        .std = data.processor.image_std,
                                        .seed = static_cast<uint64_t>(recipe.seed),
                                        .loaders = recipe.loaders};
  data.images = open_images(recipe, recipe.dataset_class_map, "dataset_class_map", options);
  for (int64_t label = 0; label < data.images->num_classes(); ++label) {
    const int64_t first = data.images->first_row(label), size = data.images->first_row(label + 1) - first;
    std::vector<int64_t> rows = numpy_permutation(static_cast<uint64_t>(recipe.seed + label), size);
    rows.resize(static_cast<size_t>(std::min(size, recipe.max_samples_per_class.value_or(size))));
    for (int64_t& row : rows) row += first;
    const auto share = [&](double part) { return std::llround(part * static_cast<double>(rows.size())); };
    const auto test_end = rows.begin() + share(recipe.test_split);
    const auto validation_end = rows.begin() + std::min<int64_t>(share(recipe.test_split) + share(recipe.val_split), std::ssize(rows));
    data.test.insert(data.test.end(), rows.begin(), test_end);
    data.validation.insert(data.validation.end(), test_end, validation_end);
    data.train.insert(data.train.end(), validation_end, rows.end());
    if (validation_end == rows.end()) {
      throw UserError("a class has no image to train on",
                      {.where = fmt::format("{}, key dataset_class_map.{}", recipe.file.string(), label),
                       .found = fmt::format("class {} ({}): {} image(s), all of them in the validation or test draw", label,
                                            recipe.labels()[static_cast<size_t>(label)], rows.size()),
                       .fix = "add data sets to the class, or lower `val_split` and `test_split`"});
    }
  }
  if (!recipe.test_dataset_class_map.empty()) {
    data.test_images = open_images(recipe, recipe.test_dataset_class_map, "test_dataset_class_map", options);
    data.test.resize(static_cast<size_t>(data.test_images->size()));
    std::iota(data.test.begin(), data.test.end(), 0);
  }
  require_images(recipe, data);
  return data;
}

}  // namespace multimeditron
