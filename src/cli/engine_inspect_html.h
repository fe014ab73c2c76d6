#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/image.h"
#include "text/prompt.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// An image of a sample on the page; either picture may be missing.
struct PageImage {
  std::optional<RgbImage> decoded;  ///< as the file has it
  std::optional<RgbImage> seen;     ///< as the encoder sees it
  std::string caption;
};

/// Collects samples for `inspect --html` and writes them as one self-contained page (src/report/page/samples.*).
class SamplesPage {
 public:
  /// More samples are counted but not shown: a page shall open in seconds.
  static constexpr size_t kMaxSamples = 2000;

  /// `title`: what was looked at; `subtitle`: with which tokenizer and label rule.
  SamplesPage(const Tokenizer& tokenizer, const std::string& title, const std::string& subtitle);

  /// `short_title`: of the link to it ("row 3").
  void add(const std::string& title, const std::string& short_title, const EncodedText& text, const std::vector<PageImage>& images = {},
           std::optional<double> loss = {});
  void add_error(const std::string& title, const std::string& short_title, const std::string& error);

  /// Writes the page and returns its bytes. Throws UserError where it cannot be written.
  size_t write(const std::filesystem::path& file) const;
  size_t num_samples() const { return data_["samples"].size(); }

 private:
  bool is_full();

  const Tokenizer& tokenizer_;
  Json data_;
  size_t left_out_ = 0;
};

/// The text of each token of `text.input_ids` as it stands in the rendered text: a blank before a word belongs to it, and a character of
/// several tokens stands at its last. An attachment's placeholders are one entry, "image 1: 49 embeddings".
struct TokenTexts {
  std::vector<std::string> texts;
  std::vector<int64_t> ids;
  std::string kinds;  ///< a letter each: L learnt, S learnt control token, s control token, A attachment, - anything else
};
TokenTexts token_texts(const Tokenizer& tokenizer, const EncodedText& text);

}  // namespace multimeditron
