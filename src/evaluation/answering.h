#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "evaluation/summary.h"
#include "evaluation/task.h"
#include "models/multimodal/pretrained.h"

namespace multimeditron {

struct AnsweringOptions {
  int64_t batch_size = 0;  ///< prompts answered together; 0: as many as fit into 1 GiB
  int64_t max_new_tokens = 64;
  bool with_baselines = true;  ///< asks every question without its image, too, and with another row's
  uint64_t seed = 0;           ///< of the swapped images
};

struct Answering {
  std::vector<RowAnswers> rows;  ///< one a row that is left in the task
  int64_t generated_tokens = 0;  ///< of all answers, baselines included
};

/// Puts the task's questions to a model, greedily: each is one user turn, its images first, without a system turn. Questions that the model
/// has no room for move to task.unusable. Prompts on the same image are answered side by side, so that it is encoded once; a question is
/// asked blind once however many rows ask it. White space around an answer is removed. `on_progress(done, total)` counts answers. Throws
/// UserError: images for a model that takes none, weights that give no numbers.
Answering answer_task(const Pretrained& pretrained, Task& task, const AnsweringOptions& options,
                      const std::function<void(int64_t done, int64_t total)>& on_progress);

/// The images of a row as the encoder takes them; `view`: the task's.
std::vector<ImageInput> load_images(const MultimodalModel& model, const TaskRow& row, const VolumeOptions& view = {});

}  // namespace multimeditron
