#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/engine_terminal.h"
#include "text/prompt.h"
#include "text/tokenizer.h"

namespace multimeditron {

/// Norm of one tensor's gradient; `group`: the layer or component that it belongs to.
struct GradientNorm {
  std::string group, name;
  double norm = 0;
};

/// Texts as the model learns them, for people: what is trained stands out, special tokens are seen, an image is one block.
class SampleView {
 public:
  SampleView(const Tokenizer& tokenizer, Style style, int width) : tokenizer_(tokenizer), style_(style), width_(width) {}

  /// A rule across the terminal with a title in it.
  std::string title(const std::string& text) const;
  /// "172 tokens, 65 trained (38 %), 2 images"
  std::string counts(const EncodedText& text) const;
  /// The text itself. Without colours what is trained stands between double brackets. Ends with a line break.
  std::string body(const EncodedText& text) const;
  /// A line for each layer or component, with a bar for its share of the total.
  std::string gradients(std::span<const GradientNorm> norms) const;
  /// What the looks mean.
  std::string legend() const;

 private:
  std::string piece(const std::string& text, bool trained, bool special) const;

  const Tokenizer& tokenizer_;
  Style style_;
  int width_;
};

/// L2 norm of norms.
double total_norm(std::span<const GradientNorm> norms);

}  // namespace multimeditron
