#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace multimeditron {

/// The part of Hugging Face's `TrainingArguments` that has a meaning here, with its names, defaults and semantics.
struct TrainingArguments {
  std::string output_dir;
  std::string run_name;
  double learning_rate = 5e-5;
  std::string lr_scheduler_type =
      "linear";  ///< linear, cosine, cosine_with_min_lr, constant, constant_with_warmup, polynomial, cosine_with_restarts, inverse_sqrt
  std::optional<double> min_lr, min_lr_rate;  ///< lr_scheduler_kwargs
  double num_cycles = 0.5;                    ///< lr_scheduler_kwargs (cosine: 0.5; cosine_with_restarts: 1)
  double power = 1.0;                         ///< lr_scheduler_kwargs of polynomial
  double lr_end = 1e-7;                       ///< lr_scheduler_kwargs of polynomial
  double warmup_ratio = 0.0;
  double warmup_steps = 0;  ///< wins over warmup_ratio where > 0
  double weight_decay = 0.0;
  double adam_beta1 = 0.9, adam_beta2 = 0.999, adam_epsilon = 1e-8;
  double max_grad_norm = 1.0;  ///< 0: no clipping
  bool bf16 = false;
  int64_t per_device_train_batch_size = 8;
  int64_t gradient_accumulation_steps = 1;
  double num_train_epochs = 3.0;
  int64_t max_steps = -1;  ///< > 0 wins over num_train_epochs
  bool gradient_checkpointing = false;
  std::string save_strategy = "steps";  ///< no, steps, epoch
  double save_steps = 500;              ///< < 1: a share of all steps, rounded up
  int64_t save_total_limit = 0;         ///< 0: keep all
  double logging_steps = 500;
  int64_t seed = 42;
  int64_t dataloader_num_workers = 0;  ///< threads of the loader; 0: as many as are useful
  int64_t dataloader_prefetch_factor = 2;
  std::string report_to;  ///< accepted: tracking services come later
  std::string deepspeed;  ///< accepted: path of a DeepSpeed JSON
};

}  // namespace multimeditron
