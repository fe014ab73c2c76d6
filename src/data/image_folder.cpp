#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <string_view>

#include "base/error.h"
#include "base/hash.h"
#include "data/formats.h"
#include "data/parallel.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 17> kEndings = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".gif", ".bmp",   ".pgm",
                                                       ".ppm", ".pbm", ".pnm",  ".jp2",  ".j2k", ".dcm",  ".nii", ".nii.gz"};

/// Files of images, in the order of their names.
class ImageFolder : public Dataset {
 public:
  ImageFolder(std::vector<fs::path> files, fs::path folder) : files_(std::move(files)), folder_(std::move(folder)) {}

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  Row row(int64_t index) const override {
    Row row;
    row.modalities.push_back({.type = "image", .bytes = {}, .path = files_[static_cast<size_t>(index)].string()});
    return row;
  }
  /// Of the bytes as well, which a copy to another place keeps and an edit of the same size does not; times of files are the other way
  /// round.
  std::string fingerprint() const override {
    std::call_once(is_read_, [&] {
      std::vector<std::string> hashes(files_.size());
      for_each_parallel(size(), 8, [&](int64_t i) {
        const auto file = static_cast<size_t>(i);
        try {
          hashes[file] = fingerprint_of_files({folder_ / files_[file]});
        } catch (const UserError&) {
          // one that cannot be read is a bad row
        }
      });
      std::string all;
      for (size_t i = 0; i < files_.size(); ++i) all += fmt::format("{} {}\n", files_[i].string(), hashes[i]);
      fingerprint_ = sha256(all);
    });
    return fingerprint_;
  }
  std::string place(int64_t index) const override { return (folder_ / files_[static_cast<size_t>(index)]).string(); }
  fs::path folder(int64_t) const override { return folder_; }

 private:
  std::vector<fs::path> files_;  // relative to folder_
  fs::path folder_;
  mutable std::once_flag is_read_;
  mutable std::string fingerprint_;
};

}  // namespace

bool is_image_name(const fs::path& file) {
  std::string name = file.filename().string();
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) { return name.ends_with(ending); });
}

std::unique_ptr<Dataset> open_image_folder(std::vector<fs::path> files, const fs::path& folder) {
  return std::make_unique<ImageFolder>(std::move(files), folder);
}

}  // namespace multimeditron
