#pragma once

#include <bridge.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

namespace multimeditron::bridge {

/// What the Rust library could not do, in its words. The caller knows the file and turns it into a UserError.
struct Failure {
  std::string message;
};

/// Rust panicked, in the library or in our part of it. A damaged tokenizer.json can do that; elsewhere it is a fault of ours.
struct Panic : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Throws Failure where `code` says that the call failed, Panic where Rust panicked.
void check(int32_t code);

inline mm_text lend(std::string_view text) {
  return {text.data(), text.size()};
}

/// Copies a Rust string and gives it back.
std::string take(mm_string string);

struct TokenizerDeleter {
  void operator()(mm_tokenizer* tokenizer) const { mm_tokenizer_free(tokenizer); }
};
struct TemplateDeleter {
  void operator()(mm_template* chat_template) const { mm_template_free(chat_template); }
};
using TokenizerHandle = std::unique_ptr<mm_tokenizer, TokenizerDeleter>;
using TemplateHandle = std::unique_ptr<mm_template, TemplateDeleter>;

}  // namespace multimeditron::bridge
