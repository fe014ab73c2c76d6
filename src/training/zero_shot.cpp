#include "training/zero_shot.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "base/log.h"
#include "data/image_loader.h"
#include "training/clip_batches.h"
#include "training/image_batches.h"
#include "training/loop.h"

namespace multimeditron {

void ZeroShot::open(const ImageProcessor& processor) {
  std::vector<std::unique_ptr<Dataset>> classes;
  for (size_t c = 0; c < recipe_.zero_shot_classes.size(); ++c) {
    std::vector<DatasetSpec> specs;
    for (const std::string& path : recipe_.zero_shot_class_map[c]) specs.push_back({.packed_path = path, .weight = {}, .max_samples = {}});
    classes.push_back(open_datasets(specs, recipe_.file, "zero_shot_class_map." + recipe_.zero_shot_classes[c]));
  }
  images_ =
      std::make_unique<LabelledImages>(std::move(classes), LabelledImages::Options{.processor = processor, .loaders = recipe_.loaders});
}

Json ZeroShot::asked() const {
  Json map = Json::object();
  for (size_t c = 0; c < recipe_.zero_shot_classes.size(); ++c) map[recipe_.zero_shot_classes[c]] = recipe_.zero_shot_class_map[c];
  return {{"classes", recipe_.zero_shot_classes}, {"templates", recipe_.zero_shot_templates}, {"class_map", map}};
}

at::Tensor ZeroShot::class_embeddings(const ClipModel& model, const Tokenizer& tokenizer, const CaptionRule& rule,
                                      int64_t batch_size) const {
  std::vector<std::vector<int64_t>> texts;
  int64_t cut = 0;
  for (const std::string& name : recipe_.zero_shot_classes) {
    for (std::string text : recipe_.zero_shot_templates) {
      for (size_t at = text.find("{}"); at != std::string::npos; at = text.find("{}", at + name.size())) text.replace(at, 2, name);
      texts.push_back(caption_ids(tokenizer, text, rule));
      cut += static_cast<int64_t>(tokenizer.encode(text).size()) > rule.max_length - 2;
    }
  }
  if (cut > 0) {
    warn(fmt::format("{}, key zero_shot_templates: {} of {} texts are longer than the text tower's {} positions and are cut",
                     recipe_.file.string(), cut, texts.size(), rule.max_length));
  }
  std::vector<at::Tensor> parts;
  for (size_t first = 0; first < texts.size(); first += static_cast<size_t>(batch_size)) {
    const size_t count = std::min(static_cast<size_t>(batch_size), texts.size() - first);
    const TextBatch batch = stack_texts(std::span(texts).subspan(first, count), model);
    parts.push_back(model.embed_texts(batch.input_ids, batch.ends));
  }
  const auto templates = static_cast<int64_t>(recipe_.zero_shot_templates.size());
  const at::Tensor means = at::cat(parts).unflatten(0, {-1, templates}).mean(1);
  return means / at::linalg_vector_norm(means, 2, at::IntArrayRef{-1}, true);
}

Classification ZeroShot::classify(const ClipModel& model, const Tokenizer& tokenizer, const CaptionRule& rule,
                                  const TrainingArguments& arguments) const {
  const at::NoGradGuard no_grad;
  const int64_t size = arguments.per_device_train_batch_size;
  const at::Tensor classes = class_embeddings(model, tokenizer, rule, size);
  const double scale = std::exp(model.logit_scale().data.item<double>());
  std::vector<int64_t> rows(static_cast<size_t>(images_->size()));
  std::iota(rows.begin(), rows.end(), 0);
  Classification result(recipe_.zero_shot_classes);
  Quarantine unusable({}, 1);
  for_each_batch(*images_, *images_, rows, size, loader_threads(arguments), unusable, [&](std::span<const Sample> samples) {
    const at::Tensor pixels = pixels_of(samples, model.vision().config().image_size);
    const at::Tensor logits = scale * model.embed_images(pixels).matmul(classes.t());
    const at::Tensor predictions = logits.argmax(1), log_probabilities = logits.log_softmax(1);
    for (size_t j = 0; j < samples.size(); ++j) {
      const int64_t row = static_cast<int64_t>(j), label = images_->label(samples[j].index);
      result.add(label, predictions[row].item<int64_t>(), -log_probabilities[row][label].item<double>());
    }
  });
  return result;
}

}  // namespace multimeditron
