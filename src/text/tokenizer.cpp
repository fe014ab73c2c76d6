#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "text/bridge.h"
#include "text/tokenizer_files.h"

namespace multimeditron {
namespace {

constexpr const char* kChatMlTemplate =
    "{%- for message in messages %}\n"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}\n"
    "{{- '<|im_start|>assistant\\n' }}\n"
    "{%- endif %}\n";

std::string now() {
  const std::time_t seconds = std::time(nullptr);
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local);
  return text;
}

mm_token_flags flags_of(const Json& token) {
  const bool special = token.value("special", false);
  return {.single_word = token.value("single_word", false),
          .lstrip = token.value("lstrip", false),
          .rstrip = token.value("rstrip", false),
          .normalized = token.value("normalized", !special),
          .special = special};
}

bool same_flags(const mm_token_flags& a, const mm_token_flags& b) {
  return a.single_word == b.single_word && a.lstrip == b.lstrip && a.rstrip == b.rstrip && a.normalized == b.normalized &&
         a.special == b.special;
}

/// A template may quote a message in its complaint; what patients and doctors wrote stays out of ours.
std::string without_contents(std::string complaint, std::span<const Message> messages) {
  for (const Message& message : messages) {
    if (message.content.empty()) continue;
    for (size_t at = 0; (at = complaint.find(message.content, at)) != std::string::npos; at += 3)
      complaint.replace(at, message.content.size(), "...");
  }
  return complaint;
}

}  // namespace

struct Tokenizer::State {
  std::filesystem::path folder;
  TokenizerFiles files;
  bridge::TokenizerHandle handle;
  bridge::TemplateHandle chat_template;
  std::vector<AddedToken> added;
  std::unordered_set<int64_t> special_ids;

  Json added_tokens_json() const {
    mm_string json;
    bridge::check(mm_tokenizer_added_tokens(handle.get(), &json));
    return Json::parse(bridge::take(json));
  }

  void index_added_tokens() {
    added.clear();
    special_ids.clear();
    for (const Json& token : added_tokens_json()) {
      added.push_back({token["id"].get<int64_t>(), token["content"].get<std::string>(), token["special"].get<bool>()});
      if (added.back().special) special_ids.insert(added.back().id);
    }
  }

  int64_t add_token(std::string_view content, const mm_token_flags& flags) {
    int64_t id = 0;
    bridge::check(mm_tokenizer_add_token(handle.get(), bridge::lend(content), flags, &id));
    return id;
  }

  /// Tokens that only tokenizer_config.json or special_tokens_map.json name, in the order in which transformers adds them.
  void add_tokens_of_config() {
    std::unordered_map<std::string, mm_token_flags> known;
    for (const Json& token : added_tokens_json()) known.emplace(token["content"].get<std::string>(), flags_of(token));
    for (const auto& [id, token] : files.added_tokens()) {
      const std::string content = token["content"].get<std::string>();
      const mm_token_flags flags = flags_of(token);
      const auto present = known.find(content);
      if (present != known.end() && same_flags(present->second, flags)) continue;
      add_token(content, flags);
      known[content] = flags;
    }
    const auto add_special = [&](const std::string& content) {
      if (known.contains(content)) return;
      const mm_token_flags flags{.normalized = false, .special = true};
      add_token(content, flags);
      known[content] = flags;
    };
    for (const auto& [name, content] : files.named) add_special(content);
    for (const std::string& content : files.additional) add_special(content);
  }

  std::optional<int64_t> named_id(const char* name) const {
    const auto token = files.named.find(name);
    if (token == files.named.end()) return std::nullopt;
    int64_t id = -1;
    bridge::check(mm_tokenizer_token_id(handle.get(), bridge::lend(token->second), &id));
    if (id < 0) return std::nullopt;
    return id;
  }

  /// tokenizer.json is not what the library expects.
  UserError broken_file(const std::string& found) const {
    return UserError(
        "the tokenizer cannot be read",
        {.where = (folder / "tokenizer.json").string(), .found = found, .fix = "copy the file again from where the model comes from"});
  }

