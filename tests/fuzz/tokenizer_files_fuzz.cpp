// One of a tokenizer folder's files; the first byte says which.
#include <string>

#include "base/error.h"
#include "input_file.h"
#include "text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace multimeditron;
  if (size == 0) return 0;
  constexpr const char* kFiles[] = {"tokenizer_config.json", "special_tokens_map.json", "tokenizer.json"};
  const char* changed = kFiles[data[0] % 3];
  for (const char* name : kFiles) {
    const auto original = std::filesystem::path(TEST_DATA) / "text/qwen3" / name;
    const auto file = testing::input_folder() / name;
    if (name == changed) {
      testing::input_file(name, data + 1, size - 1);
    } else if (!std::filesystem::exists(original)) {
      std::filesystem::remove(file);
    } else {
      std::filesystem::copy_file(original, file, std::filesystem::copy_options::overwrite_existing);
    }
  }
  try {
    Tokenizer tokenizer = Tokenizer::load(testing::input_folder().path());
    tokenizer.add_special_token("<|reserved_special_token_0|>");
    const auto ids = tokenizer.encode("The lung\n\xe8\x82\xba <|im_end|> 3.5", true);
    tokenizer.decode(ids, true);
    for (const auto id : {tokenizer.eos_token_id(), tokenizer.pad_token_id(), tokenizer.bos_token_id()})
      if (id) tokenizer.token(*id);
    tokenizer.save(testing::input_folder() / "saved");
    Tokenizer::load(testing::input_folder() / "saved");
  } catch (const UserError&) {  // what a damaged file must give
  }
  return 0;
}
