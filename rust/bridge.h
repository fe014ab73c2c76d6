#pragma once

/// C ABI of the Rust crate `multimeditron_bridge`: Hugging Face tokenizers and Jinja chat templates.
/// A call returns 0, or 1 (a failure) or 2 (a panic inside Rust, caught) with the message in mm_last_error. All text is UTF-8 with its
/// size, NUL bytes included. Calls on a const handle may run on many threads at once.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mm_tokenizer mm_tokenizer;
typedef struct mm_template mm_template;

/// Text lent by the caller for the time of the call.
typedef struct {
  const char* data;
  size_t size;
} mm_text;

/// Text owned by Rust; give it back with mm_string_free.
typedef struct {
  char* data;
  size_t size;
  size_t capacity;
} mm_string;

/// Token ids with, where asked for, the byte range of each in the text (else null); give it back with mm_encoding_free.
typedef struct {
  uint32_t* ids;
  size_t* starts;
  size_t* ends;
  size_t size;
} mm_encoding;

typedef struct {
  bool single_word, lstrip, rstrip, normalized, special;
} mm_token_flags;

/// The message of this thread's last failure.
void mm_last_error(mm_string* out);
void mm_string_free(mm_string string);
void mm_encoding_free(mm_encoding encoding);

/// `json`: the content of a tokenizer.json.
int32_t mm_tokenizer_from_json(mm_text json, mm_tokenizer** out);
void mm_tokenizer_free(mm_tokenizer* tokenizer);
/// Number of ids, added tokens included.
int32_t mm_tokenizer_size(const mm_tokenizer* tokenizer, size_t* out);
/// The largest id, added tokens included; -1 where there is no token. Walks the whole vocabulary.
int32_t mm_tokenizer_max_id(const mm_tokenizer* tokenizer, int64_t* out);
int32_t mm_tokenizer_encode(const mm_tokenizer* tokenizer, mm_text text, bool add_special_tokens, bool with_offsets, mm_encoding* out);
int32_t mm_tokenizer_decode(const mm_tokenizer* tokenizer, const uint32_t* ids, size_t size, bool skip_special_tokens, mm_string* out);
/// -1 where no token has that content.
int32_t mm_tokenizer_token_id(const mm_tokenizer* tokenizer, mm_text token, int64_t* out);
int32_t mm_tokenizer_token(const mm_tokenizer* tokenizer, uint32_t id, mm_string* out);
/// JSON: [{"id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"}, ...] by id.
int32_t mm_tokenizer_added_tokens(const mm_tokenizer* tokenizer, mm_string* out);
/// Adds a token, or gives the one of that content these flags; returns its id. Not while others use the tokenizer.
int32_t mm_tokenizer_add_token(mm_tokenizer* tokenizer, mm_text token, mm_token_flags flags, int64_t* out);
/// The content of its tokenizer.json, indented.
int32_t mm_tokenizer_to_json(const mm_tokenizer* tokenizer, mm_string* out);

/// Trains a byte-level BPE of Qwen's kind (NFC, GPT-4-like split); the special tokens follow the learnt vocabulary and count in `vocab_size`.
int32_t mm_train_byte_level_bpe(const mm_text* texts, size_t num_texts, const mm_text* special_tokens, size_t num_special_tokens,
                                size_t vocab_size, mm_string* out);

/// A chat template with the settings, filters and functions of transformers. No loaders, no files.
int32_t mm_template_compile(mm_text source, mm_template** out);
void mm_template_free(mm_template* template_);
/// `context_json`: the variables (messages, add_generation_prompt, bos_token, ...). `now`: "2026-11-25" or "2026-11-25 13:05:09", what
/// strftime_now sees. Work and memory are bounded by the size of the messages.
int32_t mm_template_render(const mm_template* template_, mm_text context_json, mm_text now, mm_string* out);

#ifdef __cplusplus
}
#endif
