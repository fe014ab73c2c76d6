#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace multimeditron {

/// What stands around `tokenizer.json` in a tokenizer folder, read in every layout that transformers 4 and 5 have written.
struct TokenizerFiles {
  Json config = Json::object();              ///< tokenizer_config.json without its chat template
  std::map<std::string, std::string> named;  ///< "bos_token" -> "<s>" and the like: the variables that chat templates see
  std::vector<std::string> additional;       ///< further special tokens without a name
  std::optional<std::string> chat_template;
  std::filesystem::path chat_template_file;  ///< where the template was found

  /// Throws UserError for files that are there but broken; every one of them may be missing.
  static TokenizerFiles read(const std::filesystem::path& folder);

  /// `added_tokens_decoder` entries of the config as (id, AddedToken), by id.
  std::vector<std::pair<int64_t, Json>> added_tokens() const;

  /// Writes tokenizer_config.json, special_tokens_map.json and chat_template.jinja so that transformers 4.57 and 5 read them.
  void write(const std::filesystem::path& folder) const;
};

}  // namespace multimeditron
