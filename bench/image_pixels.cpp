// An image file to pixel values on one core, for image.py.
//   build/bench/image_pixels FILE PROCESSOR_FOLDER SECONDS [PIXELS.npy FAST_PIXELS.npy]
// Decodes alone, makes the pixel values (decoding, resizing, normalising), and makes them with `fast_decode`, in turn; prints the seconds
// of each as JSON, and writes what came out.

#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/npy.h"
#include "image/processor.h"

namespace multimeditron {
namespace {

int measure(const std::string& file, const std::string& folder, double wanted_s, const std::string& whole_file,
            const std::string& fast_file) {
  const std::string content = read_file(file);
  const auto bytes = std::as_bytes(std::span(content.data(), content.size()));
  const ImageProcessor processor = ImageProcessor::load(folder);
  DecodeOptions fast;
  if (const auto enough = processor.enough()) {
    fast.enough_width = (*enough)[0];
    fast.enough_height = (*enough)[1];
  }
  std::vector<double> decode_s, whole_s, fast_s;
  const auto timed = [](std::vector<double>& seconds, const auto& body) {
    const std::clock_t start = std::clock();
    auto result = body();
    seconds.push_back(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    return result;
  };
  std::vector<float> pixels, fast_pixels;
  double total = 0;
  while (total < wanted_s || decode_s.size() < 3) {
    timed(decode_s, [&] { return decode_image(bytes).width; });  // to its end: giving the memory back counts below as well
    pixels = timed(whole_s, [&] { return processor(decode_image(bytes)); });
    fast_pixels = timed(fast_s, [&] { return processor(decode_image(bytes, fast)); });
    total += decode_s.back() + whole_s.back() + fast_s.back();
  }
  const std::vector<int64_t> shape{3, processor.height(), processor.width()};
  if (!whole_file.empty()) write_npy(whole_file, shape, pixels);
  if (!fast_file.empty()) write_npy(fast_file, shape, fast_pixels);
  std::puts(Json{{"decode", decode_s}, {"whole", whole_s}, {"fast", fast_s}}.dump().c_str());
  return 0;
}

}  // namespace
}  // namespace multimeditron

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: image_pixels FILE PROCESSOR_FOLDER SECONDS [PIXELS.npy FAST_PIXELS.npy]\n");
    return 2;
  }
  try {
    return multimeditron::measure(argv[1], argv[2], std::stod(argv[3]), argc > 4 ? argv[4] : "", argc > 5 ? argv[5] : "");
  } catch (const multimeditron::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
