#include "image/processor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "base/error.h"

namespace multimeditron {
namespace {

const char* const kFix =
    "use the preprocessor_config.json of a CLIP, ViT, ConvNeXt, SigLIP, BLIP, BiT (DINOv2) or DeiT model, or an open_clip_config.json as "
    "open_clip writes it";

constexpr std::array<double, 3> kClipMean{0.48145466, 0.4578275, 0.40821073}, kClipStd{0.26862954, 0.26130258, 0.27577711},
    kHalf{0.5, 0.5, 0.5};

/// A class of transformers': what it does where its configuration is silent.
struct Kind {
  const char* name;  ///< ...ImageProcessor or, as it was once called, ...FeatureExtractor
  Fit fit = Fit::kShortest;
  bool number_is_square = true;  ///< a `size` of one number means the same
  bool do_center_crop = false;
  Resample resample = Resample::kBicubic;
  int64_t size = 224;
  std::array<double, 3> mean = kClipMean, std = kClipStd;
};
const std::array kKinds = {
    Kind{.name = "CLIP", .number_is_square = false, .do_center_crop = true},
    Kind{.name = "ViT", .fit = Fit::kExact, .resample = Resample::kBilinear, .mean = kHalf, .std = kHalf},
    Kind{.name = "ConvNext", .number_is_square = false, .size = 384, .mean = kHalf, .std = kHalf},
    Kind{.name = "Siglip", .fit = Fit::kExact, .number_is_square = false, .mean = kHalf, .std = kHalf},
    Kind{.name = "Blip", .fit = Fit::kExact, .size = 384},
    Kind{.name = "Bit", .number_is_square = false, .do_center_crop = true},
    Kind{.name = "DeiT", .fit = Fit::kExact, .do_center_crop = true, .size = 256, .mean = kHalf, .std = kHalf},
};

/// From this edge on a ConvNeXt processor squeezes the image into a square instead of cropping it.
constexpr int64_t kConvNextSquare = 384;

/// The value of `key`, or nothing where it is absent or null: the class's default then counts.
const Json* find(const Json& config, const char* key) {
  const auto entry = config.find(key);
  return entry == config.end() || entry->is_null() ? nullptr : &*entry;
}

UserError wrong(const char* key, const Json& value, const std::string& expected) {
  return UserError("a key of the image processor's configuration cannot be used",
                   {.where = key, .found = fmt::format("{}; expected {}", value.dump(), expected), .fix = kFix});
}

/// Absent: the class's default; null: no, as in Python.
bool read_flag(const Json& config, const char* key, bool value) {
  const auto entry = config.find(key);
  if (entry == config.end()) return value;
  if (entry->is_null()) return false;
  if (!entry->is_boolean()) throw wrong(key, *entry, "true or false");
  return entry->get<bool>();
}

double read_number(const Json& config, const char* key, double value) {
  const Json* entry = find(config, key);
  if (entry == nullptr) return value;
  if (!entry->is_number()) throw wrong(key, *entry, "a number");
  return entry->get<double>();
}

/// One number, which counts for all channels, or three.
std::array<double, 3> read_channels(const Json& config, const char* key, const std::array<double, 3>& value) {
  const Json* entry = find(config, key);
  if (entry == nullptr) return value;
  if (entry->is_number()) return {entry->get<double>(), entry->get<double>(), entry->get<double>()};
  const bool has_three = entry->is_array() && entry->size() == 3 &&
                         std::all_of(entry->begin(), entry->end(), [](const Json& number) { return number.is_number(); });
  if (!has_three) throw wrong(key, *entry, "three numbers, one a channel");
  return entry->get<std::array<double, 3>>();
}

constexpr int64_t kMaxEdge = 16384;

int64_t read_edge(const char* key, const Json& size, const Json& edge) {
  if (!edge.is_number_integer() || edge.get<int64_t>() < 1 || edge.get<int64_t>() > kMaxEdge) {
    throw wrong(key, size, fmt::format("whole numbers of pixels from 1 to {}", kMaxEdge));
  }
  return edge.get<int64_t>();
}

struct Size {
  std::optional<int64_t> shortest_edge, height, width;
};

/// `size` and `crop_size` in all their spellings: 224, [height, width], {"shortest_edge"}, {"height", "width"}.
std::optional<Size> read_size(const Json& config, const char* key, bool is_square_by_default) {
  const Json* entry = find(config, key);
  if (entry == nullptr) return std::nullopt;
  const char* const expected = R"(a number, [height, width], {"shortest_edge": n} or {"height": n, "width": n})";
  if (entry->is_number()) {
    const int64_t edge = read_edge(key, *entry, *entry);
    return is_square_by_default ? Size{.height = edge, .width = edge} : Size{.shortest_edge = edge};
  }
  if (entry->is_array() && entry->size() == 2) {
    return Size{.height = read_edge(key, *entry, (*entry)[0]), .width = read_edge(key, *entry, (*entry)[1])};
  }
  if (!entry->is_object()) throw wrong(key, *entry, expected);
  const Json *shortest_edge = find(*entry, "shortest_edge"), *height = find(*entry, "height"), *width = find(*entry, "width");
  for (const char* other : {"longest_edge", "max_height", "max_width"}) {
    if (find(*entry, other) != nullptr) throw wrong(key, *entry, expected);
  }
  if (shortest_edge != nullptr) return Size{.shortest_edge = read_edge(key, *entry, *shortest_edge)};
  if (height == nullptr || width == nullptr) throw wrong(key, *entry, expected);
  return Size{.height = read_edge(key, *entry, *height), .width = read_edge(key, *entry, *width)};
}

int64_t floor_half(int64_t value) {
  return value >= 0 ? value / 2 : -((1 - value) / 2);
}

/// Where a centred crop begins in an image that is `spare` pixels longer; negative where it is shorter, and padded.
int64_t crop_begin(int64_t spare, bool torchvision) {
  if (!torchvision) return floor_half(spare);
  return spare >= 0 ? static_cast<int64_t>(std::nearbyint(static_cast<double>(spare) / 2)) : -(-spare / 2);  // half to even
}

/// A choice among words; absent or null: the first.
std::string read_word(const Json& config, const char* key, std::initializer_list<const char*> words) {
  const Json* entry = find(config, key);
  if (entry == nullptr) return *words.begin();
  std::string known;
  for (const char* word : words) {
    if (*entry == word) return word;
    known += (known.empty() ? "" : ", ") + std::string(word);
  }
  throw wrong(key, *entry, "one of: " + known);
}

/// ConvNeXt: `size` is the edge of what comes out, cut from the middle `crop_pct` of the image.
void apply_crop_pct(ImageProcessor& processor, double crop_pct) {
  if (processor.fit == Fit::kExact) throw wrong("size", processor.config["size"], R"({"shortest_edge": n})");
  if (processor.do_center_crop) throw wrong("do_center_crop", processor.config["do_center_crop"], "false; `crop_pct` says what is cropped");
  if (!(crop_pct > 0.01 && crop_pct <= 1)) throw wrong("crop_pct", processor.config["crop_pct"], "a number above 0.01 and up to 1");
  processor.has_crop_pct = true;
  if (!processor.do_resize) return;
  processor.crop_height = processor.crop_width = processor.resize_height = processor.resize_width = processor.shortest_edge;
  processor.fit = processor.shortest_edge >= kConvNextSquare ? Fit::kExact : Fit::kShortest;
  processor.do_center_crop = processor.fit == Fit::kShortest;
  if (processor.do_center_crop) processor.shortest_edge = static_cast<int64_t>(static_cast<double>(processor.shortest_edge) / crop_pct);
}

/// open_clip_config.json: the size of the images stands with the tower, the rest in `preprocess_cfg`.
ImageProcessor load_open_clip(const Json& json) {
  const Json* model = json.is_object() ? find(json, "model_cfg") : nullptr;
  const Json* vision = model != nullptr && model->is_object() ? find(*model, "vision_cfg") : nullptr;
  const Json* size = vision != nullptr && vision->is_object() ? find(*vision, "image_size") : nullptr;
  const Json* preprocess = json.is_object() ? find(json, "preprocess_cfg") : nullptr;
  const int64_t image_size = size != nullptr ? read_edge("model_cfg.vision_cfg.image_size", *size, *size) : 224;
  return ImageProcessor::from_open_clip(preprocess != nullptr ? *preprocess : Json::object(), image_size);
}

}  // namespace

ImageProcessor ImageProcessor::load(const std::filesystem::path& folder) {
  std::filesystem::path file = folder / "preprocessor_config.json";
  // transformers 5 also keeps the image processor inside processor_config.json.
  const std::filesystem::path combined = folder / "processor_config.json";
  const bool is_combined = !std::filesystem::exists(file) && std::filesystem::exists(combined);
  if (is_combined) file = combined;
  const std::filesystem::path open_clip = folder / "open_clip_config.json";
  const bool is_open_clip = !std::filesystem::exists(file) && std::filesystem::exists(open_clip);
  if (is_open_clip) file = open_clip;
  if (!std::filesystem::exists(file)) {
    throw UserError(
        "no image processor in this folder",
        {.where = folder.string(), .found = "no preprocessor_config.json", .fix = "copy the model's preprocessor_config.json there"});
  }
  try {
    const Json config = read_json(file);
    if (is_open_clip) return load_open_clip(config);
    if (!is_combined) return from_json(config);
    const Json* inner = config.is_object() ? find(config, "image_processor") : nullptr;
    if (inner == nullptr) throw UserError("no image processor in this file", {.found = "no key `image_processor`", .fix = kFix});
    return from_json(*inner);
  } catch (const UserError& error) {
    if (error.details().where.starts_with(file.string())) throw;
    throw error.at(file.string());
  }
}

ImageProcessor ImageProcessor::from_json(const Json& config) {
  if (!config.is_object()) throw UserError("the image processor's configuration is not a JSON object", {.fix = kFix});
  if (const Json* open_clip = find(config, "open_clip"); open_clip != nullptr && open_clip->is_object()) {
    const Json* size = find(*open_clip, "size");
    return from_open_clip(*open_clip, size != nullptr ? read_edge("open_clip.size", *size, *size) : 224);
  }
  ImageProcessor processor;
  processor.config = config;

  std::string type = "CLIPImageProcessor";
  for (const char* key : {"feature_extractor_type", "image_processor_type"}) {
    if (const Json* entry = find(config, key); entry != nullptr && entry->is_string()) type = entry->get<std::string>();
  }
  const auto kind = std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& each) {
    return type.starts_with(std::string(each.name) + "ImageProcessor") || type.starts_with(std::string(each.name) + "FeatureExtractor");
  });
  if (kind == kKinds.end()) {
    std::string known;
    for (const Kind& each : kKinds) known += fmt::format("{}{}ImageProcessor", known.empty() ? "" : ", ", each.name);
    throw wrong("image_processor_type", type, "one of: " + known);
  }
  processor.fit = kind->fit;
  processor.do_center_crop = kind->do_center_crop;
  processor.resample = kind->resample;
  processor.shortest_edge = processor.resize_height = processor.resize_width = kind->size;
  processor.image_mean = kind->mean;
  processor.image_std = kind->std;

  processor.do_resize = read_flag(config, "do_resize", processor.do_resize);
  processor.do_center_crop = read_flag(config, "do_center_crop", processor.do_center_crop);
  processor.do_rescale = read_flag(config, "do_rescale", processor.do_rescale);
  processor.do_normalize = read_flag(config, "do_normalize", processor.do_normalize);
  if (const auto size = read_size(config, "size", kind->number_is_square)) {
    processor.fit = size->shortest_edge ? Fit::kShortest : Fit::kExact;
    processor.shortest_edge = size->shortest_edge.value_or(processor.shortest_edge);
    processor.resize_height = size->height.value_or(processor.resize_height);
    processor.resize_width = size->width.value_or(processor.resize_width);
  }
  if (const auto size = read_size(config, "crop_size", true)) {
    if (size->shortest_edge) throw wrong("crop_size", config["crop_size"], R"(a number or {"height": n, "width": n})");
    processor.crop_height = *size->height;
    processor.crop_width = *size->width;
  }
  if (std::string_view(kind->name) == "ConvNext") apply_crop_pct(processor, read_number(config, "crop_pct", 224.0 / 256.0));
  const double resample = read_number(config, "resample", static_cast<int>(processor.resample));
  if (resample != 1 && resample != 2 && resample != 3)
    throw wrong("resample", config["resample"], "3 (bicubic), 2 (bilinear) or 1 (Lanczos)");
  processor.resample = static_cast<Resample>(resample);
  processor.rescale_factor = read_number(config, "rescale_factor", processor.rescale_factor);
  processor.image_mean = read_channels(config, "image_mean", processor.image_mean);
  processor.image_std = read_channels(config, "image_std", processor.image_std);
  for (const double std : processor.image_std) {
    if (std == 0.0) throw wrong("image_std", config["image_std"], "numbers other than 0");
  }
  if (!processor.do_center_crop && !(processor.do_resize && processor.fit == Fit::kExact)) {
    throw UserError("the image processor gives images of different sizes",
                    {.where = "do_center_crop, size",
                     .found = "neither a crop nor a fixed height and width",
                     .fix = R"(set "do_center_crop": true, or "size": {"height": n, "width": n})"});
  }
  return processor;
}

