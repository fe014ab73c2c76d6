// Decoding, resizing and the whole way to pixel values, images a second on one core. Each result is checked once before it is timed.
//   build/bench/image_bench

#include <benchmark/benchmark.h>
#include <jpeglib.h>

#include <cmath>
#include <cstdlib>
#include <span>
#include <string>

#include "image/image.h"
#include "image/processor.h"

namespace multimeditron {
namespace {

/// A smooth picture with noise, size x size.
RgbImage picture(int64_t size) {
  RgbImage image{size, size, {}};
  uint32_t state = 1;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      for (int c = 0; c < 3; ++c) {
        state = state * 1664525 + 1013904223;
        const double smooth = 128 + 60 * std::sin(static_cast<double>(x) / (23 + c)) + 50 * std::cos(static_cast<double>(y) / (31 - c));
        image.pixels.push_back(static_cast<uint8_t>(smooth + (state >> 28)));
      }
    }
  }
  return image;
}

/// The picture as a JPEG of quality 90, 4:2:0.
std::string encode_jpeg(const RgbImage& image) {
  jpeg_compress_struct cinfo{};
  jpeg_error_mgr errors{};
  cinfo.err = jpeg_std_error(&errors);
  jpeg_create_compress(&cinfo);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&cinfo, &data, &size);
  cinfo.image_width = static_cast<JDIMENSION>(image.width);
  cinfo.image_height = static_cast<JDIMENSION>(image.height);
  cinfo.input_components = 3;
  cinfo.in_color_space = JCS_RGB;
  jpeg_set_defaults(&cinfo);
  jpeg_set_quality(&cinfo, 90, TRUE);
  jpeg_start_compress(&cinfo, TRUE);
  for (int64_t y = 0; y < image.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(image.pixels.data() + y * image.width * 3);
    jpeg_write_scanlines(&cinfo, &row, 1);
  }
  jpeg_finish_compress(&cinfo);
  std::string jpeg(reinterpret_cast<char*>(data), size);
  jpeg_destroy_compress(&cinfo);
  std::free(data);
  return jpeg;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void decode(benchmark::State& state, const std::string& file) {
  if (decode_image(bytes_of(file)).width != state.range(0)) return state.SkipWithError("decoded to another size");
  for (auto step : state) benchmark::DoNotOptimize(decode_image(bytes_of(file)));
  state.SetItemsProcessed(state.iterations());
}

void DecodeJpeg(benchmark::State& state) {
  decode(state, encode_jpeg(picture(state.range(0))));
}

void DecodePng(benchmark::State& state) {
  const RgbImage image = picture(state.range(0));
  const std::string png = encode_png(image);
  if (decode_image(bytes_of(png)).pixels != image.pixels) return state.SkipWithError("decoded to other pixels");
  decode(state, png);
}

void Resize(benchmark::State& state) {
  const RgbImage image = picture(state.range(0));
  const RgbImage grey{100, 100, std::vector<uint8_t>(30000, 77)};
  if (resize_bicubic(grey, 64, 48).pixels != std::vector<uint8_t>(64 * 48 * 3, 77))
    return state.SkipWithError("an even image changed its colour");
  for (auto step : state) benchmark::DoNotOptimize(resize_bicubic(image, 224, 224));
  state.SetItemsProcessed(state.iterations());
}

void JpegToPixelValues(benchmark::State& state) {
  const std::string jpeg = encode_jpeg(picture(state.range(0)));
  const ImageProcessor processor;
  if (processor(decode_image(bytes_of(jpeg))).size() != 3u * 224 * 224) return state.SkipWithError("other pixel values than 3 x 224 x 224");
  for (auto step : state) benchmark::DoNotOptimize(processor(decode_image(bytes_of(jpeg))));
  state.SetItemsProcessed(state.iterations());
}

BENCHMARK(DecodeJpeg)->Arg(224)->Arg(512)->Arg(1024)->Unit(benchmark::kMillisecond);
BENCHMARK(DecodePng)->Arg(224)->Arg(512)->Arg(1024)->Unit(benchmark::kMillisecond);
BENCHMARK(Resize)->Arg(256)->Arg(512)->Arg(1024)->Unit(benchmark::kMillisecond);
BENCHMARK(JpegToPixelValues)->Arg(512)->Arg(1024)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace multimeditron

BENCHMARK_MAIN();
