#include "data/image_loader.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/suggest.h"

namespace multimeditron {

namespace fs = std::filesystem;

std::string read_image_file(const fs::path& folder, const std::string& path) {
  if (path.find('\0') != std::string::npos)
    throw UserError("an image's path holds a zero byte", {.found = "a name that no file can have", .fix = "mend the row, or leave it out"});
  const fs::path file = path_below(folder, path);
  std::error_code code;
  if (!fs::exists(file, code)) {
    throw UserError("an image file is missing", {.where = file.string(), .fix = "copy it there, or correct the loader's `base_path`"});
  }
  return read_regular_file(file);
}

std::string load_attachment(const Attachment& attachment, std::span<const LoaderSpec> loaders, const fs::path& folder) {
  const LoaderSpec* loader = nullptr;
  std::vector<std::string> known;
  for (const LoaderSpec& spec : loaders) {
    if (spec.modality_type == attachment.type) loader = &spec;
    known.push_back(spec.modality_type);
  }
  if (loader == nullptr) {
    throw UserError(
        fmt::format("no loader for attachments of type `{}`", attachment.type),
        {.found = known.empty() ? "no `loaders` in the recipe" : "loaders for " + join_or(known), .fix = "add an entry to `loaders`"});
  }
  const bool takes_bytes = loader->loader_type == "raw-image";
  if (!takes_bytes && loader->loader_type != "fs-image") {
    throw UserError(fmt::format("the loader `{}` is not supported", loader->loader_type), {.fix = "use raw-image or fs-image"});
  }
  if (takes_bytes && !attachment.bytes.empty()) return attachment.bytes;
  if (attachment.path.empty()) {
    throw UserError("the data set holds no path of the image", {.found = "bytes", .fix = "use the loader raw-image"});
  }
  const bool has_base = !takes_bytes && !loader->base_path.empty();
  return read_image_file(has_base ? fs::path(loader->base_path) : folder, attachment.path);
}

DecodeOptions decode_options(const std::string& type, std::span<const LoaderSpec> loaders, const ImageProcessor* processor) {
  DecodeOptions options;
  for (const LoaderSpec& loader : loaders) {
    if (loader.modality_type != type) continue;
    options.max_pixels = loader.max_pixels;
    options.sixteen_bit = loader.sixteen_bit == "clip" ? SixteenBit::kClip : SixteenBit::kHighByte;
    if (!loader.fast_decode || processor == nullptr) continue;
    if (const auto enough = processor->enough()) {
      options.enough_width = (*enough)[0];
      options.enough_height = (*enough)[1];
    }
  }
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
