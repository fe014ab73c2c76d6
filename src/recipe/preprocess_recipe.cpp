#include "recipe/preprocess_recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "recipe/fields.h"
#include "recipe/load.h"

namespace multimeditron {
namespace {

/// `kwargs` of the original's `source`.
struct SourceArguments {
  std::string path, split = "train", revision, name;
};

struct Source {
  std::string type;
  SourceArguments kwargs;
};

/// `kwargs` of a step of the original's `processes`.
struct StepArguments {
  int64_t seed = 42;
};

struct Step {
  std::string type;
  StepArguments kwargs;
};

struct TokenizerStep {
  bool enable = false;
};

/// `preprocessor_kwargs` of an entry of `merge_inputs`.
struct RegistryArguments {
  std::string base_path;
};

/// An entry of `merge_inputs`' `datasets`.
struct MergeEntry {
  std::string jsonl_path, tokenized_path, registry_type = "path";
  RegistryArguments preprocessor_kwargs;
  int64_t num_processes = 0, num_shards = 1, shard_id = 0;
  bool check_input = true;
};

struct Config {
  std::vector<std::string> sources;
  Source source;
  PreprocessJob job;
  std::string shard_size = "500MB";
  bool verbose = false;
  std::vector<Step> processes;
  TokenizerStep tokenizer;
  std::vector<MergeEntry> datasets;
};

}  // namespace

template <>
inline constexpr bool kHasTable<SourceArguments> = true;
template <>
inline constexpr bool kHasTable<StepArguments> = true;
template <>
inline constexpr bool kHasTable<Step> = true;
template <>
inline constexpr bool kHasTable<TokenizerStep> = true;
template <>
inline constexpr bool kHasTable<RegistryArguments> = true;
template <>
inline constexpr bool kHasTable<MergeEntry> = true;

/// Takes keys that change nothing, and says so unless they belong to what is refused or switched off.
template <class S>
Table<S> table_beside(std::vector<Field<S>> fields, std::vector<std::string> accepted, bool says_so = true) {
  Table<S> table{.fields = std::move(fields), .accept = {}, .accepted = accepted, .relevant = {}};
  table.accept = [accepted = std::move(accepted), says_so](const Node::Entry& entry, const std::string& path, Reader& reader) {
    if (std::find(accepted.begin(), accepted.end(), entry.key) == accepted.end()) return false;
    if (says_so) reader.note(entry.value.origin, fmt::format("`{}` is accepted, not used here", path));
    return true;
  };
  return table;
}

template <>
const Table<SourceArguments>& table() {
  using S = SourceArguments;
  static const Table<S> fields =
      table_beside<S>({field("path", &S::path, "Folder, file, glob or hub id"), field("split", &S::split, "Only `train`"),
                       field("revision", &S::revision, "Branch, tag or commit of a hub id").nullable(),
                       field("name", &S::name, "Configuration: a folder of the data set").nullable()},
                      {"num_proc"});
  return fields;
}

template <>
const Table<StepArguments>& table() {
  using S = StepArguments;
  static const Table<S> fields =
      table_beside<S>({field("seed", &S::seed, "Of the shuffle").at_least(0)}, {"func", "imports", "remove_columns"}, /*says_so=*/false);
  return fields;
}

template <>
const Table<Step>& table() {
  using S = Step;
  static const Table<S> fields{
      .fields = {field("type", &S::type, "shuffle").choices({"shuffle", "python", "python-filter"}), field("kwargs", &S::kwargs, "")}};
  return fields;
}

template <>
const Table<TokenizerStep>& table() {
  using S = TokenizerStep;
  static const Table<S> fields = table_beside<S>({field("enable", &S::enable, "Must be false")},
                                                 {"model", "use_fast", "attachment_token", "dtype", "text_field", "max_length"},
                                                 /*says_so=*/false);
  return fields;
}

template <>
const Table<RegistryArguments>& table() {
  using S = RegistryArguments;
  static const Table<S> fields{.fields = {field("base_path", &S::base_path, "Folder of relative image paths")}};
  return fields;
}

template <>
const Table<MergeEntry>& table() {
  using S = MergeEntry;
  static const Table<S> fields = table_beside<S>(
      {field("jsonl_path", &S::jsonl_path, "JSON lines (or another data set)"), field("tokenized_path", &S::tokenized_path, "Output"),
       field("registry_type", &S::registry_type, "path or fs").choices({"path", "fs", "wids", "hdf5"}),
       field("preprocessor_kwargs", &S::preprocessor_kwargs, ""), field("num_processes", &S::num_processes, "").at_least(0),
       field("num_shards", &S::num_shards, "").at_least(1), field("shard_id", &S::shard_id, "").at_least(0),
       field("check_input", &S::check_input, "Images are always checked")},
      {"packed_path"});
  return fields;
}

namespace {

/// `source: PATH`, `source: [PATH, PATH]` or the original's `source: {type, kwargs}`.
Field<Config> source_field() {
  Field<Config> result;
  result.info = {.name = "source", .type = FieldType::kPathOrMap, .help = "Data set: folder, file, glob or hub id, or a list of them"};
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, Config& out) {
    out.job.source_key = node.kind == Node::Kind::kMap ? "source.kwargs.path" : "source";
    if (node.kind == Node::Kind::kScalar) {
      out.sources.push_back(node.text);
    } else if (node.kind == Node::Kind::kSequence) {
      read_scalar({.name = info.name, .type = FieldType::kStrings}, node, path, reader, out.sources);
    } else if (node.kind == Node::Kind::kMap) {
      static const Table<Source> source{
          .fields = {field("type", &Source::type, "Kind of source").choices({"hf", "jsonl", "parquet", "csv"}),
                     field("kwargs", &Source::kwargs, "")}};
      read_map(source, node, path, reader, out.source);
      out.sources.push_back(out.source.kwargs.path);
    } else {
      report_type(info, node, path, reader);
    }
  };
  result.write = [](const Config& config) { return Json(config.sources); };
  return result;
}

/// A member of the job, where the struct that is read holds one.
template <class T>
Field<Config> job_field(const char* name, T PreprocessJob::*member, const char* help) {
  Field<PreprocessJob> inner = field(name, member, help);
  Field<Config> result;
  result.info = inner.info;
  result.read = [read = inner.read](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, Config& out) {
    read(info, node, path, reader, out.job);
  };
  result.write = [write = inner.write](const Config& config) { return write(config.job); };
  return result;
}

/// Is this a key of `train` that has no meaning here?
bool is_training_key(const std::string& key) {
  const auto& fields = table<Recipe>().fields;
  return key != "datasets" && key != "attachment_token" && key != "max_bad_samples" &&
         std::any_of(fields.begin(), fields.end(), [&](const Field<Recipe>& each) { return each.info.name == key; });
}

const Table<Config>& config_table() {
  using J = PreprocessJob;
  static const Table<Config> fields = table_beside<Config>(
      {source_field(), job_field("output", &J::output, "Folder to write, or one file that ends in .parquet"),
       job_field("image_folder", &J::image_folder, "Folder of relative image paths; without it the data set's own"),
       job_field("format", &J::format, "arrow: a save_to_disk folder; parquet: files below data/").choices({"arrow", "parquet"}),
       field("shard_size", &Config::shard_size, "A shard ends with the row that reaches this size"),
       job_field("num_processes", &J::workers, "Threads; 0: one a core").at_least(0),
       job_field("workers", &J::workers, "The same").at_least(0),
       job_field("attachment_token", &J::attachment_token, "Stands for an image in texts"),
       job_field("any_text", &J::any_text, "Rows need no text and no attachment tokens (data for experts and gates)"),
       job_field("on_bad", &J::on_bad, "What becomes of rows that cannot be used").choices({"quarantine", "skip", "fail"}),
       job_field("max_bad_samples", &J::max_bad_samples, "Share of bad rows that ends the work (of quarantine)").at_least(0).at_most(1),
       job_field("head", &J::head, "Only the first rows").at_least(1), field("verbose", &Config::verbose, ""),
       field("processes", &Config::processes, "Steps"), field("tokenizer", &Config::tokenizer, ""),
       field("datasets", &Config::datasets, "")},
      {"defaults", "hydra"});
  return fields;
}

/// The same for merge_inputs, which reads a training recipe.
Table<Config> merge_table() {
  Table<Config> fields = config_table();
  fields.accept = [accept = fields.accept](const Node::Entry& entry, const std::string& path, Reader& reader) {
    return is_training_key(entry.key) || accept(entry, path, reader);
  };
  return fields;
}

void note_training_keys(const Node& root, Reader& reader) {
  std::string keys;
  for (const Node::Entry& entry : root.entries)
    if (is_training_key(entry.key)) keys += (keys.empty() ? "`" : ", `") + entry.key + "`";
  if (!keys.empty()) reader.note(root.find("datasets")->origin, fmt::format("beside `datasets` these keys are not used here: {}", keys));
}

/// Turns what was read into jobs, with all that cannot be done as mistakes.
class Settling {
 public:
  Settling(Config& config, Reader& reader) : config_(config), reader_(reader) {}

