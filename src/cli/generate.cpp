#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {
namespace {

struct Options {
  GenerateCommand command;
  std::vector<std::string> images;
  int64_t seed = 0;
  std::string tokenizer_type, dtype = "auto";
};

int generate(const CLI::App& app, const Options& options) {
  GenerateCommand command = options.command;
  require_option(!command.model.empty(), "--model", "name a checkpoint, a run's folder or a hub id");
  require_option(!command.question.empty(), "QUESTION", "multimeditron generate --model CKPT --image scan.png \"What is seen?\"");
  require_range(command.max_new_tokens >= 1, "--max-new-tokens", fmt::format("{}", command.max_new_tokens), "1 or more");
  require_range(command.temperature >= 0, "--temperature", fmt::format("{}", command.temperature), "0 (greedy) or more");
  require_range(command.top_p > 0 && command.top_p <= 1, "--top-p", fmt::format("{}", command.top_p), "a share above 0 and at most 1");
  require_range(command.top_k >= 0, "--top-k", fmt::format("{}", command.top_k), "0 (all tokens) or more");
  require_range(options.seed >= 0, "--seed", fmt::format("{}", options.seed), "0 or more");
  require_choice("--dtype", options.dtype, std::vector<std::string>{"auto", "bf16", "fp32"});
  if (!options.tokenizer_type.empty()) {
    require_choice("--tokenizer-type", options.tokenizer_type, std::vector<std::string>{"llama", "apertus", "qwen3", "auto"});
    command.tokenizer_type = parse_tokenizer_type(options.tokenizer_type);
  }
  check_scan_options(command.scan);
  command.images.assign(options.images.begin(), options.images.end());
  if (app.get_option("--seed")->count() > 0) command.seed = options.seed;
  if (options.dtype == "bf16") command.dtype = GenerateCommand::Dtype::kBf16;
  if (options.dtype == "fp32") command.dtype = GenerateCommand::Dtype::kFp32;
  return run_engine(command);
}

}  // namespace

void add_generate(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  GenerateCommand& command = options->command;
  CLI::App* generate_app = add_subcommand(app, "generate", "Answer a question about images",
                                          "multimeditron generate --model runs/stage2 --image scan.png \"What does the image show?\"");
  generate_app->add_option("question", command.question, "The question, in quotes")->type_name("QUESTION");
  generate_app->add_option("--model", command.model, "Checkpoint, run folder (its newest checkpoint) or hub id")->type_name("CKPT");
  generate_app->add_option("--image", options->images, "An image; repeat for several, in order")
      ->type_name("FILE")
      ->allow_extra_args(false);
  add_scan_options(*generate_app, command.scan, "Scans");
  generate_app->add_option("--system", command.system, "Text of a system turn before the question")->type_name("TEXT");
  generate_app->add_option("--max-new-tokens", command.max_new_tokens, "Longest answer, in tokens (default 256)")->type_name("N");
  generate_app->add_option("--temperature", command.temperature, "0: always the likeliest token (default 0)")->type_name("T");
  generate_app->add_option("--top-p", command.top_p, "Draw from the likeliest tokens of this share (default 1)")->type_name("P");
  generate_app->add_option("--top-k", command.top_k, "Draw from so many likeliest tokens (default 0: all)")->type_name("K");
  generate_app->add_option("--seed", options->seed, "Seed of the draws")->type_name("N");
  generate_app->add_option("--tokenizer-type", options->tokenizer_type, "Only for checkpoints that do not store it")
      ->type_name("llama|apertus|qwen3|auto");
  generate_app->add_option("--dtype", options->dtype, "Precision (default auto: the checkpoint's)")->type_name("auto|bf16|fp32");
  generate_app->add_flag("--json", command.json, "One JSON object instead of text");
  generate_app->callback(
      [options, generate_app, &action] { action = [options, generate_app] { return generate(*generate_app, *options); }; });
}

}  // namespace multimeditron
