#include "recipe/deepspeed.h"

#include <fmt/format.h>

#include "base/json.h"

namespace multimeditron {
namespace {

constexpr const char* kPath = "training_args.deepspeed";

Json to_json(const Node& node) {
  Json json;
  if (node.kind == Node::Kind::kMap) {
    json = Json::object();
    for (const Node::Entry& entry : node.entries) json[entry.key] = to_json(entry.value);
  } else if (node.kind == Node::Kind::kSequence) {
    json = Json::array();
    for (const Node& item : node.items) json.push_back(to_json(item));
  } else if (node.kind == Node::Kind::kScalar) {
    // A plain number or boolean is JSON as it stands; all else is a string.
    json = node.quoted ? Json(node.text) : Json::parse(node.text, nullptr, /*allow_exceptions=*/false);
    if (json.is_discarded()) json = node.text;
  }
  return json;
}

/// DeepSpeed stops where its own settings and the trainer's disagree; here the recipe alone counts.
void compare(const Json& settings, const Recipe& recipe, Reader& reader) {
  const TrainingArguments& arguments = recipe.training_args;
  const struct {
    const char* key;
    const char* argument;
    double value;
  } pairs[] = {
      {"train_micro_batch_size_per_gpu", "per_device_train_batch_size", static_cast<double>(arguments.per_device_train_batch_size)},
      {"gradient_accumulation_steps", "gradient_accumulation_steps", static_cast<double>(arguments.gradient_accumulation_steps)},
      {"gradient_clipping", "max_grad_norm", arguments.max_grad_norm}};
  for (const auto& pair : pairs) {
    const auto found = settings.find(pair.key);
    if (found == settings.end() || !found->is_number() || found->get<double>() == pair.value) continue;
    reader.warn(reader.origin(kPath), fmt::format("DeepSpeed's `{}` is {}, `training_args.{}` is {}: the latter counts", pair.key,
                                                  found->dump(), pair.argument, pair.value));
  }
}

}  // namespace

void check_deepspeed(const Recipe& recipe, const Node& value, Reader& reader) {
  const Origin origin = reader.origin(kPath);
  if (value.kind == Node::Kind::kNull || reader.failed(kPath)) return;
  if (value.kind == Node::Kind::kMap) {
    reader.note(origin, fmt::format("`{}` is accepted, not used here", kPath));
    compare(to_json(value), recipe, reader);
    return;
  }
  std::filesystem::path file = recipe.training_args.deepspeed;
  std::error_code code;
  if (!std::filesystem::is_regular_file(file, code) && file.is_relative()) file = recipe.file.parent_path() / file;
  if (!std::filesystem::is_regular_file(file, code)) {
    reader.warn(origin, fmt::format("`{}`: there is no file {}; it is not needed here", kPath, recipe.training_args.deepspeed));
    return;
  }
  reader.note(origin, fmt::format("`{}` is accepted, not used here", kPath));
  try {
    const Json settings = read_json(file);
    if (settings.is_object()) return compare(settings, recipe, reader);
    reader.mistake_at(kPath, "a DeepSpeed file must be a JSON object", fmt::format("{} in {}", settings.type_name(), file.string()),
                      "name another file, or remove the key");
  } catch (const UserError& error) {
    reader.mistake_at(kPath, "the DeepSpeed file cannot be read",
                      fmt::format("{}: {} ({})", error.details().where, error.message(), error.details().found),
                      "mend the file, or remove the key");
  }
}

}  // namespace multimeditron
