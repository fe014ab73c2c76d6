#include "cli/engine_inspect_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

constexpr const char* kTrained = "38;5;194;48;5;22";  // pale on dark green: readable on light and dark terminals
constexpr const char* kTrainedSpecial = "1;38;5;120;48;5;22";
constexpr const char* kSpecial = "36";
constexpr const char* kImage = "38;5;252;48;5;238";
constexpr const char* kDim = "2";
constexpr const char* kOpen = "\xe2\x9f\xa6";  // white square brackets
constexpr const char* kClose = "\xe2\x9f\xa7";
constexpr const char* kLineBreak = "\xe2\x8f\x8e";  // the return key's arrow

std::string repeated(const char* text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

/// Columns of a UTF-8 text of narrow characters.
int columns_of(const std::string& text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

double total_norm(std::span<const GradientNorm> norms) {
  double squares = 0;
  for (const GradientNorm& each : norms) squares += each.norm * each.norm;
  return std::sqrt(squares);
}

std::string SampleView::title(const std::string& text) const {
  const std::string name = printable(text);
  const int rest = std::max(2, width_ - columns_of(name) - 4);
  return style_(kDim, "\xe2\x94\x80\xe2\x94\x80") + " " + style_("1", name) + " " + style_(kDim, repeated("\xe2\x94\x80", rest)) + "\n";
}

std::string SampleView::counts(const EncodedText& text) const {
  const auto tokens = static_cast<int64_t>(text.input_ids.size());
  std::string line = fmt::format("{} tokens, {} trained ({:.0f} %)", format_count(tokens), format_count(text.learnt_tokens),
                                 tokens == 0 ? 0.0 : 100.0 * static_cast<double>(text.learnt_tokens) / static_cast<double>(tokens));
  const size_t images = text.image_ranges.size();
  if (images > 0) line += fmt::format(", {} image{}", images, images == 1 ? "" : "s");
  if (text.dropped_turns > 0) line += fmt::format(", {} turns cut off", text.dropped_turns);
  if (text.dropped_images > 0) line += fmt::format(", {} images cut off", text.dropped_images);
  return line;
}

std::string SampleView::piece(const std::string& text, bool trained, bool special) const {
  const std::string clean = printable(text);
  if (!trained) return special ? style_(kSpecial, clean) : clean;
  // A trained line break is a token like any other: it is shown, and the colour ends before the terminal's line does.
  std::string result;
  const char* style = special ? kTrainedSpecial : kTrained;
  for (size_t start = 0; start < clean.size();) {
    const size_t end = std::min(clean.find('\n', start), clean.size());
    const bool broken = end < clean.size();
    result += style_(style, clean.substr(start, end - start) + (broken ? kLineBreak : ""));
    if (broken) result += '\n';
    start = end + (broken ? 1 : 0);
  }
  return result;
}

std::string SampleView::body(const EncodedText& text) const {
  std::string result;
  const auto length = static_cast<int64_t>(text.input_ids.size());
  const auto trained_at = [&](int64_t t) { return text.labels[static_cast<size_t>(t)] >= 0; };
  const auto special_at = [&](int64_t t) { return tokenizer_.is_special(text.input_ids[static_cast<size_t>(t)]); };
  size_t image = 0;
  bool open = false;  // a bracket, where there are no colours
  const auto bracket = [&](bool trained) {
    if (!style_.colour && trained != open) {
      // Closed at the end of its own line, not at the beginning of the next.
      result.insert(!trained && result.ends_with('\n') ? result.size() - 1 : result.size(), trained ? kOpen : kClose);
    }
    open = trained;
  };
  for (int64_t t = 0; t < length;) {
    if (image < text.image_ranges.size() && text.image_ranges[image].start == t) {
      const ImageRange& range = text.image_ranges[image++];
      bracket(false);
      result += style_(kImage, fmt::format("[image {}: {} embeddings]", image, range.end - range.start));
      t = range.end;
      continue;
    }
    const bool trained = trained_at(t), special = special_at(t);
    const int64_t stop = image < text.image_ranges.size() ? text.image_ranges[image].start : length;
    int64_t end = t + 1;
    while (end < stop && trained_at(end) == trained && special_at(end) == special) ++end;
    bracket(trained);
    result +=
        piece(tokenizer_.decode(std::span(text.input_ids).subspan(static_cast<size_t>(t), static_cast<size_t>(end - t))), trained, special);
    t = end;
  }
  bracket(false);
  if (!result.ends_with('\n')) result += '\n';
  return result;
}

std::string SampleView::gradients(std::span<const GradientNorm> norms) const {
  struct Group {
    std::string name;
    double squares = 0;
  };
  std::vector<Group> groups;
  for (const GradientNorm& each : norms) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& known) { return known.name == each.group; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{each.group});
    group->squares += each.norm * each.norm;
  }
  const double total = total_norm(norms);
  size_t longest = 0;
  for (const Group& group : groups) longest = std::max(longest, group.name.size());
  const int room = std::clamp(width_ - static_cast<int>(longest) - 20, 4, 40);
  std::string result = fmt::format("gradient norm {:.6g}\n", total);
  for (const Group& group : groups) {
    const double norm = std::sqrt(group.squares);
    const int filled = total > 0 ? static_cast<int>(std::lround(norm / total * room)) : 0;
    result += fmt::format("  {:<{}}  {:>11.6g}  ", group.name, longest, norm) + style_("32", repeated("\xe2\x96\x88", filled)) + "\n";
  }
  return result;
}

std::string SampleView::legend() const {
  if (!style_.colour)
    return fmt::format("{}trained{}   not trained   <|special token|>   [image: embeddings in its place]   {} trained line break\n", kOpen,
                       kClose, kLineBreak);
  return style_(kTrained, "trained") + "  " + style_(kTrainedSpecial, "<|special|>") + style_(kTrained, kLineBreak) + "   not trained  " +
         style_(kSpecial, "<|special|>") + "   " + style_(kImage, "[image: embeddings in its place]") + "\n";
}

}  // namespace multimeditron
