#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace multimeditron {

/// How a classifier did on a set of images.
class Classification {
 public:
  explicit Classification(std::vector<std::string> labels);

  void add(int64_t truth, int64_t prediction, double loss);

  int64_t images() const { return images_; }
  double accuracy() const;
  double loss() const;  ///< mean cross entropy
  /// {images, accuracy, loss, per_class: [{class, images, right, accuracy}], confusion: [of each true class: its images by predicted
  /// class]}; accuracy is null where there are no images.
  Json to_json() const;
  /// A line a class for a terminal: "CT", "58 of 60 (96.7 %); taken for: 2 MRI".
  std::vector<std::pair<std::string, std::string>> rows() const;

 private:
  std::vector<std::string> labels_;
  std::vector<std::vector<int64_t>> confusion_;
  int64_t images_ = 0, right_ = 0;
  double loss_sum_ = 0;
};

}  // namespace multimeditron