  mm_encoding encode(std::string_view text, bool add_special_tokens, bool with_offsets) const {
    mm_encoding encoding;
    try {
      bridge::check(mm_tokenizer_encode(handle.get(), bridge::lend(text), add_special_tokens, with_offsets, &encoding));
    } catch (const bridge::Failure& failure) {
      throw UserError("the text cannot be tokenized", {.found = failure.message, .fix = "store the text as UTF-8"});
    } catch (const bridge::Panic& panic) {
      throw broken_file(panic.what());
    }
    return encoding;
  }
};

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Tokenizer Tokenizer::load(const std::filesystem::path& folder) {
  const auto file = folder / "tokenizer.json";
  if (!std::filesystem::exists(file))
    throw UserError("the tokenizer is missing",
                    {.where = folder.string(),
                     .found = "no tokenizer.json",
                     .fix = "name a folder with a fast tokenizer; one of vocab.json and merges.txt alone becomes one by Python's "
                            "AutoTokenizer.from_pretrained(...).save_pretrained(...)"});
  auto state = std::make_unique<State>();
  state->folder = folder;
  state->files = TokenizerFiles::read(folder);
  const std::string json = read_file(file);
  mm_tokenizer* handle = nullptr;
  try {
    bridge::check(mm_tokenizer_from_json(bridge::lend(json), &handle));
    state->handle.reset(handle);
    state->add_tokens_of_config();
  } catch (const bridge::Failure& failure) {
    throw state->broken_file(failure.message);
  } catch (const bridge::Panic& panic) {
    throw state->broken_file(panic.what());
  } catch (const UserError& error) {
    throw error.at((folder / "tokenizer_config.json").string());
  } catch (const Json::exception& error) {
    throw UserError("the tokenizer's settings cannot be read", {.where = (folder / "tokenizer_config.json").string(),
                                                                .found = error.what(),
                                                                .fix = "copy the file again from where the model comes from"});
  }
  if (state->files.chat_template) {
    mm_template* chat_template = nullptr;
    try {
      bridge::check(mm_template_compile(bridge::lend(*state->files.chat_template), &chat_template));
    } catch (const bridge::Failure& failure) {
      throw UserError("the chat template cannot be read", {.where = state->files.chat_template_file.string(),
                                                           .found = failure.message,
                                                           .fix = "copy the file again from where the model comes from"});
    }
    state->chat_template.reset(chat_template);
  }
  state->index_added_tokens();
  return Tokenizer(std::move(state));
}

int64_t Tokenizer::size() const {
  size_t size = 0;
  bridge::check(mm_tokenizer_size(state_->handle.get(), &size));
  return static_cast<int64_t>(size);
}

int64_t Tokenizer::max_id() const {
  int64_t id = -1;
  bridge::check(mm_tokenizer_max_id(state_->handle.get(), &id));
  return id;
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  const mm_encoding encoding = state_->encode(text, add_special_tokens, false);
  std::vector<int64_t> ids(encoding.ids, encoding.ids + encoding.size);
  mm_encoding_free(encoding);
  return ids;
}

TokensWithOffsets Tokenizer::encode_with_offsets(std::string_view text) const {
  const mm_encoding encoding = state_->encode(text, false, true);
  TokensWithOffsets tokens{.ids = {encoding.ids, encoding.ids + encoding.size},
                           .starts = {encoding.starts, encoding.starts + encoding.size},
                           .ends = {encoding.ends, encoding.ends + encoding.size}};
  mm_encoding_free(encoding);
  return tokens;
}

std::string Tokenizer::decode(std::span<const int64_t> ids, bool skip_special_tokens) const {
  std::vector<uint32_t> narrow;
  narrow.reserve(ids.size());
  for (int64_t id : ids)
    if (id >= 0 && id <= std::numeric_limits<uint32_t>::max()) narrow.push_back(static_cast<uint32_t>(id));
  mm_string text;
  bridge::check(mm_tokenizer_decode(state_->handle.get(), narrow.data(), narrow.size(), skip_special_tokens, &text));
  return bridge::take(text);
}

std::optional<int64_t> Tokenizer::token_id(std::string_view token) const {
  int64_t id = -1;
  bridge::check(mm_tokenizer_token_id(state_->handle.get(), bridge::lend(token), &id));
  if (id < 0) return std::nullopt;
  return id;
}

std::string Tokenizer::token(int64_t id) const {
  mm_string text;
  try {
    if (id < 0 || id > std::numeric_limits<uint32_t>::max()) throw bridge::Failure{fmt::format("no token has the id {}", id)};
    bridge::check(mm_tokenizer_token(state_->handle.get(), static_cast<uint32_t>(id), &text));
  } catch (const bridge::Failure& failure) {
    throw UserError(failure.message, {.where = state_->folder.string(), .found = fmt::format("{} ids, from 0 on", size())});
  }
  return bridge::take(text);
}

bool Tokenizer::is_special(int64_t id) const {
  return state_->special_ids.contains(id);
}

const std::vector<AddedToken>& Tokenizer::added_tokens() const {
  return state_->added;
}