ImageProcessor ImageProcessor::from_open_clip(const Json& preprocess_cfg, int64_t image_size) {
  if (!preprocess_cfg.is_object()) throw wrong("preprocess_cfg", preprocess_cfg, "an object");
  ImageProcessor processor;
  const std::string resize_mode = read_word(preprocess_cfg, "resize_mode", {"shortest", "squash", "longest"});
  const std::string interpolation = read_word(preprocess_cfg, "interpolation", {"bicubic", "bilinear", "random"});
  read_word(preprocess_cfg, "mode", {"RGB"});
  if (resize_mode == "longest" && read_number(preprocess_cfg, "fill_color", 0) != 0)
    throw wrong("fill_color", preprocess_cfg["fill_color"], "0");
  processor.torchvision = true;
  processor.fit = resize_mode == "squash" ? Fit::kExact : resize_mode == "longest" ? Fit::kLongest : Fit::kShortest;
  processor.do_center_crop = resize_mode != "squash";
  processor.resample = interpolation == "bilinear" ? Resample::kBilinear : Resample::kBicubic;
  processor.shortest_edge = processor.resize_height = processor.resize_width = processor.crop_height = processor.crop_width = image_size;
  processor.image_mean = read_channels(preprocess_cfg, "mean", processor.image_mean);
  processor.image_std = read_channels(preprocess_cfg, "std", processor.image_std);
  for (const double std : processor.image_std) {
    if (std == 0.0) throw wrong("std", preprocess_cfg["std"], "numbers other than 0");
  }

  const Json square = {{"height", image_size}, {"width", image_size}};
  processor.config = {{"image_processor_type", "CLIPImageProcessor"},
                      {"do_resize", true},
                      {"size", processor.fit == Fit::kExact ? square : Json{{"shortest_edge", image_size}}},
                      {"resample", static_cast<int>(processor.resample)},
                      {"do_center_crop", processor.do_center_crop},
                      {"crop_size", square},
                      {"do_rescale", true},
                      {"rescale_factor", processor.rescale_factor},
                      {"do_normalize", true},
                      {"image_mean", processor.image_mean},
                      {"image_std", processor.image_std},
                      {"open_clip",
                       {{"size", image_size},
                        {"mode", "RGB"},
                        {"mean", processor.image_mean},
                        {"std", processor.image_std},
                        {"interpolation", interpolation},
                        {"resize_mode", resize_mode}}}};
  return processor;
}

