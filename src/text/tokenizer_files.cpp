#include "text/tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"

namespace multimeditron {
namespace {

const char* const kNamedTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
const char* const kTokenLists[] = {"additional_special_tokens", "extra_special_tokens"};

/// A token stands in these files as its text or as {"content": text, ...}.
std::optional<std::string> content_of(const Json& token) {
  if (token.is_string()) return token.get<std::string>();
  if (token.is_object() && token.contains("content") && token["content"].is_string()) return token["content"].get<std::string>();
  return std::nullopt;
}

/// The text under `key`; empty where there is none.
std::string text_at(const Json& object, const char* key) {
  const auto entry = object.find(key);
  return entry != object.end() && entry->is_string() ? entry->get<std::string>() : "";
}

void collect_special_tokens(const Json& json, TokenizerFiles& files) {
  for (const char* name : kNamedTokens) {
    if (!json.contains(name)) continue;
    if (auto content = content_of(json[name])) files.named.emplace(name, *content);
  }
  for (const char* name : kTokenLists) {
    if (!json.contains(name)) continue;
    // a list, or in transformers 4 names with their tokens
    for (const auto& [key, token] : json[name].items()) {
      auto content = content_of(token);
      if (!content) continue;
      if (json[name].is_object()) files.named.emplace(key, *content);
      if (std::find(files.additional.begin(), files.additional.end(), *content) == files.additional.end())
        files.additional.push_back(*content);
    }
  }
}

std::optional<std::string> template_in_config(const Json& entry, const std::filesystem::path& file) {
  if (entry.is_null()) return std::nullopt;
  if (entry.is_string()) return entry.get<std::string>();
  if (entry.is_array()) {
    for (const Json& named : entry)
      if (text_at(named, "name") == "default" && named.contains("template") && named["template"].is_string())
        return named["template"].get<std::string>();
    return std::nullopt;
  }
  throw UserError("the chat template cannot be read", {.where = file.string() + ", chat_template",
                                                       .found = fmt::format("{}, expected a text or a list", entry.type_name()),
                                                       .fix = "copy the file again from where the model comes from"});
}

Json read_object(const std::filesystem::path& file) {
  Json json = read_json(file);
  if (!json.is_object())
    throw UserError("the tokenizer's settings cannot be read", {.where = file.string(),
                                                                .found = fmt::format("{}, expected an object", json.type_name()),
                                                                .fix = "copy the file again from where the model comes from"});
  return json;
}

}  // namespace

TokenizerFiles TokenizerFiles::read(const std::filesystem::path& folder) {
  TokenizerFiles files;
  const auto config_file = folder / "tokenizer_config.json", map_file = folder / "special_tokens_map.json",
             template_file = folder / "chat_template.jinja";
  if (std::filesystem::exists(config_file)) {
    files.config = read_object(config_file);
    collect_special_tokens(files.config, files);
    if (files.config.contains("chat_template")) {
      files.chat_template = template_in_config(files.config["chat_template"], config_file);
      files.chat_template_file = config_file;
      files.config.erase("chat_template");
    }
  }
  // what the config names counts; the map fills in what it does not
  if (std::filesystem::exists(map_file)) collect_special_tokens(read_object(map_file), files);
  if (std::filesystem::exists(template_file)) {
    files.chat_template = read_file(template_file);
    files.chat_template_file = template_file;
  }
  return files;
}

std::vector<std::pair<int64_t, Json>> TokenizerFiles::added_tokens() const {
  std::vector<std::pair<int64_t, Json>> tokens;
  if (!config.contains("added_tokens_decoder")) return tokens;
  for (const auto& [id, token] : config["added_tokens_decoder"].items()) {
    int64_t number = -1;
    try {
      number = std::stoll(id);
    } catch (const std::exception&) {
    }
    if (number < 0 || !token.is_object() || !content_of(token))
      throw UserError("an added token cannot be read", {.where = "added_tokens_decoder." + id,
                                                        .found = "expected a number as key and an object with `content`",
                                                        .fix = "copy the file again from where the model comes from"});
    tokens.emplace_back(number, token);
  }
  std::sort(tokens.begin(), tokens.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return tokens;
}

void TokenizerFiles::write(const std::filesystem::path& folder) const {
  Json written = config;
  // transformers 4 knows lists under the first name only, and not the class that transformers 5 writes
  written.erase("extra_special_tokens");
  if (config.contains("extra_special_tokens") && config["extra_special_tokens"].is_object())
    written["extra_special_tokens"] = config["extra_special_tokens"];
  std::vector<std::string> unnamed;
  for (const std::string& token : additional)
    if (std::none_of(named.begin(), named.end(), [&](const auto& entry) { return entry.second == token; })) unnamed.push_back(token);
  written.erase("additional_special_tokens");
  if (!unnamed.empty()) written["additional_special_tokens"] = unnamed;
  if (const std::string name = text_at(config, "tokenizer_class"); name.empty() || name == "TokenizersBackend")
    written["tokenizer_class"] = "PreTrainedTokenizerFast";
  for (const char* of_one_machine : {"is_local", "local_files_only", "name_or_path"}) written.erase(of_one_machine);

  Json map = Json::object();
  for (const char* name : kNamedTokens) {
    auto token = named.find(name);
    if (token == named.end()) continue;
    map[name] = token->second;
    if (!written.contains(name)) written[name] = token->second;
  }
  if (!unnamed.empty()) map["additional_special_tokens"] = unnamed;

  write_file_atomic(folder / "tokenizer_config.json", written.dump(2) + "\n");
  write_file_atomic(folder / "special_tokens_map.json", map.dump(2) + "\n");
  if (chat_template) write_file_atomic(folder / "chat_template.jinja", *chat_template);
}

}  // namespace multimeditron