int64_t Tokenizer::add_special_token(std::string_view token) {
  const auto present = std::find_if(state_->added.begin(), state_->added.end(), [&](const AddedToken& a) { return a.content == token; });
  if (present != state_->added.end() && present->special) return present->id;
  int64_t id = 0;
  try {
    id = state_->add_token(token, {.normalized = false, .special = true});
  } catch (const bridge::Failure& failure) {
    throw UserError("the token cannot be added to the tokenizer", {.found = failure.message});
  }
  state_->files.additional.emplace_back(token);
  state_->index_added_tokens();
  Json& config = state_->files.config;
  if (config.contains("added_tokens_decoder"))
    config["added_tokens_decoder"][std::to_string(id)] = {{"content", token}, {"lstrip", false},      {"normalized", false},
                                                          {"rstrip", false},  {"single_word", false}, {"special", true}};
  return id;
}

bool Tokenizer::has_chat_template() const {
  return state_->chat_template != nullptr;
}

std::string Tokenizer::apply_chat_template(std::span<const Message> messages, bool add_generation_prompt, const std::string& today) const {
  if (!has_chat_template())
    throw UserError("the tokenizer has no chat template",
                    {.where = state_->folder.string(),
                     .found = "neither chat_template.jinja nor `chat_template` in tokenizer_config.json",
                     .fix = "use the model's chat variant (Instruct), or put its chat_template.jinja into the folder"});
  Json context = {{"messages", Json::array()}, {"add_generation_prompt", add_generation_prompt}};
  for (const Message& message : messages) context["messages"].push_back({{"role", message.role}, {"content", message.content}});
  for (const auto& [name, content] : state_->files.named) context[name] = content;
  mm_string text;
  try {
    const std::string json = context.dump();
    bridge::check(mm_template_render(state_->chat_template.get(), bridge::lend(json), bridge::lend(today.empty() ? now() : today), &text));
  } catch (const bridge::Failure& failure) {
    throw UserError("the chat template refuses the conversation",
                    {.where = state_->files.chat_template_file.string(),
                     .found = without_contents(failure.message, messages),
                     .fix = "give the conversation the roles and the order that the template asks for"});
  } catch (const Json::exception&) {
    throw UserError("the conversation is not valid UTF-8", {.fix = "store the text as UTF-8"});
  }
  return bridge::take(text);
}

std::optional<int64_t> Tokenizer::eos_token_id() const {
  return state_->named_id("eos_token");
}
std::optional<int64_t> Tokenizer::pad_token_id() const {
  return state_->named_id("pad_token");
}
std::optional<int64_t> Tokenizer::bos_token_id() const {
  return state_->named_id("bos_token");
}

std::string Tokenizer::fingerprint() const {
  std::string all = sha256_of_file(state_->folder / "tokenizer.json") + "\n" + state_->added_tokens_json().dump() + "\n";
  for (const auto& [name, content] : state_->files.named) all += name + "=" + content + "\n";
  return sha256(all + state_->files.chat_template.value_or(""));
}

bool Tokenizer::asks_for_the_date() const {
  return state_->files.chat_template && state_->files.chat_template->find("strftime_now") != std::string::npos;
}

const std::filesystem::path& Tokenizer::folder() const {
  return state_->folder;
}

void Tokenizer::save(const std::filesystem::path& folder) const {
  std::filesystem::create_directories(folder);
  mm_string json;
  bridge::check(mm_tokenizer_to_json(state_->handle.get(), &json));
  write_file_atomic(folder / "tokenizer.json", bridge::take(json));
  state_->files.write(folder);
}

void train_byte_level_bpe(std::span<const std::string> texts, int64_t vocab_size, const std::filesystem::path& folder) {
  std::vector<mm_text> lent;
  for (const std::string& text : texts) lent.push_back(bridge::lend(text));
  const mm_text special[] = {bridge::lend("<|endoftext|>"), bridge::lend("<|im_start|>"), bridge::lend("<|im_end|>")};
  mm_string json;
  try {
    bridge::check(mm_train_byte_level_bpe(lent.data(), lent.size(), special, std::size(special),
                                          static_cast<size_t>(std::max<int64_t>(vocab_size, 0)), &json));
  } catch (const bridge::Failure& failure) {
    throw UserError("the tokenizer cannot be trained", {.found = failure.message});
  }
  std::filesystem::create_directories(folder);
  write_file_atomic(folder / "tokenizer.json", bridge::take(json));
  TokenizerFiles files;
  files.config = {{"clean_up_tokenization_spaces", false}, {"model_max_length", 32768}, {"tokenizer_class", "PreTrainedTokenizerFast"}};
  files.named = {{"eos_token", "<|im_end|>"}, {"pad_token", "<|endoftext|>"}};
  files.chat_template = kChatMlTemplate;
  files.write(folder);
}

}  // namespace multimeditron
