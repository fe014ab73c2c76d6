#include "recipe/accepted_arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "recipe/table.h"

namespace multimeditron {
namespace {

// Sorted, so that a reader of this list finds a name and the search can halve it.
constexpr const char* kNames[] = {
    "_n_gpu",
    "accelerator_config",
    "adafactor",
    "auto_find_batch_size",
    "average_tokens_across_devices",
    "batch_eval_metrics",
    "bf16_full_eval",
    "data_seed",
    "dataloader_drop_last",
    "dataloader_in_order",
    "dataloader_multiprocessing_context",
    "dataloader_persistent_workers",
    "dataloader_pin_memory",
    "ddp_backend",
    "ddp_broadcast_buffers",
    "ddp_bucket_cap_mb",
    "ddp_find_unused_parameters",
    "ddp_static_graph",
    "ddp_timeout",
    "debug",
    "disable_tqdm",
    "dispatch_batches",
    "do_eval",
    "do_predict",
    "do_train",
    "enable_jit_checkpoint",
    "eval_accumulation_steps",
    "eval_delay",
    "eval_do_concat_batches",
    "eval_on_start",
    "eval_steps",
    "eval_strategy",
    "eval_use_gather_object",
    "evaluation_strategy",
    "fp16",
    "fp16_backend",
    "fp16_full_eval",
    "fp16_opt_level",
    "fsdp",
    "fsdp_config",
    "fsdp_min_num_params",
    "fsdp_transformer_layer_cls_to_wrap",
    "full_determinism",
    "gradient_checkpointing_kwargs",
    "greater_is_better",
    "group_by_length",
    "half_precision_backend",
    "hub_always_push",
    "hub_model_id",
    "hub_private_repo",
    "hub_revision",
    "hub_strategy",
    "hub_token",
    "ignore_data_skip",
    "include_for_metrics",
    "include_inputs_for_metrics",
    "include_num_input_tokens_seen",
    "include_tokens_per_second",
    "jit_mode_eval",
    "label_names",
    "label_smoothing_factor",
    "length_column_name",
    "liger_kernel_config",
    "load_best_model_at_end",
    "local_rank",
    "log_level",
    "log_level_replica",
    "log_on_each_node",
    "logging_dir",
    "logging_first_step",
    "logging_nan_inf_filter",
    "logging_strategy",
    "metric_for_best_model",
    "mp_parameters",
    "neftune_noise_alpha",
    "no_cuda",
    "optim",
    "optim_args",
    "optim_target_modules",
    "overwrite_output_dir",
    "parallelism_config",
    "past_index",
    "per_device_eval_batch_size",
    "per_gpu_eval_batch_size",
    "per_gpu_train_batch_size",
    "prediction_loss_only",
    "project",
    "push_to_hub",
    "push_to_hub_model_id",
    "push_to_hub_organization",
    "push_to_hub_token",
    "ray_scope",
    "remove_unused_columns",
    "restore_callback_states_from_checkpoint",
    "resume_from_checkpoint",
    "save_on_each_node",
    "save_only_model",
    "save_safetensors",
    "sharded_ddp",
    "skip_memory_metrics",
    "split_batches",
    "tf32",
    "torch_compile",
    "torch_compile_backend",
    "torch_compile_mode",
    "torch_empty_cache_steps",
    "torchdynamo",
    "tpu_metrics_debug",
    "tpu_num_cores",
    "trackio_bucket_id",
    "trackio_space_id",
    "trackio_static_space_id",
    "train_sampling_strategy",
    "use_cache",
    "use_cpu",
    "use_ipex",
    "use_legacy_prediction_loop",
    "use_liger_kernel",
    "use_mps_device",
    "xpu_backend",
};

/// Values of accepted keys that leave the original's result as it is; any other one would change it, which deserves more than a note.
const std::map<std::string, std::set<std::string>>& harmless_values() {
  static const std::map<std::string, std::set<std::string>> values = {
      {"adafactor", {"false"}},
      {"auto_find_batch_size", {"false"}},
      {"data_seed", {"null"}},
      {"dataloader_drop_last", {"false"}},
      {"eval_strategy", {"no", "false"}},
      {"evaluation_strategy", {"no", "false"}},
      {"fp16", {"false"}},
      {"group_by_length", {"false"}},
      {"ignore_data_skip", {"false"}},
      {"label_smoothing_factor", {"0"}},
      {"load_best_model_at_end", {"false"}},
      {"neftune_noise_alpha", {"null"}},
      {"optim", {"adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused"}},
      {"optim_args", {"null"}},
      {"optim_target_modules", {"null"}},
      {"per_gpu_train_batch_size", {"null"}},
      {"train_sampling_strategy", {"random"}},
  };
  return values;
}

std::string canonical(const Node& value) {
  if (value.kind == Node::Kind::kNull) return "null";
  if (value.kind != Node::Kind::kScalar) return "";
  if (value.quoted) return value.text;
  if (const auto flag = parse_boolean(value.text)) return *flag ? "true" : "false";
  if (is_number(value.text) && std::strtod(value.text.c_str(), nullptr) == 0) return "0";
  return value.text;
}

/// A map of switches: every key known, every value true or false (or null).
void check_switches(const Node::Entry& entry, const std::string& path, const std::vector<std::string>& switches,
                    const std::vector<std::string>& others, Reader& reader) {
  std::vector<std::string> known = switches;
  known.insert(known.end(), others.begin(), others.end());
  for (const Node::Entry& each : entry.value.entries) {
    const std::string each_path = path + "." + each.key;
    if (std::find(known.begin(), known.end(), each.key) == known.end()) {
      report_unknown_key(each, each_path, known, reader);
      continue;
    }
    reader.seen(each_path, each.value.origin);
    const bool is_switch = std::find(switches.begin(), switches.end(), each.key) != switches.end();
    bool value = false;
    if (is_switch && each.value.kind != Node::Kind::kNull && !each.value.unusable)
      read_scalar({.name = each.key, .type = FieldType::kBoolean}, each.value, each_path, reader, value);
  }
}

void check_map(const Node::Entry& entry, const std::string& path, Reader& reader) {
  const Node::Kind kind = entry.value.kind;
  const bool accelerator = entry.key == "accelerator_config";
  if (kind == Node::Kind::kNull || (accelerator && kind == Node::Kind::kScalar)) return;  // a path of a JSON file
  if (kind != Node::Kind::kMap) {
    report_type({.type = FieldType::kMap}, entry.value, path, reader);
  } else if (accelerator) {
    check_switches(entry, path,
                   {"split_batches", "dispatch_batches", "even_batches", "use_seedable_sampler", "non_blocking", "use_configured_state"},
                   {"gradient_accumulation_kwargs"}, reader);
  } else {
    check_switches(entry, path, {"use_reentrant", "preserve_rng_state", "debug", "early_stop"}, {"context_fn", "determinism_check"},
                   reader);
  }
}

}  // namespace

std::span<const char* const> accepted_argument_names() {
  return kNames;
}

bool accept_argument(const Node::Entry& entry, const std::string& path, Reader& reader) {
  if (!std::binary_search(std::begin(kNames), std::end(kNames), entry.key)) return false;
  reader.seen(path, entry.value.origin);
  if (entry.value.unusable) return true;
  if (entry.key == "accelerator_config" || entry.key == "gradient_checkpointing_kwargs") check_map(entry, path, reader);
  const auto harmless = harmless_values().find(entry.key);
  if (harmless == harmless_values().end() || harmless->second.contains(canonical(entry.value))) {
    reader.note(entry.key_origin, fmt::format("`{}` is accepted, not used here", path));
  } else {
    reader.warn(entry.key_origin,
                fmt::format("`{}` is not supported with the value {}: this run goes on without it and differs from the original's", path,
                            describe(entry.value)));
  }
  return true;
}

const std::vector<std::string>& reporting_services() {
  static const std::vector<std::string> services = {"none",     "all",     "azure_ml",    "clearml", "codecarbon",
                                                    "comet_ml", "dagshub", "dvclive",     "flyte",   "mlflow",
                                                    "neptune",  "swanlab", "tensorboard", "trackio", "wandb"};
  return services;
}

}  // namespace multimeditron
