#include "data/labelled_images.h"

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "data/image_loader.h"
#include "image/augment.h"

namespace multimeditron {
LabelledImages::LabelledImages(std::vector<std::unique_ptr<Dataset>> classes, Options options)
    : classes_(std::move(classes)), first_rows_{0}, options_(std::move(options)) {
  for (const auto& dataset : classes_) first_rows_.push_back(first_rows_.back() + dataset->size());
}

int64_t LabelledImages::label(int64_t number) const {
  return std::upper_bound(first_rows_.begin(), first_rows_.end(), number % size()) - first_rows_.begin() - 1;
}

LabelledImages::Place LabelledImages::find(int64_t number) const {
  const int64_t label = this->label(number);
  return {classes_[static_cast<size_t>(label)].get(), number % size() - first_row(label)};
}

Row LabelledImages::row(int64_t number) const {
  const Place at = find(number);
  return at.dataset->row(at.row);
}

std::string LabelledImages::fingerprint() const {
  std::string all;
  for (const auto& dataset : classes_) all += dataset->fingerprint() + "\n";
  return sha256(all);
}

std::string LabelledImages::place(int64_t number) const {
  const Place at = find(number);
  return at.dataset->place(at.row);
}

std::filesystem::path LabelledImages::folder(int64_t number) const {
  const Place at = find(number);
  return at.dataset->folder(at.row);
}

Sample LabelledImages::build(int64_t number) const {
  const Place at = find(number);
  const Row row = at.dataset->row(at.row);
  try {
    if (row.modalities.empty())
      throw UserError("the row has no image", {.found = "nothing in `modalities`", .fix = "leave out rows without an image"});
    const std::string bytes = load_attachment(row.modalities[0], options_.loaders, at.dataset->folder(at.row));
    const bool is_augmented = number >= size();
    // An augmentation may enlarge a small part, so it takes the whole image.
    const ImageProcessor* processor = options_.processor && !is_augmented ? &*options_.processor : nullptr;
    const RgbImage image = decode_attachment(bytes, row.modalities[0].type, options_.loaders, *at.dataset, at.row, processor);
    Sample sample{.index = number, .text = {}, .images = {}};
    if (processor != nullptr) {
      sample.images.push_back({image.width, image.height, 0, (*processor)(image)});
      return sample;
    }
    const RgbImage part =
        is_augmented ? augment(image, draw_augmentation(image.width, image.height, mix_seed(options_.seed, static_cast<uint64_t>(number))),
                               options_.side)
                     : resize_and_crop(image, options_.edge, options_.side);
    sample.images.push_back({image.width, image.height, 0, normalise(part, options_.mean, options_.std)});
    return sample;
  } catch (const UserError& error) {
    throw error.at(at.dataset->place(at.row));
  }
}

}  // namespace multimeditron
