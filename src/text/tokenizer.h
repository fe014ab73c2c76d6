#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace multimeditron {

/// One turn of a conversation.
struct Message {
  std::string role;
  std::string content;
};

/// A token that is found in the text before the vocabulary's own splitting.
struct AddedToken {
  int64_t id = 0;
  std::string content;
  bool special = false;  ///< a control token: left out by decode(..., skip_special_tokens)
};

/// Token ids and the byte range [starts[i], ends[i]) of the text that each comes from.
struct TokensWithOffsets {
  std::vector<int64_t> ids;
  std::vector<size_t> starts, ends;
};

/// A Hugging Face tokenizer folder (`tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`, `special_tokens_map.json`):
/// ids as the Rust `tokenizers` library gives them, chat template as transformers renders it. Const calls may run on many threads.
class Tokenizer {
 public:
  /// Throws UserError: missing or broken files.
  static Tokenizer load(const std::filesystem::path& folder);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Number of ids, added tokens included: transformers' len(tokenizer).
  int64_t size() const;
  /// The largest id, added tokens included: size() - 1 unless the ids have holes. Walks the whole vocabulary.
  int64_t max_id() const;
  /// Throws UserError where `text` is not UTF-8.
  std::vector<int64_t> encode(std::string_view text, bool add_special_tokens = false) const;
  TokensWithOffsets encode_with_offsets(std::string_view text) const;
  std::string decode(std::span<const int64_t> ids, bool skip_special_tokens = false) const;
  std::optional<int64_t> token_id(std::string_view token) const;
  /// Throws UserError where no token has that id.
  std::string token(int64_t id) const;
  bool is_special(int64_t id) const;
  /// All added tokens, special or not, by id.
  const std::vector<AddedToken>& added_tokens() const;

  /// Adds a special token where the vocabulary lacks it (its id is then size()); returns its id either way.
  int64_t add_special_token(std::string_view token);

  bool has_chat_template() const;
  /// The conversation as the tokenizer's own Jinja template renders it. `today`: "2026-11-25" style date for templates that ask for it
  /// (empty: today). Throws UserError: no template, or the template's own complaint.
  std::string apply_chat_template(std::span<const Message> messages, bool add_generation_prompt, const std::string& today = "") const;

  std::optional<int64_t> eos_token_id() const;  ///< from tokenizer_config.json
  std::optional<int64_t> pad_token_id() const;
  std::optional<int64_t> bos_token_id() const;

  /// A hash of all that ids and rendered conversations depend on: vocabulary, added tokens, chat template with its variables.
  std::string fingerprint() const;
  /// Whether the chat template may write today's date.
  bool asks_for_the_date() const;

  /// The folder that it was read from.
  const std::filesystem::path& folder() const;

  /// Writes the tokenizer's files, added tokens included, in the layout of transformers 4 and 5.
  void save(const std::filesystem::path& folder) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Trains a byte-level BPE (Qwen's kind) on `texts` and writes a tokenizer folder with a ChatML template and the special tokens
/// <|endoftext|>, <|im_start|>, <|im_end|>. `vocab_size` counts all of them and is reached unless the texts are too few. Deterministic.
void train_byte_level_bpe(std::span<const std::string> texts, int64_t vocab_size, const std::filesystem::path& folder);

}  // namespace multimeditron
