#include "doctor/image_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/hash.h"
#include "image/codec.h"

namespace multimeditron {

namespace {

/// Two loaders may make different pictures of one file, or refuse it in one case.
uint64_t hash_of(const DecodeOptions& options) {
  const VolumeOptions& scan = options.volume;
  const Window window = scan.window.value_or(Window{0, 0});
  return content_hash(fmt::format("{} {} {} {} {} {} {} {} {} {} {} {} {}", options.max_pixels, static_cast<int>(options.sixteen_bit),
                                  options.enough_width, options.enough_height, scan.window.has_value(), window.centre, window.width,
                                  static_cast<int>(scan.shading), scan.frame, scan.plane ? static_cast<int>(*scan.plane) : -1,
                                  scan.slice ? std::to_string(*scan.slice) : "middle", scan.volume, scan.is_in_hounsfield));
}

}  // namespace

const char* image_format(std::string_view bytes) {
  using namespace std::string_view_literals;
  const auto has = [&](size_t offset, std::string_view wanted) {
    return bytes.size() >= offset + wanted.size() && bytes.substr(offset, wanted.size()) == wanted;
  };
  if (has(0, "\xff\xd8\xff"sv)) return "JPEG";
  if (has(0, "\x89PNG\r\n\x1a\n"sv)) return "PNG";
  if (has(0, "GIF8"sv)) return "GIF";
  if (has(0, "RIFF"sv) && has(8, "WEBP"sv)) return "WebP";
  if (has(0, "II*\0"sv) || has(0, "MM\0*"sv) || has(0, "II+\0"sv) || has(0, "MM\0+"sv)) return "TIFF";
  if (has(0, "BM"sv)) return "BMP";
  if (bytes.size() > 2 && bytes[0] == 'P' && ((bytes[1] >= '1' && bytes[1] <= '6') || bytes[1] == 'f') && bytes[2] <= ' ') return "PNM";
  if (has(4, "jP  "sv) || has(0, "\xff\x4f\xff\x51"sv)) return "JPEG 2000";
  if (has(4, "ftyp"sv)) return "HEIF";
  if (has(128, "DICM"sv)) return "DICOM";
  if (has(344, "n+1\0"sv) || has(344, "ni1\0"sv) || has(4, "n+2\0"sv)) return "NIfTI";
  if (has(0, "\x1f\x8b"sv)) return is_nifti(std::as_bytes(std::span(bytes))) ? "NIfTI" : "gzip";
  return "unknown";
}

const ImageBook::Image& ImageBook::look(std::string_view bytes, RowPlace place, const DecodeOptions& options) {
  const uint64_t content = content_hash(bytes);
  const uint64_t key = content ^ hash_of(options);
  Shard& shard = shards_[key % kShards];
  Image* image = nullptr;
  {
    const std::lock_guard lock(shard.mutex);
    std::unique_ptr<Image>& entry = shard.images[key];
    if (entry == nullptr) {
      entry = std::make_unique<Image>();
      entry->content = content;
    }
    image = entry.get();
    const auto known = static_cast<size_t>(std::min<int64_t>(image->uses, std::ssize(image->first)));
    const auto end = image->first.begin() + static_cast<ptrdiff_t>(known);
    const auto at = std::upper_bound(image->first.begin(), end, place);
    if (at != image->first.end()) {
      std::copy_backward(at, known < image->first.size() ? end : end - 1, known < image->first.size() ? end + 1 : end);
      *at = place;
    }
    ++image->uses;
  }
  std::call_once(image->looked_at, [&] {
    ImageFacts& facts = image->facts;
    facts.format = image_format(bytes);
    facts.bytes = static_cast<int64_t>(bytes.size());
    try {
      const RgbImage decoded = decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())), options);
      facts.width = decoded.width;
      facts.height = decoded.height;
      facts.is_sixteen_bit_grey = decoded.is_from_sixteen_bit_grey;
      const Miniature small = miniature(decoded);
      facts.is_flat = small.deviation() < Miniature::kFlat;
      facts.hash = perceptual_hash(small);
      if (on_new_) on_new_(*image, small);
      if (keeps_miniatures_) image->miniature = std::make_unique<Miniature>(small);
    } catch (const UserError& error) {
      facts.problem = reason_of(error);
    }
  });
  return *image;
}

std::vector<const ImageBook::Image*> ImageBook::images() const {
  std::vector<const Image*> all;
  for (const Shard& shard : shards_)
    for (const auto& [key, image] : shard.images) all.push_back(image.get());
  std::sort(all.begin(), all.end(), [](const Image* a, const Image* b) {
    return a->first[0] != b->first[0] ? a->first[0] < b->first[0] : a->content < b->content;
  });
  return all;
}

}  // namespace multimeditron
