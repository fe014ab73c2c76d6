#include <fmt/format.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include <memory>
#include <new>

#include "image/codec.h"

namespace multimeditron {

// The first frame on a black canvas, alpha dropped. Lossy and lossless alike are decoded straight into the image's rows.
RgbImage decode_webp(std::span<const std::byte> bytes, const DecodeOptions& options) {
  const WebPData data{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
  WebPDemuxState state = WEBP_DEMUX_PARSE_ERROR;
  const std::unique_ptr<WebPDemuxer, decltype(&WebPDemuxDelete)> demuxer(WebPDemuxPartial(&data, &state), &WebPDemuxDelete);
  if (state == WEBP_DEMUX_PARSE_ERROR) throw corrupt_image("WebP", "its chunks contradict each other");
  if (demuxer == nullptr || state == WEBP_DEMUX_PARSING_HEADER) {
    throw truncated_image("WebP", fmt::format("{} bytes, not even a header", bytes.size()));
  }
  RgbImage image{WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH), WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT), {}};
  check_image_size(image.width, image.height, options);
  if (state != WEBP_DEMUX_DONE) throw truncated_image("WebP", fmt::format("{} bytes; its header announces more", bytes.size()));

  WebPIterator frame{};
  const std::unique_ptr<WebPIterator, decltype(&WebPDemuxReleaseIterator)> guard(&frame, &WebPDemuxReleaseIterator);
  WebPDecoderConfig config;
  if (WebPDemuxGetFrame(demuxer.get(), 1, &frame) == 0 || WebPInitDecoderConfig(&config) == 0 ||
      WebPGetFeatures(frame.fragment.bytes, frame.fragment.size, &config.input) != VP8_STATUS_OK) {
    throw corrupt_image("WebP", "no frame that can be decoded");
  }
  if (frame.x_offset < 0 || frame.y_offset < 0 || frame.x_offset + config.input.width > image.width ||
      frame.y_offset + config.input.height > image.height) {
    throw corrupt_image("WebP", "a frame outside of its canvas");
  }
  image.pixels.resize(static_cast<size_t>(image.width * image.height * 3));
  const int64_t first = (frame.y_offset * image.width + frame.x_offset) * 3;
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA.rgba = image.pixels.data() + first;
  config.output.u.RGBA.stride = static_cast<int>(image.width * 3);
  config.output.u.RGBA.size = image.pixels.size() - static_cast<size_t>(first);
  const VP8StatusCode status = WebPDecode(frame.fragment.bytes, frame.fragment.size, &config);
  WebPFreeDecBuffer(&config.output);
  if (status == VP8_STATUS_OUT_OF_MEMORY) throw std::bad_alloc();
  if (status == VP8_STATUS_NOT_ENOUGH_DATA || status == VP8_STATUS_SUSPENDED) {
    throw truncated_image("WebP", "end of data before the end of the image");
  }
  if (status != VP8_STATUS_OK) throw corrupt_image("WebP", fmt::format("libwebp's status {}", static_cast<int>(status)));
  return image;
}

}  // namespace multimeditron
