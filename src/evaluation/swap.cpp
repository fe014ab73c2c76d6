#include "evaluation/swap.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "evaluation/random.h"
#include "evaluation/scoring.h"

namespace multimeditron {
namespace {

/// The images of each row by number, ascending: rows are compared often.
std::vector<std::vector<size_t>> number_images(std::span<const TaskRow> rows) {
  std::unordered_map<std::string_view, size_t> numbers;
  std::vector<std::vector<size_t>> images(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const TaskImage& image : rows[i].images) images[i].push_back(numbers.try_emplace(image.content, numbers.size()).first->second);
    std::sort(images[i].begin(), images[i].end());
  }
  return images;
}

bool share_an_image(const std::vector<size_t>& a, const std::vector<size_t>& b) {
  if (a.size() == 1 && b.size() == 1) return a[0] == b[0];
  return std::any_of(a.begin(), a.end(), [&](size_t image) { return std::binary_search(b.begin(), b.end(), image); });
}

/// Rows of one kind: sorted by reference and moved on by the size of the largest group, so that rows meet another reference as far as the
/// largest group leaves any.
class Circle {
 public:
  /// `images`: of all rows.
  Circle(std::span<const TaskRow> rows, const std::vector<std::vector<size_t>>& images, std::vector<size_t> members, Draws& draws)
      : images_(images), members_(std::move(members)) {
    shuffle(std::span(members_), draws);
    std::map<std::string, std::vector<size_t>> by_reference;
    for (const size_t member : members_) by_reference[normalised_answer(rows[member].reference)].push_back(member);
    members_.clear();
    size_t largest = 0;
    for (const auto& [reference, group] : by_reference) {
      for (const size_t member : group) {
        members_.push_back(member);
        group_.push_back(groups_);
      }
      largest = std::max(largest, group.size());
      ++groups_;
    }
    const size_t count = members_.size(), shift = largest == count ? 1 : largest;
    for (size_t i = 0; i < count; ++i) partner_.push_back((i + shift) % count);
  }

  /// Places that keep their image trade partners with others, with such as keep references apart where there are some.
  void repair() {
    for (size_t i = 0; i < members_.size(); ++i) {
      if (differ(i, partner_[i])) continue;
      std::optional<size_t> chosen;
      for (size_t step = 1; step < members_.size(); ++step) {
        const size_t j = (i + step) % members_.size();
        if (!differ(i, partner_[j]) || !differ(j, partner_[i])) continue;
        if (!chosen) chosen = j;
        if (group_[i] == group_[partner_[j]] || group_[j] == group_[partner_[i]]) continue;
        chosen = j;
        break;
      }
      if (chosen) std::swap(partner_[i], partner_[*chosen]);
    }
  }

  void write(std::vector<std::optional<size_t>>& partners) const {
    for (size_t i = 0; i < members_.size(); ++i)
      if (differ(i, partner_[i])) partners[members_[i]] = members_[partner_[i]];
  }

 private:
  bool differ(size_t i, size_t j) const { return !share_an_image(images_[members_[i]], images_[members_[j]]); }

  const std::vector<std::vector<size_t>>& images_;
  std::vector<size_t> members_, group_, partner_;  // by place: row, number of its reference, place of its partner
  size_t groups_ = 0;
};

}  // namespace

std::vector<std::optional<size_t>> swap_partners(std::span<const TaskRow> rows, uint64_t seed) {
  std::vector<std::optional<size_t>> partners(rows.size());
  std::map<std::string, std::vector<size_t>> kinds;
  std::vector<size_t> all;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].images.empty()) continue;
    kinds[rows[i].kind].push_back(i);
    all.push_back(i);
  }
  const std::vector<std::vector<size_t>> images = number_images(rows);
  Draws draws(seed);
  for (auto& [kind, members] : kinds) {
    Circle circle(rows, images, std::move(members), draws);
    circle.repair();
    circle.write(partners);
  }
  // What its own kind could not serve begins its search at a place of its own.
  shuffle(std::span(all), draws);
  for (size_t place = 0; place < all.size(); ++place) {
    if (partners[all[place]]) continue;
    for (size_t step = 1; step < all.size(); ++step) {
      const size_t other = all[(place + step) % all.size()];
      if (share_an_image(images[all[place]], images[other])) continue;
      partners[all[place]] = other;
      break;
    }
  }
  return partners;
}

}  // namespace multimeditron
