#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/output_mode.h"
#include "recipe/expert_recipe.h"
#include "recipe/gate_recipe.h"
#include "recipe/preprocess_recipe.h"
#include "recipe/recipe.h"

namespace multimeditron {

/// What the front hands to the engine: a subcommand with its options checked and its recipe read. Plain values only, for they cross the
/// border of a shared library.

/// `train --config R [key=value ...] [--dry-run] [--fresh]`
struct TrainCommand {
  Recipe recipe;
  bool fresh = false;    ///< set an old output folder aside (renamed) and start anew
  bool dry_run = false;  ///< check everything, say what would be done, train nothing
  OutputMode output = OutputMode::kNormal;
};

/// `train-expert --config R [key=value ...] [--dry-run] [--fresh]`
struct TrainExpertCommand {
  ExpertRecipe recipe;
  bool fresh = false, dry_run = false;
  OutputMode output = OutputMode::kNormal;
};

/// `train-gate --config R [key=value ...] [--dry-run] [--fresh]`
struct TrainGateCommand {
  GateRecipe recipe;
  bool fresh = false, dry_run = false;
  OutputMode output = OutputMode::kNormal;
};

/// `inspect --config R`: samples as the model sees them.
struct InspectSamples {
  Recipe recipe;
  std::vector<int64_t> rows{0};  ///< of the concatenated data sets, before any shuffling
  bool forward = false;
  bool gradients = false;  ///< implies forward; norms under recipe.training_mode, which `--training-mode` has already replaced
  bool batch = false;      ///< implies forward; loss and gradients of the rows as one micro-batch, not of each for itself
};

/// `inspect --image FILE --processor FOLDER`: one image through a processor alone.
struct InspectImage {
  std::filesystem::path image;
  std::string processor;  ///< folder or hub id with a preprocessor_config.json
  ScanView scan;
};

/// `inspect --conversations FILE --tokenizer FOLDER --tokenizer-type T`: conversations as token ids and labels.
struct InspectConversations {
  std::filesystem::path conversations;  ///< JSONL, a line {"messages": [{"role", "content"}, ...]}
  std::string tokenizer;                ///< folder or hub id
  TokenizerType tokenizer_type = TokenizerType::kQwen3;
  std::string attachment_token = "<|reserved_special_token_0|>";
  int64_t embeddings_per_image = 4;
  LabelMask label_mask = LabelMask::kOriginal;
  bool add_generation_prompt = false;
};

struct InspectCommand {
  std::variant<InspectSamples, InspectImage, InspectConversations> what;
  bool json = false;           ///< one JSON object a line instead of a view for people
  std::filesystem::path dump;  ///< folder for .npy files; empty: none
  std::filesystem::path html;  ///< page to write instead of the view on the terminal; empty: none
};

/// `generate --model CKPT [--image FILE]... QUESTION`
struct GenerateCommand {
  enum class Dtype { kAuto, kBf16, kFp32 };

  std::string model;  ///< checkpoint folder, run folder (its newest whole checkpoint) or hub id
  std::vector<std::filesystem::path> images;
  ScanView scan;         ///< of those that are scans
  std::string system;    ///< empty: no system turn
  std::string question;  ///< as typed: to be escaped before it is rendered
  int64_t max_new_tokens = 256;
  double temperature = 0;  ///< 0: greedy
  double top_p = 1;
  int64_t top_k = 0;  ///< 0: all tokens
  std::optional<int64_t> seed;
  std::optional<TokenizerType> tokenizer_type;  ///< not set: as stored in the checkpoint
  Dtype dtype = Dtype::kAuto;
  bool json = false;
};

/// `evaluate --model CKPT --tasks A,B`
struct EvaluateCommand {
  /// A task and the file it is read from.
  struct Source {
    std::string name;
    std::filesystem::path file;  ///< JSONL
  };

  std::string model;  ///< as in GenerateCommand
  std::vector<Source> tasks;
  std::filesystem::path data_root;  ///< images may lie anywhere below it; empty: below the task's own folder only
  std::filesystem::path output;     ///< empty: `evaluation` in the run's folder, else in the working directory
  int64_t batch_size = 0;           ///< 0: as many as fit
  int64_t max_new_tokens = 64;
  std::optional<int64_t> limit;  ///< only the first rows of each task
  int64_t attention = 6;         ///< samples whose attention is written
  int64_t seed = 0;              ///< of swapped images, shown samples and resampling
  ScanView scan;                 ///< of images that are scans
  bool baselines = true;
  std::optional<TokenizerType> tokenizer_type;
  GenerateCommand::Dtype dtype = GenerateCommand::Dtype::kAuto;
  OutputMode mode = OutputMode::kNormal;
};

/// `report RUN... [--output FILE]`
struct ReportCommand {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path output;  ///< empty: report.html in the first run's folder
};

/// `check PATH...`: recipes without mistakes, and data sets.
struct CheckCommand {
  struct CheckedRecipe {
    std::variant<Recipe, ExpertRecipe, GateRecipe> recipe;
    std::vector<std::string> missing;  ///< as recipe/missing.h says it
  };
  std::vector<CheckedRecipe> recipes;
  std::vector<std::string> data_sets, tests;  ///< folders, files, patterns, hub ids

  // How data sets that are given themselves will be used; recipes say it for their own.
  std::string tokenizer;                                          ///< folder or hub id; empty: tokens are not counted
  std::optional<TokenizerType> tokenizer_type;                    ///< not set: found from the tokenizer
  std::string attachment_token = "<|reserved_special_token_0|>";  ///< of the first recipe where there is one
  LabelMask label_mask = LabelMask::kOriginal;
  int64_t embeddings_per_image = 1;
  std::optional<int64_t> max_sequence_length, max_length;
  std::string base_path;  ///< images' paths are relative to it; empty: to the data set
  double max_bad_samples = 0.01;

  std::optional<int64_t> limit;  ///< so many rows of each data set
  int64_t seed = 0;
  int threads = 1;
  bool strict = false;         ///< test data in training ends with code 2
  std::filesystem::path html;  ///< the page; empty: none
  std::filesystem::path json_file;
  bool has_images = true, has_samples = false;  ///< on the page
  OutputMode mode = OutputMode::kNormal;
};

/// `demo [--output DIR] [--seed N] [--quick] [--recipe NAME]`
struct DemoCommand {
  std::string recipe;  ///< of the cookbook, "moe/attn/pep"; empty: one CLIP and a Qwen3 type
  std::string llm;     ///< folder or hub id of a language model to teach; empty: the demo's own alone
  std::filesystem::path output = "demo-output";
  int64_t seed = 0;
  bool quick = false;  ///< a twentieth of data and steps: everything runs, little is learnt
  OutputMode mode = OutputMode::kNormal;
};

/// `preprocess DATASET... --output DIR`, or `--config FILE`
struct PreprocessCommand {
  std::vector<PreprocessJob> jobs;
  std::filesystem::path config;  ///< the file that the jobs come from; empty: the command line
  bool fresh = false;            ///< set what is there aside (renamed) and begin anew
  OutputMode mode = OutputMode::kNormal;
};

using Command = std::variant<TrainCommand, TrainExpertCommand, TrainGateCommand, InspectCommand, GenerateCommand, EvaluateCommand,
                             ReportCommand, CheckCommand, DemoCommand, PreprocessCommand>;

}  // namespace multimeditron
