// Rows of a data set to ids and labels, or to lengths alone: what conversations.py measures beside Python. Prints JSON.
//   build/bench/conversations DATA_SET TOKENIZER TYPE labels original|assistant SECONDS   one thread, round and round
//   build/bench/conversations DATA_SET TOKENIZER TYPE lengths THREADS                     every row once

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "base/error.h"
#include "base/hash.h"
#include "base/process.h"
#include "data/length_index.h"

namespace multimeditron {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The reference's checksum of what was made: ids and labels of every row as decimal numbers.
void add_numbers(Sha256& sum, const std::vector<int64_t>& numbers) {
  std::string text;
  for (const int64_t number : numbers) text += fmt::format("{} ", number);
  text += '\n';
  sum.update(std::as_bytes(std::span(text.data(), text.size())));
}

int run(int argc, char** argv) {
  if (argc < 6) {
    std::fprintf(stderr, "usage: conversations DATA_SET TOKENIZER TYPE labels original|assistant SECONDS | lengths THREADS\n");
    return 2;
  }
  const std::string type = argv[3], mode = argv[4];
  const auto dataset = open_dataset(argv[1]);
  Tokenizer tokenizer = Tokenizer::load(argv[2]);
  PromptOptions prompt;
  prompt.attachment_token = "<|reserved_special_token_0|>";
  prompt.attachment_token_id = tokenizer.add_special_token(prompt.attachment_token);
  prompt.embeddings_per_image = 196;
  prompt.today = "2026-11-25";
  prompt.label_mask = mode == "labels" && std::string(argv[5]) == "assistant" ? LabelMask::kAssistant : LabelMask::kOriginal;
  const TokenizerType kind = type == "llama" ? TokenizerType::kLlama : type == "apertus" ? TokenizerType::kApertus : TokenizerType::kQwen3;
  prompt.chat_format = find_chat_format(tokenizer, kind, prompt.label_mask, prompt.today);

  if (mode == "lengths") {
    const SampleBuilder builder(*dataset, tokenizer, prompt, {}, std::nullopt);
    const Clock::time_point start = Clock::now();
    const std::vector<int64_t> lengths = sample_lengths(builder, std::atoi(argv[5]));
    const double seconds = seconds_since(start);
    int64_t tokens = 0, unusable = 0;
    for (const int64_t length : lengths) {
      tokens += length;
      unusable += length <= 0;
    }
    std::printf("{\"rows\": %zu, \"seconds\": %.3f, \"tokens\": %lld, \"unusable\": %lld, \"peak_memory_bytes\": %lld}\n", lengths.size(),
                seconds, static_cast<long long>(tokens), static_cast<long long>(unusable), static_cast<long long>(peak_resident_bytes()));
    return 0;
  }

  const double limit = argc > 6 ? std::atof(argv[6]) : 5;
  const SampleBuilder builder(*dataset, tokenizer, prompt, {}, std::nullopt);
  Sha256 ids, labels;
  for (int64_t i = 0; i < dataset->size(); ++i) {
    const Sample sample = builder.build(i);
    add_numbers(ids, sample.text.input_ids);
    add_numbers(labels, sample.text.labels);
  }
  // Processor time: a busy machine takes as much of it from either side.
  const std::clock_t start = std::clock();
  int64_t rows = 0, tokens = 0;
  double seconds = 0;
  for (; (seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC) < limit; ++rows) {
    tokens += static_cast<int64_t>(builder.build(rows % dataset->size()).text.input_ids.size());
  }
  std::printf("{\"rows_per_s\": %.1f, \"tokens_per_s\": %.1f, \"ids\": \"%s\", \"labels\": \"%s\"}\n", static_cast<double>(rows) / seconds,
              static_cast<double>(tokens) / seconds, ids.finish().c_str(), labels.finish().c_str());
  return 0;
}

}  // namespace
}  // namespace multimeditron

int main(int argc, char** argv) {
  try {
    return multimeditron::run(argc, argv);
  } catch (const multimeditron::UserError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
