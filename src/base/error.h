#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <string>
#include <vector>

namespace multimeditron {

/// A mistake that a user can cause and mend: recipe, data, checkpoint, environment, disk. `main` prints it and exits with code 2.
/// Low-level code throws what it knows; the layer that knows the file catches, sets `where`, and throws again.
class UserError : public std::exception {
 public:
  struct Details {
    std::string where;  ///< file plus line, row, key, tensor or byte offset
    std::string found;  ///< what was there, and what was expected
    std::string fix;    ///< what the user can type or edit
  };

  explicit UserError(std::string message, Details details = {});

  const std::string& message() const { return message_; }
  const Details& details() const { return details_; }
  /// The message and its lines "where:", "found:", "fix:", each only where set; no "error: " in front.
  const char* what() const noexcept override { return text_.c_str(); }

  /// The same error with `where` set, or put in front of the present one ("model.safetensors, tensor lm_head.weight").
  UserError at(const std::string& where) const;

 private:
  std::string message_;
  Details details_;
  std::string text_;
};

/// Of a weights file that does not fit, where every tensor may be a mistake.
inline constexpr size_t kShownErrors = 5;

/// Several mistakes found in one pass (a recipe's); `what()` lists them in order, the first `shown` of them.
class UserErrors : public UserError {
 public:
  explicit UserErrors(std::vector<UserError> errors, size_t shown = SIZE_MAX);
  const std::vector<UserError>& errors() const { return errors_; }

 private:
  std::vector<UserError> errors_;
};

/// The run was stopped by a signal after its state was saved: exit code 75.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "stopped by a signal after saving"; }
};

enum ExitCode : int { kExitDone = 0, kExitFault = 1, kExitUserError = 2, kExitInterrupted = 75 };

}  // namespace multimeditron
