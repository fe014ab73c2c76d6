#include <fmt/format.h>

#include <algorithm>

#include "recipe/accepted_arguments.h"
#include "recipe/fields.h"

namespace multimeditron {
namespace {

/// Nested keys that live in the struct itself; written are those that the chosen schedule takes.
Field<TrainingArguments> scheduler_field() {
  Field<TrainingArguments> result;
  result.info = {.name = "lr_scheduler_kwargs", .type = FieldType::kMap, .help = "Further settings of the schedule", .nullable = true};
  result.read = [](const FieldInfo&, const Node& node, const std::string& path, Reader& reader, TrainingArguments& out) {
    read_map(scheduler_table(), node, path, reader, out);
  };
  result.write = [](const TrainingArguments& arguments) {
    const Json all = write_map(scheduler_table(), arguments);
    Json json = Json::object();
    for (const std::string& key : scheduler_keys(arguments.lr_scheduler_type)) {
      if (!all[key].is_null()) json[key] = all[key];
    }
    return json;
  };
  result.children = [] { return describe_fields(scheduler_table()); };
  return result;
}

/// An unquoted `no` is false to YAML 1.1, and files written by its tools say so.
Field<TrainingArguments> save_strategy_field() {
  auto result = field("save_strategy", &TrainingArguments::save_strategy,
                      "When checkpoints are written; the end of a run always writes one unless `no`")
                    .choices({"no", "steps", "epoch"});
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, TrainingArguments& out) {
    if (!node.quoted && node.kind == Node::Kind::kScalar && parse_boolean(node.text) == false) {
      out.save_strategy = "no";
    } else {
      read_scalar(info, node, path, reader, out.save_strategy);
    }
  };
  return result;
}

Field<TrainingArguments> report_to_field() {
  auto result =
      field("report_to", &TrainingArguments::report_to, "Tracking services; accepted, not used yet: metrics.jsonl is always written")
          .nullable();
  result.info.type = FieldType::kNamesOrName;
  result.info.choices = reporting_services();
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, TrainingArguments& out) {
    if (node.kind == Node::Kind::kNull) return;
    if (node.kind == Node::Kind::kMap) return report_type(info, node, path, reader);
    std::vector<Node> names = node.items;
    if (node.kind == Node::Kind::kScalar) names = {node};
    for (const Node& each : names) {
      std::string name;
      if (!each.unusable) read_scalar(info, each, path, reader, name);
      out.report_to += (out.report_to.empty() ? "" : ",") + name;
    }
  };
  result.write = [](const TrainingArguments& arguments) -> Json {
    if (arguments.report_to.find(',') == std::string::npos) return arguments.report_to.empty() ? Json() : Json(arguments.report_to);
    Json names = Json::array();
    std::string name;
    for (const char c : arguments.report_to + ",") {
      if (c != ',') {
        name += c;
      } else {
        names.push_back(std::exchange(name, ""));
      }
    }
    return names;
  };
  return result;
}

/// DeepSpeed's settings may also stand in the recipe itself.
Field<TrainingArguments> deepspeed_field() {
  auto result =
      field("deepspeed", &TrainingArguments::deepspeed, "Path of a DeepSpeed JSON; accepted and checked, nothing of it is needed here")
          .nullable();
  result.info.type = FieldType::kPathOrMap;
  result.read = [](const FieldInfo& info, const Node& node, const std::string& path, Reader& reader, TrainingArguments& out) {
    if (node.kind == Node::Kind::kSequence) {
      report_type(info, node, path, reader);
    } else if (node.kind == Node::Kind::kScalar) {
      out.deepspeed = node.text;
    }
  };
  return result;
}

std::vector<std::string> accepted_names() {
  const auto names = accepted_argument_names();
  return {names.begin(), names.end()};
}

}  // namespace

const Table<TrainingArguments>& scheduler_table() {
  using S = TrainingArguments;
  static const Table<S> fields{
      .fields = {
          field("min_lr", &S::min_lr, "cosine_with_min_lr: the rate at the end").at_least(0),
          field("min_lr_rate", &S::min_lr_rate, "cosine_with_min_lr: the same as a share of `learning_rate`").at_least(0).at_most(1),
          field("num_cycles", &S::num_cycles,
                "cosine, cosine_with_min_lr: waves, 0.5 goes down once; cosine_with_restarts: restarts, by default 1")
              .above(0),
          field("power", &S::power, "polynomial: exponent").above(0),
          field("lr_end", &S::lr_end, "polynomial: the rate at the end").at_least(0),
      }};
  return fields;
}

