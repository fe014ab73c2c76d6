// Forward and backward of a plain language model's folder, step by step, for architectures.py:
//   llm_step FOLDER float32|bfloat16 CHECKPOINTING(0|1) STEPS LENGTH...
// The batch is made of a formula that architectures.py has too. Prints {"seconds": [...], "loss": ..., "grad_norm": ...}.
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <malloc.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"
#include "models/language/causal_lm.h"
#include "models/tensors.h"

namespace multimeditron {
namespace {

/// Packed samples; the last 40 % of each are learnt.
struct Batch {
  at::Tensor input_ids;
  SequenceLayout layout;
  std::vector<int64_t> rows, targets;
};

Batch make_batch(int64_t step, const std::vector<int64_t>& lengths, int64_t vocab_size) {
  Batch batch;
  std::vector<int64_t> ids;
  for (size_t s = 0; s < lengths.size(); ++s) {
    const int64_t start = batch.layout.num_tokens(), length = lengths[s] + step;  // other lengths each step, as in training
    batch.layout.cu_seqlens.push_back(start + length);
    for (int64_t t = 0; t < length; ++t) ids.push_back((t * 7919 + static_cast<int64_t>(s) * 104729 + step * 31) % vocab_size);
    for (int64_t t = length * 6 / 10; t + 1 < length; ++t) {
      batch.rows.push_back(start + t);
      batch.targets.push_back(ids[static_cast<size_t>(start + t + 1)]);
    }
  }
  batch.input_ids = at::tensor(ids, at::kLong);
  return batch;
}

int run(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // as training does (training/loop.cpp)
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
  mallopt(M_TOP_PAD, 64 << 20);
  const at::NoGradGuard no_grad;
  const std::filesystem::path folder = argv[1];
  const at::ScalarType dtype = std::strcmp(argv[2], "bfloat16") == 0 ? at::kBFloat16 : at::kFloat;
  const bool checkpointing = std::strcmp(argv[3], "1") == 0;
  const int64_t steps = std::atoll(argv[4]);
  std::vector<int64_t> lengths;
  for (int i = 5; i < argc; ++i) lengths.push_back(std::atoll(argv[i]));

  CausalLm llm(read_decoder_config(read_json(folder / "config.json"), (folder / "config.json").string()));
  const auto buckets = llm.make_buckets("", "model");
  {
    const SafetensorsReader reader(folder);
    for (const auto& bucket : buckets) {
      allocate(*bucket, dtype);
      for (Parameter* parameter : bucket->parameters) parameter->data.copy_(to_tensor(*reader.find(parameter->name)));
      set_trained(*bucket, true, dtype);
    }
  }

  Json seconds = Json::array();
  double loss = 0;
  for (int64_t step = 0; step < steps; ++step) {
    for (const auto& bucket : buckets) bucket->grad_is_stale = true;
    const Batch batch = make_batch(step, lengths, llm.config().vocab_size);
    const auto start = std::chrono::steady_clock::now();
    CausalLm::Saved saved;
    const at::Tensor rows = at::tensor(batch.rows, at::kLong), embeddings = llm.embed(batch.input_ids);
    const at::Tensor hidden = llm.forward_layers(embeddings, batch.layout, &saved, checkpointing);
    const double scale = 1.0 / static_cast<double>(batch.rows.size());
    const auto head = llm.head_loss(hidden.index_select(0, rows), batch.targets, scale);
    at::Tensor grad = at::zeros_like(hidden).index_copy_(0, rows, head.grad_rows);
    grad = llm.backward_layers(grad, batch.layout, saved);
    llm.embed_backward(batch.input_ids, grad, {});
    seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    loss = head.loss_sum * scale;
  }
  double squares = 0;
  for (const auto& bucket : buckets) {
    if (bucket->is_trained()) squares += std::pow(bucket->grad.to(at::kDouble).norm().item<double>(), 2);
  }
  std::puts(Json({{"seconds", seconds}, {"loss", loss}, {"grad_norm", std::sqrt(squares)}}).dump().c_str());
  return 0;
}

}  // namespace
}  // namespace multimeditron

int main(int argc, char** argv) {
  return multimeditron::run(argc, argv);
}