ImageProcessor ImageProcessor::resized(int64_t image_size) const {
  Json changed = config;
  if (torchvision) {
    changed["open_clip"]["size"] = image_size;
  } else if (has_crop_pct) {
    changed["size"] = {{"shortest_edge", image_size}};
  } else {
    const auto scaled = [&](int64_t edge, int64_t crop) {
      const double ratio = do_center_crop ? static_cast<double>(edge) / static_cast<double>(crop) : 1;
      return std::max<int64_t>(1, std::llround(static_cast<double>(image_size) * ratio));
    };
    if (do_center_crop) changed["crop_size"] = {{"height", image_size}, {"width", image_size}};
    changed["size"] = fit == Fit::kExact ? Json{{"height", scaled(resize_height, crop_height)}, {"width", scaled(resize_width, crop_width)}}
                                         : Json{{"shortest_edge", scaled(shortest_edge, crop_height)}};
  }
  return from_json(changed);
}

int64_t ImageProcessor::height() const {
  return do_center_crop ? crop_height : resize_height;
}

int64_t ImageProcessor::width() const {
  return do_center_crop ? crop_width : resize_width;
}

std::optional<std::array<int64_t, 2>> ImageProcessor::enough() const {
  if (!do_resize) return std::nullopt;
  if (fit == Fit::kExact) return std::array{resize_width, resize_height};
  // Both sides at least as long as the shorter one will be; where the longest is fitted that is more than it takes.
  const int64_t edge = fit == Fit::kLongest ? std::max(crop_width, crop_height) : shortest_edge;
  return std::array{edge, edge};
}

