#include "models/multimodal/gate_classes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/log.h"

namespace multimeditron {
namespace {

std::string last_component(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.find_last_of('/') + 1);
}

/// The free class that alone is called `name`, or whose last path component alone is that of `name`.
std::optional<int64_t> find_class(const std::string& name, const std::vector<std::string>& class_names, const std::vector<bool>& is_taken) {
  for (const bool whole : {true, false}) {
    std::vector<int64_t> found;
    for (size_t c = 0; c < class_names.size(); ++c) {
      const bool equal = whole ? class_names[c] == name : last_component(class_names[c]) == last_component(name);
      if (equal && !is_taken[c]) found.push_back(static_cast<int64_t>(c));
    }
    if (found.size() == 1) return found.front();
  }
  return std::nullopt;
}

std::vector<int64_t> by_index(size_t count, const std::string& where, const char* why) {
  warn(fmt::format("{}: {}; its classes are taken for the experts in their order", where, why));
  std::vector<int64_t> classes(count);
  std::iota(classes.begin(), classes.end(), 0);
  return classes;
}

std::vector<int64_t> matched_by_hand(const std::vector<std::string>& by_hand, const std::vector<std::string>& class_names,
                                     const std::string& where) {
  std::vector<int64_t> classes;
  std::vector<bool> is_taken(class_names.size());
  for (const std::string& name : by_hand) {
    const auto found = find_class(name, class_names, is_taken);
    if (!found) {
      throw UserError("`gate_classes` names a class that the gate does not have, or names it twice",
                      {.where = where + ", key gate_classes",
                       .found = name,
                       .fix = class_names.empty() ? "remove the key: this gate has no class names"
                                                  : fmt::format("the gate's classes: {}", fmt::join(class_names, ", "))});
    }
    is_taken[static_cast<size_t>(*found)] = true;
    classes.push_back(*found);
  }
  return classes;
}

}  // namespace

std::vector<int64_t> match_gate_classes(const std::vector<std::string>& experts, const std::vector<std::string>& class_names,
                                        int64_t num_classes, const std::vector<std::string>& by_hand, const std::string& where) {
  if (!by_hand.empty() && by_hand.size() != experts.size()) {
    throw UserError("`gate_classes` must name one class for each expert",
                    {.where = where + ", key gate_classes",
                     .found = fmt::format("{} classes, {} experts", by_hand.size(), experts.size()),
                     .fix = "list the class of each expert, in the order of the checkpoint's `expert_clip_names`, or remove the key"});
  }
  if (!by_hand.empty()) return matched_by_hand(by_hand, class_names, where);
  const bool equal_counts = num_classes == static_cast<int64_t>(experts.size());
  if (class_names.empty() && equal_counts) return by_index(experts.size(), where, "the gate has no class names");
  if (class_names.empty()) {
    throw UserError("the gate's classes cannot be matched with the experts",
                    {.where = where,
                     .found = fmt::format("{} classes without names, {} experts", num_classes, experts.size()),
                     .fix = "name a gate that was trained for these experts, or add `class_names` to its config.json"});
  }
  std::vector<int64_t> classes(experts.size(), -1);
  std::vector<bool> is_taken(class_names.size());
  // Whole names first, so that an expert does not lose its own class to another of the same last component.
  for (size_t e = 0; e < experts.size(); ++e) {
    const auto own = std::find(class_names.begin(), class_names.end(), experts[e]);
    if (own == class_names.end() || is_taken[static_cast<size_t>(own - class_names.begin())]) continue;
    classes[e] = own - class_names.begin();
    is_taken[static_cast<size_t>(classes[e])] = true;
  }
  for (size_t e = 0; e < experts.size(); ++e) {
    if (classes[e] >= 0) continue;
    if (const auto found = find_class(experts[e], class_names, is_taken)) {
      classes[e] = *found;
      is_taken[static_cast<size_t>(*found)] = true;
    }
  }
  const auto left = std::count(classes.begin(), classes.end(), -1);
  if (left == 0) return classes;
  if (left == static_cast<std::ptrdiff_t>(experts.size()) && equal_counts)
    return by_index(experts.size(), where, "none of the gate's class names is an expert's");
  const auto expert = static_cast<size_t>(std::find(classes.begin(), classes.end(), -1) - classes.begin());
  if (left == 1 && std::count(is_taken.begin(), is_taken.end(), false) == 1) {
    classes[expert] = std::find(is_taken.begin(), is_taken.end(), false) - is_taken.begin();
    warn(fmt::format("{}: the expert {} and the gate's class {} are left over and taken to belong together", where, experts[expert],
                     class_names[static_cast<size_t>(classes[expert])]));
    return classes;
  }
  throw UserError(
      "no class of the gate bears an expert's name",
      {.where = where,
       .found = fmt::format("no class for {}; the gate's classes: {}", experts[expert], fmt::join(class_names, ", ")),
       .fix = "list the class of each expert in `gate_classes`, in the order of `expert_clip_names`, or name a gate trained for these"});
}

}  // namespace multimeditron
