#include "models/config_reader.h"

#include <fmt/format.h>

#include "base/error.h"

namespace multimeditron {
namespace {

[[noreturn]] void wrong_type(const std::string& where, const char* key, const char* expected, const Json& value) {
  throw UserError(
      "a model's configuration holds a value of the wrong kind",
      {.where = fmt::format("{}, key {}", where, key), .found = fmt::format("{} where {} was expected", value.dump(), expected)});
}

}  // namespace

const Json& ConfigReader::required(const char* key) const {
  if (!has(key)) {
    throw UserError("a model's configuration lacks a key",
                    {.where = where_, .found = fmt::format("no `{}`", key), .fix = "restore config.json from the model's source"});
  }
  return json_.at(key);
}

int64_t ConfigReader::integer(const char* key) const {
  const Json& value = required(key);
  if (!value.is_number_integer() || value.get<int64_t>() <= 0) wrong_type(where_, key, "a positive integer", value);
  return value.get<int64_t>();
}

int64_t ConfigReader::index(const char* key) const {
  const Json& value = required(key);
  if (!value.is_number_integer() || value.get<int64_t>() < 0) wrong_type(where_, key, "a non-negative integer", value);
  return value.get<int64_t>();
}

int64_t ConfigReader::integer(const char* key, int64_t fallback) const {
  return has(key) ? integer(key) : fallback;
}

double ConfigReader::number(const char* key, double fallback) const {
  if (!has(key)) return fallback;
  const Json& value = json_.at(key);
  if (!value.is_number()) wrong_type(where_, key, "a number", value);
  return value.get<double>();
}

bool ConfigReader::boolean(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  const Json& value = json_.at(key);
  if (!value.is_boolean()) wrong_type(where_, key, "true or false", value);
  return value.get<bool>();
}

std::string ConfigReader::string(const char* key, const std::string& fallback) const {
  if (!has(key)) return fallback;
  const Json& value = json_.at(key);
  if (!value.is_string()) wrong_type(where_, key, "a string", value);
  return value.get<std::string>();
}

const Json& ConfigReader::object(const char* key) const {
  static const Json kEmpty = Json::object();
  if (!has(key)) return kEmpty;
  const Json& value = json_.at(key);
  if (!value.is_object()) wrong_type(where_, key, "an object", value);
  return value;
}

}  // namespace multimeditron
