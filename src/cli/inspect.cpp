#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>

#include "base/error.h"
#include "cli/open_engine.h"
#include "cli/subcommands.h"

namespace multimeditron {
namespace {

struct Options {
  std::string config, image, conversations;
  ScanView scan;
  std::vector<std::string> overrides;
  std::string index = "0";
  int64_t count = 1;
  bool forward = false, gradients = false, batch = false;
  std::string training_mode;
  std::string processor;
  std::string tokenizer, tokenizer_type, attachment_token = "<|reserved_special_token_0|>", label_mask = "original";
  int64_t embeddings_per_image = 4;
  bool add_generation_prompt = false;
  bool json = false;
  std::string dump, html;
};

/// An option of another form of the command would be ignored in silence.
void refuse(const CLI::App& app, const std::string& form, const std::vector<const char*>& names) {
  for (const char* name : names) {
    if (app.get_option(name)->count() > 0)
      throw UserError(fmt::format("`{}` has no meaning with `{}`", name, form), {.fix = "remove one of them"});
  }
}

/// Rows of `--index` ("3" or "0,1,2,4") and, from a single one, `--count` of them.
std::vector<int64_t> rows_of(const Options& options) {
  std::vector<int64_t> rows;
  std::string_view left = options.index;
  while (true) {
    const std::string_view one = left.substr(0, left.find(','));
    int64_t row = 0;
    const auto [end, error] = std::from_chars(one.data(), one.data() + one.size(), row);
    require_range(error == std::errc() && end == one.data() + one.size() && row >= 0, "--index", options.index,
                  "a row, counted from 0, or several: 0,1,4");
    rows.push_back(row);
    if (one.size() == left.size()) break;
    left.remove_prefix(one.size() + 1);
  }
  require_range(options.count >= 1, "--count", fmt::format("{}", options.count), "1 or more");
  if (options.count == 1) return rows;
  if (rows.size() > 1) throw UserError("`--count` has no meaning with several rows", {.fix = "name all rows in `--index`"});
  for (int64_t i = 1; i < options.count; ++i) rows.push_back(rows.front() + i);
  return rows;
}

InspectSamples samples(const CLI::App& app, const Options& options) {
  refuse(app, "--config", scan_option_names());
  refuse(app, "--config",
         {"--processor", "--tokenizer", "--tokenizer-type", "--attachment-token", "--embeddings-per-image", "--label-mask",
          "--add-generation-prompt"});
  if (!options.training_mode.empty() && !options.gradients)
    throw UserError("`--training-mode` has no meaning without `--gradients`", {.fix = "add `--gradients`"});
  std::vector<std::string> overrides = options.overrides;
  if (!options.training_mode.empty()) overrides.push_back("training_mode=" + options.training_mode);
  const std::vector<int64_t> rows = rows_of(options);
  const bool forward = options.forward || options.gradients || options.batch;
  return {load_and_show(options.config, overrides), rows, forward, options.gradients, options.batch};
}

InspectImage image(const CLI::App& app, const Options& options) {
  refuse(app, "--image",
         {"overrides", "--index", "--count", "--forward", "--gradients", "--batch", "--training-mode", "--tokenizer", "--tokenizer-type",
          "--attachment-token", "--embeddings-per-image", "--label-mask", "--add-generation-prompt", "--html"});
  require_option(!options.processor.empty(), "--processor", "name the folder with preprocessor_config.json");
  check_scan_options(options.scan);
  return {options.image, options.processor, options.scan};
}

InspectConversations conversations(const CLI::App& app, const Options& options) {
  refuse(app, "--conversations", scan_option_names());
  refuse(app, "--conversations",
         {"overrides", "--index", "--count", "--forward", "--gradients", "--batch", "--training-mode", "--processor", "--dump"});
  require_option(!options.tokenizer.empty(), "--tokenizer", "name the folder with tokenizer.json");
  require_option(!options.tokenizer_type.empty(), "--tokenizer-type", "one of: llama, apertus, qwen3, auto");
  require_choice("--tokenizer-type", options.tokenizer_type, std::vector<std::string>{"llama", "apertus", "qwen3", "auto"});
  require_choice("--label-mask", options.label_mask, std::vector<std::string>{"original", "assistant"});
  require_range(options.embeddings_per_image >= 1, "--embeddings-per-image", fmt::format("{}", options.embeddings_per_image), "1 or more");
  return {options.conversations,
          options.tokenizer,
          *parse_tokenizer_type(options.tokenizer_type),
          options.attachment_token,
          options.embeddings_per_image,
          options.label_mask == "original" ? LabelMask::kOriginal : LabelMask::kAssistant,
          options.add_generation_prompt};
}

int inspect(const CLI::App& app, const Options& options) {
  const int forms = !options.config.empty() + !options.image.empty() + !options.conversations.empty();
  if (forms != 1) {
    throw UserError("`inspect` looks at one thing at a time",
                    {.found = forms == 0 ? "nothing to look at" : "several of `--config`, `--image`, `--conversations`",
                     .fix = "give one of `--config RECIPE`, `--image FILE`, `--conversations FILE`"});
  }
  if (options.json && !options.html.empty())
    throw UserError("`--html` and `--json` write the same in two ways", {.fix = "remove one of them"});
  InspectCommand command{.what = InspectImage{}, .json = options.json, .dump = options.dump, .html = options.html};
  if (!options.config.empty()) command.what = samples(app, options);
  if (!options.image.empty()) command.what = image(app, options);
  if (!options.conversations.empty()) command.what = conversations(app, options);
  return run_engine(command);
}

}  // namespace

void add_inspect(CLI::App& app, Action& action) {
  const auto options = std::make_shared<Options>();
  CLI::App* inspect_app = add_subcommand(app, "inspect", "Show samples, an image or conversations as the model sees them",
                                         "multimeditron inspect --config recipe.yaml --index 3 --forward --json");
  inspect_app->add_option("--config", options->config, "Samples of this recipe's data sets")->type_name("RECIPE")->group("Samples");
  inspect_app->add_option("overrides", options->overrides, "Changes to the recipe")->type_name("KEY=VALUE");
  inspect_app->add_option("--index", options->index, "Row of the concatenated data sets, before shuffling (default 0); several: 0,1,4")
      ->type_name("N[,N]")
      ->group("Samples");
  inspect_app->add_option("--count", options->count, "How many rows (default 1)")->type_name("K")->group("Samples");
  inspect_app->add_flag("--forward", options->forward, "Run the model: loss, features, logits")->group("Samples");
  inspect_app->add_flag("--gradients", options->gradients, "Run it backwards too: norm of each gradient")->group("Samples");
  inspect_app->add_flag("--batch", options->batch, "The rows as one micro-batch: its loss and gradients")->group("Samples");
  inspect_app->add_option("--training-mode", options->training_mode, "Gradients of this mode (default: the recipe's)")
      ->type_name("ALIGNMENT|END2END|LM_ONLY|FULL")
      ->group("Samples");
  inspect_app->add_option("--image", options->image, "An image, or a folder of DICOM slices")->type_name("FILE")->group("Image");
  inspect_app->add_option("--processor", options->processor, "Folder of its processor")->type_name("FOLDER")->group("Image");
  add_scan_options(*inspect_app, options->scan, "Image");
  inspect_app->add_option("--conversations", options->conversations, "JSONL, a line a conversation: {\"messages\": [...]}")
      ->type_name("FILE")
      ->group("Conversations");
  inspect_app->add_option("--tokenizer", options->tokenizer, "Folder of the tokenizer")->type_name("FOLDER")->group("Conversations");
  inspect_app->add_option("--tokenizer-type", options->tokenizer_type, "Whose role delimiters")
      ->type_name("llama|apertus|qwen3|auto")
      ->group("Conversations");
  inspect_app->add_option("--attachment-token", options->attachment_token, "Marks an image (default <|reserved_special_token_0|>)")
      ->type_name("TOKEN")
      ->group("Conversations");
  inspect_app->add_option("--embeddings-per-image", options->embeddings_per_image, "Placeholders of an image (default 4)")
      ->type_name("N")
      ->group("Conversations");
  inspect_app->add_option("--label-mask", options->label_mask, "What is learnt (default original)")
      ->type_name("original|assistant")
      ->group("Conversations");
  inspect_app->add_flag("--add-generation-prompt", options->add_generation_prompt, "End with the assistant's header")
      ->group("Conversations");
  inspect_app->add_flag("--json", options->json, "One JSON object a line");
  inspect_app->add_option("--html", options->html, "Write a page with each token, trained or not, and the images")->type_name("FILE");
  inspect_app->add_option("--dump", options->dump, "Write arrays to this folder (.npy)")->type_name("FOLDER");
  inspect_app->callback([options, inspect_app, &action] { action = [options, inspect_app] { return inspect(*inspect_app, *options); }; });
}

}  // namespace multimeditron
