// What a conversation costs on its way to ids and labels, step by step, on one core. BENCH_TOKENIZER names a tokenizer's folder (default:
// the published one of Qwen3, tests/reference/fetch_tokenizers.sh).
//   build/bench/text_bench

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "text/label_mask.h"
#include "text/prompt.h"

namespace multimeditron {
namespace {

const std::vector<Message> kConversation = {
    {"user", "What does the chest radiograph of this patient show, and is there any sign of an effusion on the left side?"},
    {"assistant", "There is a small left pleural effusion with blunting of the costophrenic angle; the heart is not enlarged."}};

struct Parts {
  std::optional<Tokenizer> tokenizer;
  PromptOptions prompt;
  std::vector<ChatFormat> formats;  ///< of the rules original and assistant
  std::string text;

  Parts() {
    const char* named = std::getenv("BENCH_TOKENIZER");
    const std::filesystem::path folder = named != nullptr ? named : ".deps/tokenizers/qwen3";
    if (!std::filesystem::exists(folder)) return;
    tokenizer = Tokenizer::load(folder);
    prompt.attachment_token_id = tokenizer->add_special_token("<|reserved_special_token_0|>");
    prompt.embeddings_per_image = 196;
    prompt.today = "2026-11-25";
    for (const LabelMask mask : {LabelMask::kOriginal, LabelMask::kAssistant})
      formats.push_back(find_chat_format(*tokenizer, TokenizerType::kAuto, mask, prompt.today));
    prompt.chat_format = formats[0];
    text = tokenizer->apply_chat_template(kConversation, false, prompt.today);
  }
};

/// Runs `body` on the tokenizer, or says that there is none.
template <typename Body>
void measure(benchmark::State& state, Body body) {
  static const Parts parts;
  if (!parts.tokenizer) return state.SkipWithError("no tokenizer: see tests/reference/fetch_tokenizers.sh");
  for (auto step : state) benchmark::DoNotOptimize(body(parts));
  state.SetItemsProcessed(state.iterations());
}

void Render(benchmark::State& state) {
  measure(state, [](const Parts& parts) { return parts.tokenizer->apply_chat_template(kConversation, false, parts.prompt.today); });
}

void Encode(benchmark::State& state) {
  measure(state, [](const Parts& parts) { return parts.tokenizer->encode(parts.text); });
}

void EncodeWithOffsets(benchmark::State& state) {
  measure(state, [](const Parts& parts) { return parts.tokenizer->encode_with_offsets(parts.text); });
}

void FindLearnt(benchmark::State& state) {
  static std::vector<int64_t> ids;
  measure(state, [](const Parts& parts) {
    if (ids.empty()) ids = parts.tokenizer->encode(parts.text);
    return learnt_by_original_rule(ids, parts.formats[0]);
  });
}

void FindAssistant(benchmark::State& state) {
  measure(state, [](const Parts& parts) {
    return assistant_spans(*parts.tokenizer, kConversation, parts.text, parts.formats[1], parts.prompt.today);
  });
}

void Measure(benchmark::State& state) {
  measure(state, [](const Parts& parts) { return measure_conversation(*parts.tokenizer, kConversation, parts.prompt).tokens; });
}

void Conversation(benchmark::State& state, LabelMask label_mask) {
  measure(state, [&](const Parts& parts) {
    PromptOptions prompt = parts.prompt;
    prompt.label_mask = label_mask;
    prompt.chat_format = parts.formats[label_mask == LabelMask::kAssistant];
    return encode_conversation(*parts.tokenizer, kConversation, prompt).learnt_tokens;
  });
}

BENCHMARK(Render)->Unit(benchmark::kMicrosecond);
BENCHMARK(Encode)->Unit(benchmark::kMicrosecond);
BENCHMARK(EncodeWithOffsets)->Unit(benchmark::kMicrosecond);
BENCHMARK(FindLearnt)->Unit(benchmark::kMicrosecond);
BENCHMARK(FindAssistant)->Unit(benchmark::kMicrosecond);
BENCHMARK(Measure)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Conversation, original, LabelMask::kOriginal)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Conversation, assistant, LabelMask::kAssistant)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace multimeditron

BENCHMARK_MAIN();
