#include "cli/check_report.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace multimeditron {

Json to_json(const UserError& error) {
  return {{"message", error.message()}, {"where", error.details().where}, {"found", error.details().found}, {"fix", error.details().fix}};
}

Json report_of(const std::string& file, std::span<const UserError> errors) {
  Json report = {{"recipe", file}, {"ok", errors.empty()}, {"errors", Json::array()}};
  for (const UserError& error : errors) report["errors"].push_back(to_json(error));
  return report;
}

Json whole_report(const Json& recipes) {
  Json report = recipes.size() == 1 ? recipes.front() : Json{{"ok", true}, {"errors", Json::array()}};
  if (recipes.size() != 1) {
    for (const Json& each : recipes) {
      report["ok"] = report["ok"].get<bool>() && each["ok"].get<bool>();
      for (const Json& error : each["errors"]) report["errors"].push_back(error);
    }
  }
  report["recipes"] = recipes;
  return report;
}

std::string verdict(const std::string& file, const std::vector<std::string>& missing) {
  if (missing.empty()) return fmt::format("{}: ok\n", file);
  return fmt::format("{}: no mistakes, but this machine lacks\n  {}\n", file, fmt::join(missing, "\n  "));
}

void append(std::vector<UserError>& errors, const UserError& error) {
  if (const auto* several = dynamic_cast<const UserErrors*>(&error)) {
    errors.insert(errors.end(), several->errors().begin(), several->errors().end());
  } else {
    errors.push_back(error);
  }
}

}  // namespace multimeditron
