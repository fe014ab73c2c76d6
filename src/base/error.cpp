#include "base/error.h"

namespace multimeditron {
namespace {

std::string render(const std::string& message, const UserError::Details& details) {
  std::string text = message;
  if (!details.where.empty()) text += "\n  where: " + details.where;
  if (!details.found.empty()) text += "\n  found: " + details.found;
  if (!details.fix.empty()) text += "\n  fix:   " + details.fix;
  return text;
}

std::string join(const std::vector<UserError>& errors) {
  if (errors.size() == 1) return errors.front().what();
  std::string text = std::to_string(errors.size()) + " mistakes";
  for (const UserError& error : errors) text += "\n- " + std::string(error.what());
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

UserErrors::UserErrors(std::vector<UserError> errors) : UserError(join(errors)), errors_(std::move(errors)) {}

}  // namespace multimeditron
