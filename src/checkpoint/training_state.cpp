#include "checkpoint/training_state.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <stdexcept>
#include <string_view>

#include "base/error.h"
#include "base/file.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFolder = "training_state";
constexpr const char* kStem = "optimizer";
constexpr int64_t kVersion = 1;
constexpr const char* kBatchSize = "batch_size";  // older states lack it
constexpr const char* kElsewhere = "resume from another checkpoint of the run, or start from this one's weights with `base_model`";

/// The fields and their names, once for the writer and the reader.
template <typename State, typename Visitor>
void visit_fields(State& state, Visitor visit) {
  visit("step", state.step);
  visit("epoch", state.epoch);
  visit("max_steps", state.max_steps);
  visit("micro_batches_per_step", state.micro_batches_per_step);
  visit("seed", state.seed);
  visit("training_seed", state.training_seed);
  visit(kBatchSize, state.batch_size);
  visit("dataset_fingerprint", state.dataset_fingerprint);
  visit("run_start_date", state.run_start_date);
  visit("tokens_seen", state.tokens_seen);
  visit("samples_seen", state.samples_seen);
  visit("extra", state.extra);
}

const char* kind_of(const int64_t&) {
  return "a whole number";
}
const char* kind_of(const double&) {
  return "a number";
}
const char* kind_of(const std::string&) {
  return "a string";
}
const char* kind_of(const Json&) {
  return "an object";
}

bool is_of_kind(const Json& json, const int64_t&) {
  return json.is_number_integer();
}
bool is_of_kind(const Json& json, const double&) {
  return json.is_number();
}
bool is_of_kind(const Json& json, const std::string&) {
  return json.is_string();
}
bool is_of_kind(const Json& json, const Json&) {
  return json.is_object();
}

fs::path state_file(const fs::path& checkpoint) {
  return checkpoint / kFolder / "training_state.json";
}

}  // namespace

std::string optimizer_key(OptimizerPart part, const std::string& parameter) {
  switch (part) {
    case OptimizerPart::kMaster:
      return "master." + parameter;
    case OptimizerPart::kExpAvg:
      return "exp_avg." + parameter;
    case OptimizerPart::kExpAvgSq:
      return "exp_avg_sq." + parameter;
  }
  throw std::logic_error("unknown OptimizerPart");
}

void write_training_state(const fs::path& checkpoint, const TrainingState& state, std::vector<TensorSource> optimizer_tensors) {
  std::error_code code;
  fs::create_directory(checkpoint / kFolder, code);
  if (code) throw_file_error("create", checkpoint / kFolder, code.value());
  write_safetensors(checkpoint / kFolder, kStem, std::move(optimizer_tensors));
  Json json = {{"version", kVersion}};
  visit_fields(state, [&](const char* name, const auto& field) { json[name] = field; });
  FileWriter writer(state_file(checkpoint));
  writer.write(json.dump(2) + "\n");
  writer.close();
}

bool has_training_state(const fs::path& checkpoint) {
  std::error_code code;
  return fs::is_regular_file(state_file(checkpoint), code);
}

TrainingState read_training_state(const fs::path& checkpoint) {
  const fs::path file = state_file(checkpoint);
  if (!has_training_state(checkpoint))
    throw UserError("this checkpoint cannot be resumed", {.where = checkpoint.string(),
                                                          .found = fmt::format("no {}/training_state.json: it holds weights only", kFolder),
                                                          .fix = kElsewhere});
  const Json json = read_json(file);
  const Json version = json.is_object() ? json.value("version", Json()) : Json();
  if (version != kVersion)
    throw UserError("this training state cannot be read",
                    {.where = file.string(),
                     .found = version.is_null() ? "no `version`" : fmt::format("version {}, {} expected", version.dump(), kVersion),
                     .fix = version.is_number_integer() && version > kVersion ? "use the newer program that saved it" : kElsewhere});
  TrainingState state;
  visit_fields(state, [&](const char* name, auto& field) {
    const auto it = json.find(name);
    if (it == json.end() && std::string_view(name) == kBatchSize) return;
    if (it == json.end() || !is_of_kind(*it, field))
      throw UserError("this training state cannot be read",
                      {.where = fmt::format("{}, key {}", file.string(), name),
                       .found = it == json.end() ? "nothing" : fmt::format("{}, {} expected", it->type_name(), kind_of(field)),
                       .fix = kElsewhere});
    it->get_to(field);
  });
  if (state.micro_batches_per_step < 1)
    throw UserError("this training state cannot be read", {.where = fmt::format("{}, key micro_batches_per_step", file.string()),
                                                           .found = fmt::format("{}, at least 1 expected", state.micro_batches_per_step),
                                                           .fix = kElsewhere});
  return state;
}

SafetensorsReader open_optimizer_state(const fs::path& checkpoint) {
  return SafetensorsReader(checkpoint / kFolder, kStem);
}

const TensorView& optimizer_tensor(const SafetensorsReader& reader, OptimizerPart part, const std::string& parameter,
                                   const std::vector<int64_t>& shape) {
  const std::string key = optimizer_key(part, parameter);
  const TensorView* tensor = reader.find(key);
  if (tensor == nullptr) {
    const fs::path file = reader.tensors().empty() ? fs::path("the optimizer's state") : reader.file_of(reader.tensors().begin()->first);
    throw UserError("the saved optimizer state lacks a parameter",
                    {.where = fmt::format("{}, tensor {}", file.string(), key),
                     .found = "no such tensor: the run that saved it did not train this parameter",
                     .fix = "resume with the recipe of that run, or start anew from its weights with `base_model`"});
  }
  if (tensor->dtype != DType::kF32 || tensor->shape != shape)
    throw UserError("the saved optimizer state does not fit the model",
                    {.where = fmt::format("{}, tensor {}", reader.file_of(key).string(), key),
                     .found = fmt::format("{} [{}], F32 [{}] expected", to_string(tensor->dtype), fmt::join(tensor->shape, ", "),
                                          fmt::join(shape, ", ")),
                     .fix = "resume with the model and recipe of that run"});
  return *tensor;
}

}  // namespace multimeditron