std::vector<std::string> scheduler_keys(const std::string& lr_scheduler_type) {
  if (lr_scheduler_type == "cosine" || lr_scheduler_type == "cosine_with_restarts") return {"num_cycles"};
  if (lr_scheduler_type == "cosine_with_min_lr") return {"min_lr", "min_lr_rate", "num_cycles"};
  if (lr_scheduler_type == "polynomial") return {"power", "lr_end"};
  return {};
}

template <>
const Table<TrainingArguments>& table() {
  using S = TrainingArguments;
  static const Table<S> fields{
      .fields =
          {
              field("output_dir", &S::output_dir, "Folder of the run: checkpoints, metrics, the effective recipe"),
              field("run_name", &S::run_name, "Name of the run in what it prints and tracks").nullable(),
              field("learning_rate", &S::learning_rate, "The highest rate of the schedule").at_least(0),
              field("lr_scheduler_type", &S::lr_scheduler_type, "Course of the learning rate")
                  .choices({"linear", "cosine", "cosine_with_min_lr", "constant", "constant_with_warmup", "polynomial",
                            "cosine_with_restarts", "inverse_sqrt"}),
              scheduler_field(),
              field("warmup_ratio", &S::warmup_ratio, "Share of all steps that the rate rises over, rounded up").at_least(0).at_most(1),
              field("warmup_steps", &S::warmup_steps,
                    "Steps that the rate rises over (below 1: a share of all); counts before `warmup_ratio` where above 0")
                  .at_least(0),
              field("weight_decay", &S::weight_decay, "Decay of AdamW; biases and norms have none").at_least(0),
              field("adam_beta1", &S::adam_beta1, "AdamW: decay of the first moment").at_least(0).below(1),
              field("adam_beta2", &S::adam_beta2, "AdamW: decay of the second moment").at_least(0).below(1),
              field("adam_epsilon", &S::adam_epsilon, "AdamW: added to the denominator").at_least(0),
              field("max_grad_norm", &S::max_grad_norm, "Gradients are scaled down to this norm; 0: no clipping").at_least(0),
              field("bf16", &S::bf16, "Train in bfloat16 with float32 masters"),
              field("per_device_train_batch_size", &S::per_device_train_batch_size, "Samples (or packed rows) of a micro-batch")
                  .at_least(1),
              field("gradient_accumulation_steps", &S::gradient_accumulation_steps,
                    "Micro-batches of a step, on each rank of the first launch")
                  .at_least(1),
              field("num_train_epochs", &S::num_train_epochs, "Passes over the data").at_least(0),
              field("max_steps", &S::max_steps, "Steps in all; above 0 it counts before `num_train_epochs`").at_least(-1),
              field("gradient_checkpointing", &S::gradient_checkpointing,
                    "Recompute activations in the backward pass: less memory, more time"),
              save_strategy_field(),
              field("save_steps", &S::save_steps, "Steps between checkpoints; below 1: a share of all steps, rounded up").above(0),
              field("save_total_limit", &S::save_total_limit, "Checkpoints to keep; 0: all").at_least(0).nullable(),
              field("logging_steps", &S::logging_steps, "Steps between entries of trainer_state.json; below 1: a share of all steps")
                  .above(0),
              field("seed", &S::seed, "Order of the samples in each epoch, dropout").at_least(0),
              field("dataloader_num_workers", &S::dataloader_num_workers, "Threads that read and prepare samples; 0: as many as are useful")
                  .at_least(0),
              field("dataloader_prefetch_factor", &S::dataloader_prefetch_factor, "Micro-batches that a thread prepares ahead")
                  .at_least(1)
                  .nullable(),
              report_to_field(),
              deepspeed_field(),
          },
      .accept = accept_argument,
      .accepted = accepted_names()};
  return fields;
}

}  // namespace multimeditron
