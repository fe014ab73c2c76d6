#include "base/error.h"

#include <algorithm>

namespace multimeditron {
namespace {

std::string render(const std::string& message, const UserError::Details& details) {
  std::string text = message;
  if (!details.where.empty()) text += "\n  where: " + details.where;
  if (!details.found.empty()) text += "\n  found: " + details.found;
  if (!details.fix.empty()) text += "\n  fix:   " + details.fix;
  return text;
}

std::string join(const std::vector<UserError>& errors, size_t shown) {
  if (errors.size() == 1) return errors.front().what();
  std::string text = std::to_string(errors.size()) + " mistakes";
  for (size_t i = 0; i < std::min(shown, errors.size()); ++i) text += "\n- " + std::string(errors[i].what());
  if (errors.size() > shown) text += "\n- and " + std::to_string(errors.size() - shown) + " more";
  return text;
}

}  // namespace

UserError::UserError(std::string message, Details details)
    : message_(std::move(message)), details_(std::move(details)), text_(render(message_, details_)) {}

UserError UserError::at(const std::string& where) const {
  Details details = details_;
  details.where = details.where.empty() ? where : where + ", " + details.where;
  return UserError(message_, details);
}

UserErrors::UserErrors(std::vector<UserError> errors, size_t shown) : UserError(join(errors, shown)), errors_(std::move(errors)) {}

}  // namespace multimeditron