  std::vector<PreprocessJob> jobs() {
    check_steps();
    const auto bytes = parse_size(config_.shard_size);
    if (!bytes)
      reader_.mistake_at("shard_size", "`shard_size` must be a size", fmt::format("`{}`", config_.shard_size), "write for instance 500MB");
    config_.job.shard_bytes = bytes.value_or(1);
    if (!config_.datasets.empty()) {
      if (reader_.has("source"))
        reader_.mistake_at("source", "`source` beside `datasets`", "two ways to name what is read", "leave one of them out");
      return merge_jobs();
    }
    check_source();
    PreprocessJob job = config_.job;
    job.sources = config_.sources;
    const std::string extension = std::filesystem::path(job.output).extension().string();
    if (extension == ".parquet") job.format = "parquet";
    require("output", !job.output.empty(), "set it to the folder to write");
    return {job};
  }

 private:
  void require(const std::string& key, bool is_fine, const std::string& fix) {
    if (!is_fine && !reader_.failed(key)) reader_.mistake_at(key, fmt::format("`{}` is missing", key), "nothing", fix);
  }

  void check_source() {
    require("source", !config_.sources.empty() && !config_.sources.front().empty(), "set it to a folder, file, glob or hub id");
    if (config_.sources.empty()) return;
    const SourceArguments& arguments = config_.source.kwargs;
    if (arguments.split != "train") {
      reader_.mistake_at("source.kwargs.split", "only the split `train` is taken by its name", fmt::format("`{}`", arguments.split),
                         "name that split's files as `source`, for instance data/test-*.parquet");
    }
    if (!arguments.revision.empty()) config_.sources.front() += "@" + arguments.revision;
    if (!arguments.name.empty()) config_.sources.front() += "/" + arguments.name;
  }

