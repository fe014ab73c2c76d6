#include "evaluation/attention.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "evaluation/answering.h"
#include "evaluation/random.h"
#include "generation/question.h"
#include "models/batch.h"

namespace multimeditron {
namespace {

/// Shares of the image's sides that the processor's crop keeps; a crop beyond the image (a black border) reaches past 0 and 1.
std::array<double, 4> visible_region(const ImageProcessor& processor, const ImageInput& image) {
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  double scale_x = 1, scale_y = 1;
  if (processor.do_resize && processor.fit == Fit::kExact) {
    scale_x = static_cast<double>(processor.resize_width) / width;
    scale_y = static_cast<double>(processor.resize_height) / height;
  } else if (processor.do_resize) {
    const double edge = processor.fit == Fit::kLongest ? std::max(width, height) : std::min(width, height);
    scale_x = scale_y = static_cast<double>(processor.shortest_edge) / edge;
  }
  const double kept_x = static_cast<double>(processor.width()) / (scale_x * width);
  const double kept_y = static_cast<double>(processor.height()) / (scale_y * height);
  return {0.5 - kept_x / 2, 0.5 - kept_y / 2, 0.5 + kept_x / 2, 0.5 + kept_y / 2};
}

double rounded(double value) {
  return std::round(value * 1e6) / 1e6;
}

}  // namespace

AttentionMap attention_on_image(const Pretrained& pretrained, const TaskRow& row, const VolumeOptions& view) {
  MultimodalModel& model = *pretrained.model;
  const Sample sample = make_question(model, *pretrained.tokenizer, load_images(model, row, view), "", row.question);
  const MicroBatch batch = make_micro_batch({&sample, 1}, model.image_size(), model.image_size());
  const at::Tensor embedded = model.embed(batch, nullptr);
  KvCache cache = model.llm().make_cache(1, batch.num_tokens());
  const at::Tensor logits = model.llm().logits(model.llm().prefill(embedded, batch.layout, cache));
  const at::Tensor probabilities = model.llm().last_attention(embedded);  // [layers, heads, T]
  const ImageRange& range = sample.text.image_ranges.front();
  const ModalityConfig& modality = model.config().modalities.front();
  // [layers, patches]; where the tokens of several experts follow each other, what they get together
  const at::Tensor on_image = probabilities.mean(1)
                                  .narrow(1, range.start, range.end - range.start)
                                  .reshape({probabilities.size(0), -1, modality.vision.num_patches()})
                                  .sum(1)
                                  .contiguous();

  AttentionMap map;
  const auto* values = on_image.const_data_ptr<float>();
  const int64_t num_layers = on_image.size(0), patches = on_image.size(1);
  map.weights.resize(static_cast<size_t>(patches));
  for (int64_t layer = 0; layer < num_layers; ++layer, values += patches) {
    map.layers.emplace_back(values, values + patches);
    for (int64_t i = 0; i < patches; ++i) map.weights[static_cast<size_t>(i)] += values[i] / static_cast<double>(num_layers);
  }
  for (const double weight : map.weights) map.image_share += weight;
  const int64_t side = modality.grid_side();
  map.grid = {side, side};
  map.region = visible_region(modality.processor, sample.images.front());
  const int64_t id = logits.argmax().item<int64_t>();
  map.token = pretrained.tokenizer->decode(std::span(&id, 1));
  return map;
}

std::vector<size_t> rows_to_show(std::span<const TaskRow> rows, int64_t count, uint64_t seed) {
  std::vector<size_t> order;
  for (size_t i = 0; i < rows.size(); ++i)
    if (!rows[i].images.empty()) order.push_back(i);
  Draws draws(seed);
  shuffle(std::span(order), draws);
  std::map<std::string, std::vector<size_t>> kinds;
  for (const size_t i : order) kinds[rows[i].kind].push_back(i);

  std::vector<size_t> shown;
  std::set<std::string> images;
  const auto wanted = std::min(order.size(), static_cast<size_t>(std::max<int64_t>(count, 0)));
  while (shown.size() < wanted) {
    for (auto& [kind, left] : kinds) {
      if (left.empty() || shown.size() == wanted) continue;
      auto chosen = std::find_if(left.begin(), left.end(), [&](size_t i) { return !images.contains(rows[i].images.front().content); });
      if (chosen == left.end()) chosen = left.begin();
      images.insert(rows[*chosen].images.front().content);
      shown.push_back(*chosen);
      left.erase(chosen);
    }
  }
  return shown;
}

Json to_json(const AttentionMap& map, const TaskRow& row, const std::string& answer) {
  const auto list = [](const auto& values) {
    Json json = Json::array();
    for (const double value : values) json.push_back(rounded(value));
    return json;
  };
  Json json = {{"id", row.id},
               {"image", row.images.front().name},
               {"question", row.question},
               {"reference", row.reference},
               {"answer", answer},
               {"token", map.token},
               {"grid", map.grid},
               {"weights", list(map.weights)},
               {"image_share", rounded(map.image_share)},
               {"region", list(map.region)}};
  json["layers"] = Json::array();
  for (const auto& layer : map.layers) json["layers"].push_back(list(layer));
  return json;
}

}  // namespace multimeditron
