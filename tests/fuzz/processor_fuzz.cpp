// preprocessor_config.json, or with an odd first byte open_clip_config.json; what is accepted must also take an image.
#include "image/processor.h"

#include "base/error.h"
#include "input_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace multimeditron;
  if (size == 0) return 0;
  const bool is_open_clip = data[0] % 2 == 1;
  const char* names[] = {"preprocessor_config.json", "open_clip_config.json"};
  std::filesystem::remove(testing::input_folder() / names[is_open_clip ? 0 : 1]);
  testing::input_file(names[is_open_clip ? 1 : 0], data + 1, size - 1);
  try {
    const ImageProcessor processor = ImageProcessor::load(testing::input_folder().path());
    if (processor.height() * processor.width() > 1 << 16) return 0;
    const RgbImage image{31, 17, std::vector<uint8_t>(31 * 17 * 3, 77)};
    if (processor(image).size() != static_cast<size_t>(3 * processor.height() * processor.width())) __builtin_trap();
    ImageProcessor::from_json(processor.config);  // as a checkpoint keeps it
  } catch (const UserError&) {                    // what a damaged file must give
  }
  return 0;
}