  void check_steps() {
    for (size_t i = 0; i < config_.processes.size(); ++i) {
      const Step& step = config_.processes[i];
      const std::string path = fmt::format("processes.{}", i);
      if (step.type == "shuffle") {
        if (config_.job.shuffle_seed) reader_.mistake_at(path, "a second shuffle", "one stands above it", "leave one of them out");
        config_.job.shuffle_seed = step.kwargs.seed;
      } else if (step.type.starts_with("python")) {
        reader_.mistake_at(path + ".type", "no Python is run here", fmt::format("`{}`", step.type),
                           "do this step in Python (datasets.map or filter, then save_to_disk), and give the result as `source`");
      }
    }
    if (config_.tokenizer.enable) {
      reader_.mistake_at("tokenizer.enable", "data sets are not tokenized ahead", "`true`",
                         "set it to false: training tokenizes as it reads");
    }
  }

  std::vector<PreprocessJob> merge_jobs() {
    std::vector<PreprocessJob> jobs;
    for (size_t i = 0; i < config_.datasets.size(); ++i) {
      const MergeEntry& entry = config_.datasets[i];
      const std::string path = fmt::format("datasets.{}.", i);
      require(path + "jsonl_path", !entry.jsonl_path.empty(), "set it to the file of JSON lines");
      require(path + "tokenized_path", !entry.tokenized_path.empty(), "set it to the folder to write");
      if (entry.registry_type == "wids" || entry.registry_type == "hdf5") {
        reader_.mistake_at(path + "registry_type", "images out of this kind of archive are not read",
                           fmt::format("`{}`", entry.registry_type),
                           "unpack the images into a folder, set `registry_type: path` and its `preprocessor_kwargs.base_path`");
      }
      if (entry.shard_id >= entry.num_shards) {
        reader_.mistake_at(path + "shard_id", "`shard_id` must be below `num_shards`",
                           fmt::format("{} of {}", entry.shard_id, entry.num_shards), fmt::format("choose 0 to {}", entry.num_shards - 1));
      }
      PreprocessJob job = config_.job;
      job.sources = {entry.jsonl_path};
      job.source_key = path + "jsonl_path";
      job.output = entry.tokenized_path;
      if (!entry.preprocessor_kwargs.base_path.empty()) job.image_folder = entry.preprocessor_kwargs.base_path;
      if (entry.num_processes > 0) job.workers = entry.num_processes;
      job.num_shards = entry.num_shards;
      job.shard_id = entry.shard_id;
      // Without the check the original would stop at the first image that it cannot open; with it rows are dropped without a limit.
      if (reader_.has(path + "check_input") && entry.check_input) job.on_bad = "skip";
      jobs.push_back(std::move(job));
    }
    return jobs;
  }

  Config& config_;
  Reader& reader_;
};

}  // namespace

PreprocessRecipe load_preprocess_recipe(const std::filesystem::path& file, std::span<const std::string> overrides) {
  Reader reader;
  const Node root = read_yaml_file(file, overrides, reader);
  Config config;
  const bool merges = root.find("datasets") != nullptr;
  read_map(merges ? merge_table() : config_table(), root, "", reader, config);
  if (merges) note_training_keys(root, reader);
  PreprocessRecipe recipe{.file = file, .jobs = Settling(config, reader).jobs(), .notes = {}, .warnings = {}};
  throw_mistakes(reader);
  recipe.notes = std::move(reader.notes);
  recipe.warnings = std::move(reader.warnings);
  return recipe;
}

std::optional<int64_t> parse_size(const std::string& text) {
  static const std::vector<std::pair<std::string, double>> kUnits = {
      {"", 1}, {"B", 1}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"KiB", 1024.0}, {"MiB", 1048576.0}, {"GiB", 1073741824.0}};
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  std::string unit(end, text.data() + text.size());
  unit.erase(0, std::min(unit.find_first_not_of(' '), unit.size()));
  for (const auto& [name, factor] : kUnits) {
    if (name == unit && number * factor >= 1 && number * factor < 1e18) return static_cast<int64_t>(std::llround(number * factor));
  }
  return std::nullopt;
}

}  // namespace multimeditron
