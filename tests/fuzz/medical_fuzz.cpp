#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "image/codec.h"

// DICOM, NIfTI and JPEG 2000, each also where nothing but the reader's own checks lets the bytes pass for it.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace multimeditron;
  const auto bytes = std::as_bytes(std::span(data, size));
  const DecodeOptions options{.max_pixels = 1 << 18};
  for (const auto decode : {&decode_image, &decode_dicom, &decode_nifti, &decode_jpeg2000}) {
    try {
      decode(bytes, options);
    } catch (const UserError&) {  // what a damaged file must give
    }
  }
  return 0;
}
