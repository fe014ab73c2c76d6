// A chat template and a conversation, a NUL between them; of the conversation each line is a turn, its first letter the role. Whatever the
// template does, it ends soon, with a text or a UserError, and labels stay where they belong.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "input_file.h"
#include "text/prompt.h"

namespace {

using namespace multimeditron;

std::vector<Message> messages_of(std::string_view text) {
  std::vector<Message> messages;
  while (!text.empty() && messages.size() < 12) {
    const size_t end = std::min(text.find('\n'), text.size());
    const char role = text[0];
    messages.push_back({role == 'a'   ? "assistant"
                        : role == 's' ? "system"
                        : role == 't' ? "tool"
                                      : "user",
                        std::string(text.substr(std::min<size_t>(1, end), end - std::min<size_t>(1, end)))});
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return messages;
}

void check(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t border = std::min(all.find('\0'), all.size());
  const auto messages = messages_of(all.substr(std::min(border + 1, all.size())));
  static const bool copied = [] {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
      std::filesystem::copy_file(std::filesystem::path(TEST_DATA) / "text/qwen3" / name, testing::input_folder() / name);
    return true;
  }();
  check(copied);
  testing::input_file("chat_template.jinja", data, border);
  try {
    Tokenizer tokenizer = Tokenizer::load(testing::input_folder().path());
    PromptOptions options{
        .attachment_token = "<|im_start|>", .embeddings_per_image = 3, .today = "2026-11-25", .allow_no_assistant_turn = true};
    options.attachment_token_id = tokenizer.add_special_token(options.attachment_token);
    options.label_mask = LabelMask::kAssistant;
    options.chat_format = find_chat_format(tokenizer, TokenizerType::kAuto, options.label_mask, options.today);
    const EncodedText encoded = encode_conversation(tokenizer, messages, options);
    check(encoded.labels.size() == encoded.input_ids.size());
    for (size_t i = 0; i < encoded.labels.size(); ++i) check(encoded.labels[i] == -100 || encoded.labels[i] == encoded.input_ids[i]);
    for (const Message& message : messages) {
      const std::string escaped = escape_special_tokens(tokenizer, message.content);
      for (const int64_t id : tokenizer.encode(escaped)) check(!tokenizer.is_special(id));
    }
  } catch (const UserError&) {  // a template that is none, or that refuses the conversation
  }
  return 0;
}
