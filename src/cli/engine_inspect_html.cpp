#include "cli/engine_inspect_html.h"

#include <fmt/format.h>

#include "base/file.h"
#include "report/page.h"
#include "report/paths.h"
#include "report/thumbnails.h"
#include "text/utf8.h"

namespace multimeditron {
namespace {

constexpr int64_t kLongestSide = 320;
constexpr int kQuality = 80;

}  // namespace

TokenTexts token_texts(const Tokenizer& tokenizer, const EncodedText& text) {
  const TokensWithOffsets tokens = tokenizer.encode_with_offsets(text.text);
  TokenTexts result;
  size_t image = 0, printed = 0, token = 0;
  const auto length = static_cast<int64_t>(text.input_ids.size());
  for (int64_t t = 0; t < length; ++t) {
    const int64_t id = text.input_ids[static_cast<size_t>(t)];
    // What a text sample's tokenizer puts in front stands nowhere in the text.
    const bool stands_in_text = token < tokens.ids.size() && tokens.ids[token] == id;
    std::string piece;
    if (stands_in_text) {
      size_t end = std::max(printed, tokens.ends[token]);
      while (end > printed && end < text.text.size() && is_continuation(text.text[end])) --end;
      piece = text.text.substr(printed, end - printed);
      printed = end;
      ++token;
    }
    const bool is_image = image < text.image_ranges.size() && text.image_ranges[image].start == t;
    const bool is_special = tokenizer.is_special(id), is_learnt = text.labels[static_cast<size_t>(t)] >= 0;
    if (is_image) {
      const ImageRange& range = text.image_ranges[image++];
      piece = fmt::format("image {}: {} embeddings", image, range.end - range.start);
      t = range.end - 1;
    } else if (!stands_in_text) {
      piece = tokenizer.token(id);
    }
    result.texts.push_back(std::move(piece));
    result.ids.push_back(id);
    result.kinds += is_image ? 'A' : is_special ? (is_learnt ? 'S' : 's') : (is_learnt ? 'L' : '-');
  }
  return result;
}

SamplesPage::SamplesPage(const Tokenizer& tokenizer, const std::string& title, const std::string& subtitle) : tokenizer_(tokenizer) {
  const PathShortener shorten = PathShortener::here();
  data_ = {{"title", shorten(title)}, {"subtitle", shorten(subtitle)}, {"samples", Json::array()}};
}

bool SamplesPage::is_full() {
  if (data_["samples"].size() < kMaxSamples) return false;
  ++left_out_;
  return true;
}

void SamplesPage::add(const std::string& title, const std::string& short_title, const EncodedText& text,
                      const std::vector<PageImage>& images, std::optional<double> loss) {
  if (is_full()) return;
  const TokenTexts tokens = token_texts(tokenizer_, text);
  Json pictures = Json::array();
  for (const PageImage& image : images) {
    Json picture = {{"caption", image.caption}};
    if (image.decoded) picture["file"] = image_uri(*image.decoded, kLongestSide, kQuality);
    if (image.seen) picture["seen"] = image_uri(*image.seen, kLongestSide, kQuality);
    pictures.push_back(std::move(picture));
  }
  Json sample = {{"title", PathShortener::here()(title)},
                 {"short", short_title},
                 {"tokens", text.input_ids.size()},
                 {"trained", text.learnt_tokens},
                 {"dropped_turns", text.dropped_turns},
                 {"dropped_images", text.dropped_images},
                 {"ids", tokens.ids},
                 {"texts", tokens.texts},
                 {"kinds", tokens.kinds},
                 {"images", std::move(pictures)}};
  if (loss) sample["loss"] = *loss;
  data_["samples"].push_back(std::move(sample));
}

void SamplesPage::add_error(const std::string& title, const std::string& short_title, const std::string& error) {
  if (is_full()) return;
  const PathShortener shorten = PathShortener::here();
  data_["samples"].push_back({{"title", shorten(title)}, {"short", short_title}, {"error", shorten(error)}});
}

size_t SamplesPage::write(const std::filesystem::path& file) const {
  Json data = data_;
  if (left_out_ > 0) data["left_out"] = left_out_;
  const std::string page = render_samples_page(data);
  write_file_atomic(file, page);
  return page.size();
}

}  // namespace multimeditron
