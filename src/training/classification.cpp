#include "training/classification.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <numeric>

namespace multimeditron {

Classification::Classification(std::vector<std::string> labels)
    : labels_(std::move(labels)), confusion_(labels_.size(), std::vector<int64_t>(labels_.size())) {}

void Classification::add(int64_t truth, int64_t prediction, double loss) {
  ++confusion_[static_cast<size_t>(truth)][static_cast<size_t>(prediction)];
  ++images_;
  right_ += truth == prediction;
  loss_sum_ += loss;
}

double Classification::accuracy() const {
  return images_ == 0 ? 0 : static_cast<double>(right_) / static_cast<double>(images_);
}

double Classification::loss() const {
  return images_ == 0 ? 0 : loss_sum_ / static_cast<double>(images_);
}

Json Classification::to_json() const {
  Json classes = Json::array();
  for (size_t i = 0; i < labels_.size(); ++i) {
    const int64_t images = std::accumulate(confusion_[i].begin(), confusion_[i].end(), int64_t{0}), right = confusion_[i][i];
    classes.push_back({{"class", labels_[i]},
                       {"images", images},
                       {"right", right},
                       {"accuracy", images == 0 ? Json() : Json(static_cast<double>(right) / static_cast<double>(images))}});
  }
  return {{"images", images_},
          {"accuracy", images_ == 0 ? Json() : Json(accuracy())},
          {"loss", images_ == 0 ? Json() : Json(loss())},
          {"per_class", classes},
          {"confusion", confusion_}};
}

std::vector<std::pair<std::string, std::string>> Classification::rows() const {
  std::vector<std::pair<std::string, std::string>> rows;
  for (size_t i = 0; i < labels_.size(); ++i) {
    const int64_t images = std::accumulate(confusion_[i].begin(), confusion_[i].end(), int64_t{0}), right = confusion_[i][i];
    std::vector<std::string> mistaken;
    for (size_t j = 0; j < labels_.size(); ++j) {
      if (j != i && confusion_[i][j] > 0) mistaken.push_back(fmt::format("{} {}", confusion_[i][j], labels_[j]));
    }
    std::string text =
        images == 0 ? "no images"
                    : fmt::format("{} of {} ({:.1f} %)", right, images, 100.0 * static_cast<double>(right) / static_cast<double>(images));
    if (!mistaken.empty()) text += fmt::format("; taken for: {}", fmt::join(mistaken, ", "));
    rows.emplace_back(labels_[i], text);
  }
  return rows;
}

}  // namespace multimeditron