std::vector<float> ImageProcessor::operator()(const RgbImage& image) const {
  int64_t resized_width = image.width, resized_height = image.height;
  if (do_resize && fit == Fit::kExact) {
    resized_width = resize_width;
    resized_height = resize_height;
  } else if (do_resize && fit == Fit::kLongest) {
    const double ratio = std::max(static_cast<double>(image.height) / static_cast<double>(crop_height),
                                  static_cast<double>(image.width) / static_cast<double>(crop_width));
    const auto scaled = [&](int64_t edge) { return std::max<int64_t>(1, std::llrint(static_cast<double>(edge) / ratio)); };  // half to even
    resized_width = scaled(image.width);
    resized_height = scaled(image.height);
  } else if (do_resize) {
    const int64_t short_edge = std::min(image.width, image.height), long_edge = std::max(image.width, image.height);
    const int64_t new_long_edge = shortest_edge * long_edge / short_edge;
    resized_width = image.width <= image.height ? shortest_edge : new_long_edge;
    resized_height = image.width <= image.height ? new_long_edge : shortest_edge;
  }

  // Only what the crop keeps is resized. A crop larger than the image leaves a black border, before the normalisation.
  const int64_t out_width = width(), out_height = height();
  const int64_t left = do_center_crop ? crop_begin(resized_width - out_width, torchvision) : 0;
  const int64_t top = do_center_crop ? crop_begin(resized_height - out_height, torchvision) : 0;
  const Region region{std::max<int64_t>(left, 0), std::max<int64_t>(top, 0), std::min(out_width, resized_width),
                      std::min(out_height, resized_height)};
  const RgbImage part = resize_region(image, resample, resized_width, resized_height, region);

  // numpy's order: the product in float64, rounded to float32, the rest in float32. torchvision divides in float32.
  std::array<std::array<float, 256>, 3> table;
  for (size_t c = 0; c < 3; ++c) {
    for (size_t value = 0; value < 256; ++value) {
      float pixel = do_rescale ? static_cast<float>(static_cast<double>(value) * rescale_factor) : static_cast<float>(value);
      if (torchvision) pixel = static_cast<float>(value) / 255.0f;
      if (do_normalize) pixel = (pixel - static_cast<float>(image_mean[c])) / static_cast<float>(image_std[c]);
      table[c][value] = pixel;
    }
  }

  const int64_t border_left = std::max<int64_t>(-left, 0), border_top = std::max<int64_t>(-top, 0);
  std::vector<float> pixel_values(static_cast<size_t>(3 * out_height * out_width));  // [3, height, width]
  const int64_t area = out_height * out_width;
  for (size_t c = 0; c < 3 && (part.width != out_width || part.height != out_height); ++c) {
    std::fill_n(pixel_values.data() + static_cast<int64_t>(c) * area, area, table[c][0]);
  }
  for (int64_t y = 0; y < part.height; ++y) {
    const uint8_t* rgb = part.pixels.data() + y * part.width * 3;
    float* out = pixel_values.data() + (y + border_top) * out_width + border_left;
    for (int64_t x = 0; x < part.width; ++x, ++out, rgb += 3) {
      out[0] = table[0][rgb[0]];
      out[area] = table[1][rgb[1]];
      out[2 * area] = table[2][rgb[2]];
    }
  }
  return pixel_values;
}

}  // namespace multimeditron
