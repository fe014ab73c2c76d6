#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace multimeditron {

/// Reads values of a Hugging Face config.json; a missing or mistyped key is a UserError with file and key.
class ConfigReader {
 public:
  /// `where`: the file, or "config.json, vision_config". Keeps a reference to `json`.
  ConfigReader(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  /// A positive integer.
  int64_t integer(const char* key) const;
  int64_t integer(const char* key, int64_t fallback) const;
  /// As `integer`, but 0 is allowed.
  int64_t index(const char* key) const;
  double number(const char* key, double fallback) const;
  bool boolean(const char* key, bool fallback) const;
  std::string string(const char* key, const std::string& fallback) const;
  /// The object below `key`; an empty one where it is missing or null.
  const Json& object(const char* key) const;
  bool has(const char* key) const { return json_.contains(key) && !json_.at(key).is_null(); }
  const std::string& where() const { return where_; }

 private:
  const Json& json_;
  std::string where_;

  const Json& required(const char* key) const;
};

}  // namespace multimeditron
