#include "data/image_loader.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/suggest.h"
#include "data/words.h"
#include "image/dicom_series.h"

namespace multimeditron {

namespace fs = std::filesystem;

namespace {

/// The file `path` below `folder`; `look` as read_regular_file has it, `fix` what helps where it is missing.
std::string read_below(const fs::path& folder, const std::string& path, const std::function<void(std::span<const std::byte>)>& look,
                       const char* fix) {
  if (path.find('\0') != std::string::npos)
    throw UserError("an image's path holds a zero byte", {.found = "a name that no file can have", .fix = "mend the row, or leave it out"});
  const fs::path file = path_below(folder, path);
  std::error_code code;
  if (!fs::exists(file, code)) throw UserError(kImageIsMissing, {.found = file.string(), .fix = fix});
  return read_regular_file(file, look, kFirstBytes);
}

/// Where `path` is a folder of DICOM slices below `root`, the path of the one that is asked for.
std::optional<std::string> slice_of_folder(const fs::path& root, const std::string& path, const ScanView& scan) {
  if (path.find('\0') != std::string::npos) return std::nullopt;
  const fs::path folder = path_below(root, path);
  std::error_code code;
  if (!fs::is_directory(folder, code)) return std::nullopt;
  return (fs::path(path) / find_slice(folder, volume_options(scan), root).filename()).string();
}

/// The file of lines that holds the row, else the folder of the data: what a note is told once of.
std::string name_of_data(const Dataset& dataset, int64_t index) {
  const std::string folder = dataset.folder(index).string(), place = dataset.place(index);
  const size_t line = place.rfind(", line "), row = folder.empty() || folder == "." ? place.rfind(", row ") : std::string::npos;
  return line != std::string::npos ? place.substr(0, line) : row != std::string::npos ? place.substr(0, row) : folder;
}

}  // namespace

std::string load_attachment(const Attachment& attachment, std::span<const LoaderSpec> loaders, const fs::path& folder) {
  const LoaderSpec* loader = nullptr;
  std::vector<std::string> known;
  for (const LoaderSpec& spec : loaders) {
    if (spec.modality_type == attachment.type) loader = &spec;
    known.push_back(spec.modality_type);
  }
  if (loader == nullptr) {
    throw UserError("no loader for attachments of this type",
                    {.found = fmt::format("type {}; {}", shown_word(attachment.type),
                                          known.empty() ? "no `loaders` in the recipe" : "loaders for " + join_or(known)),
                     .fix = "add an entry to `loaders`"});
  }
  const bool takes_bytes = loader->loader_type.starts_with("raw-");
  if (takes_bytes && !attachment.bytes.empty()) return attachment.bytes;
  if (attachment.path.empty()) {
    throw UserError("the data set holds no path of the image",
                    {.found = "bytes", .fix = fmt::format("use the loader raw-{}", loader->serves_volumes() ? "volume" : "image")});
  }
  const bool has_base = !takes_bytes && !loader->base_path.empty();
  const fs::path root = has_base ? fs::path(loader->base_path) : folder;
  const char* fix = "copy it there, or correct the loader's `base_path`";
  if (takes_bytes) {
    fix = loader->serves_volumes() ? "copy it there, or use the loader `fs-volume` with `base_path`, the folder of the paths"
                                   : "copy it there, or use the loader `fs-image` with `base_path`, the folder of the paths";
  }
  if (!takes_bytes && loader->serves_volumes()) {
    if (const auto slice = slice_of_folder(root, attachment.path, loader->scan)) return read_below(root, *slice, require_image, fix);
  }
  return read_below(root, attachment.path, require_image, fix);
}

std::string read_image_file(const fs::path& folder, const std::string& path) {
  return read_below(folder, path, {}, "copy it there, or correct the folder of the images");
}

DecodeOptions decode_options(const std::string& type, std::span<const LoaderSpec> loaders, const ImageProcessor* processor) {
  DecodeOptions options;
  for (const LoaderSpec& loader : loaders) {
    if (loader.modality_type != type) continue;
    options.max_pixels = loader.max_pixels;
    options.volume = volume_options(loader.scan);
    options.sixteen_bit = loader.sixteen_bit == "clip" ? SixteenBit::kClip : SixteenBit::kHighByte;
    if (!loader.fast_decode || processor == nullptr) continue;
    if (const auto enough = processor->enough()) {
      options.enough_width = (*enough)[0];
      options.enough_height = (*enough)[1];
    }
  }
  return options;
}

RgbImage decode_attachment(const std::string& bytes, const std::string& type, std::span<const LoaderSpec> loaders, const Dataset& dataset,
                           int64_t index, const ImageProcessor* processor) {
  RgbImage image = decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())), decode_options(type, loaders, processor));
  if (image.is_from_sixteen_bit_grey) {
    note(fmt::format("{}: 16-bit grey images are used by their high byte; `window: minmax` or `percentile` shows all of their range",
                     name_of_data(dataset, index)));
  }
  return image;
}

VolumeOptions volume_options(const ScanView& scan) {
  VolumeOptions options{.frame = scan.frame, .volume = scan.volume};
  if (scan.window == "minmax") options.shading = Shading::kMinMax;
  if (scan.window == "percentile") options.shading = Shading::kPercentile;
  if (const auto window = find_window(scan.window)) {
    options.window = Window{window->centre, window->width};
    options.is_in_hounsfield = *window->name != '\0';
  }
  if (scan.axis == "axial") options.plane = SlicePlane::kAxial;
  if (scan.axis == "coronal") options.plane = SlicePlane::kCoronal;
  if (scan.axis == "sagittal") options.plane = SlicePlane::kSagittal;
  if (scan.slice != "middle") options.slice = std::stoll(scan.slice);
  return options;
}

void require_image_folders(std::span<const LoaderSpec> loaders, const fs::path& recipe_file) {
  for (size_t i = 0; i < loaders.size(); ++i) {
    std::error_code code;
    if (loaders[i].base_path.empty() || fs::is_directory(loaders[i].base_path, code)) continue;
    throw UserError("the folder of the images is not there", {.where = fmt::format("{}, key loaders.{}.base_path", recipe_file.string(), i),
                                                              .found = loaders[i].base_path,
                                                              .fix = "correct it; it is relative to the working directory"});
  }
}

}  // namespace multimeditron
