#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <random>

#include "base/error.h"
#include "base/log.h"
#include "cli/engine.h"
#include "cli/engine_image.h"
#include "cli/engine_model.h"
#include "cli/engine_terminal.h"
#include "generation/generate.h"
#include "generation/question.h"
#include "generation/text_stream.h"
#include "models/multimodal/pretrained.h"
#include "tracking/progress.h"

namespace multimeditron {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

int run_generate(const GenerateCommand& command) {
  // What costs nothing is looked at first: a mistyped image, or a model without eyes, is told before gigabytes are read.
  const std::filesystem::path folder = find_model(command.model);
  if (command.tokenizer_type) note("`--tokenizer-type` is not needed to generate: the chat template says how turns look");
  std::vector<RgbImage> images;
  for (const std::filesystem::path& file : command.images) images.push_back(read_image(file, command.scan));
  const auto start = std::chrono::steady_clock::now();
  const at::ScalarType dtype = dtype_for(command.dtype, folder);
  if (!images.empty() && !takes_images(folder)) refuse_images(images.size());
  const Pretrained pretrained = load_checkpoint(folder, dtype);
  const ModelConfig& config = pretrained.model->config();
  const double load_s = seconds_since(start);
  const Sample prompt = make_question(*pretrained.model, *pretrained.tokenizer, images, command.system, command.question);
  if (!pretrained.tokenizer->has_chat_template()) note(fmt::format("{}: no chat template, so the question stands alone", folder.string()));

  const auto prompt_tokens = static_cast<int64_t>(prompt.text.input_ids.size());
  GenerationOptions options{
      .max_new_tokens = command.max_new_tokens,
      .sampling = {.temperature = command.temperature, .top_k = command.top_k, .top_p = command.top_p},
      .stop_ids = stop_token_ids(config, *pretrained.tokenizer),
  };
  options.sampling.seed = command.seed ? static_cast<uint64_t>(*command.seed) : std::random_device{}();

  const bool streams = !command.json && ::isatty(STDOUT_FILENO) != 0;
  TextStream stream(*pretrained.tokenizer);
  std::string text;
  const auto show = [&](const std::string& piece) {
    text += piece;
    if (!streams) return;
    std::fputs(printable(piece).c_str(), stdout);
    std::fflush(stdout);
  };
  const auto asked = std::chrono::steady_clock::now();
  Generation answer;
  try {
    answer = generate(*pretrained.model, {&prompt, 1}, options, [&](size_t, int64_t id) { show(stream.push(id)); }).front();
  } catch (const UserError& error) {
    throw error.at(folder.string());
  }
  show(stream.finish());
  const double seconds = seconds_since(asked);
  const double tokens_per_s = static_cast<double>(answer.ids.size()) / seconds;

  if (command.json) {
    const Json result = {{"text", text},
                         {"ids", answer.ids},
                         {"prompt_tokens", prompt_tokens},
                         {"new_tokens", answer.ids.size()},
                         {"stopped", answer.stopped},
                         {"margins", answer.margins},
                         {"load_s", load_s},
                         {"first_token_s", answer.first_token_s},
                         {"seconds", seconds},
                         {"tokens_per_s", tokens_per_s},
                         {"model", folder.string()}};
    std::puts(result.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    return kExitDone;
  }
  std::fputs(streams ? "\n" : (text + "\n").c_str(), stdout);
  std::fflush(stdout);
  std::string summary = fmt::format("{} tokens in {} ({:.1f} tokens/s), the first after {}; prompt {} tokens, loaded in {}",
                                    format_count(static_cast<int64_t>(answer.ids.size())), format_duration(seconds), tokens_per_s,
                                    format_duration(answer.first_token_s), format_count(prompt_tokens), format_duration(load_s));
  if (!answer.stopped) summary += fmt::format("; cut off after {} tokens", answer.ids.size());
  std::fputs((Style{colour_on_stderr()}("2", summary) + "\n").c_str(), stderr);
  return kExitDone;
}

}  // namespace multimeditron
