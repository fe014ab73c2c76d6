#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "image/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // The limit keeps a claim of many pixels from filling memory, which is not what is looked for.
  try {
    multimeditron::decode_image(std::as_bytes(std::span(data, size)), {.max_pixels = 1 << 20});
  } catch (const multimeditron::UserError&) {  // what a damaged file must give
  }
  return 0;
}
