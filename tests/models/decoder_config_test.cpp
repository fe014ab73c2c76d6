#include "models/language/decoder_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/language/causal_lm.h"
#include "models/multimodal/checkpoint_config.h"

namespace multimeditron {
namespace {

Json llama() {
  return Json::parse(R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "vocab_size": 99,
                         "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "tie_word_embeddings": false})");
}

Json with(Json json, const char* changes) {
  json.update(Json::parse(changes));
  return json;
}

int64_t count_parameters(const Json& json) {
  CausalLm llm(read_decoder_config(json, "config.json"));
  int64_t count = 0;
  llm.visit("", [&](const std::string&, const Parameter& parameter) { count += parameter.role != Role::kLearnt ? 0 : parameter.numel(); });
  return count;
}

/// The published models, from the values of their config.json alone. The counts are those of their model cards' files.
TEST(DecoderConfig, GivesThePublishedModelsParameterCounts) {
  const Json scaling = Json::parse(R"({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                       "original_max_position_embeddings": 8192})");
  const Json qwen3 = Json::parse(R"({"model_type": "qwen3", "hidden_size": 2560, "num_hidden_layers": 36, "num_attention_heads": 32,
      "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 9728, "vocab_size": 151936, "tie_word_embeddings": true,
      "rope_theta": 5000000, "rope_scaling": null, "rms_norm_eps": 1e-06, "hidden_act": "silu", "attention_bias": false,
      "use_sliding_window": false, "sliding_window": null, "max_window_layers": 36, "max_position_embeddings": 262144})");
  Json llama31 = Json::parse(R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": false, "rope_theta": 500000.0,
      "rms_norm_eps": 1e-05, "hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "pretraining_tp": 1})");
  Json apertus = Json::parse(R"({"model_type": "apertus", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
      "num_key_value_heads": 8, "intermediate_size": 21504, "vocab_size": 131072, "tie_word_embeddings": false, "rope_theta": 12000000,
      "rms_norm_eps": 1e-05, "hidden_act": "xielu", "attention_bias": false, "mlp_bias": false, "qk_norm": true, "post_norm": false})");
  llama31["rope_scaling"] = apertus["rope_scaling"] = scaling;
  const Json smollm2 = Json::parse(R"({"model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
      "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152, "tie_word_embeddings": true, "rope_theta": 100000,
      "rms_norm_eps": 1e-05, "rope_interleaved": false})");
  EXPECT_EQ(count_parameters(qwen3), 4022468096);
  EXPECT_EQ(count_parameters(llama31), 8030261248);
  EXPECT_EQ(count_parameters(apertus), 8053338176);
  EXPECT_EQ(count_parameters(smollm2), 134515008);
}

TEST(DecoderConfig, ReadsRopeWhereBothVersionsOfTransformersWriteIt) {
  const char* values =
      R"("rope_type": "llama3", "factor": 3.0, "low_freq_factor": 1.5, "high_freq_factor": 5.0, "original_max_position_embeddings": 77)";
  const Json old = with(llama(), fmt::format(R"({{"rope_theta": 777.0, "rope_scaling": {{{}}}}})", values).c_str());
  const Json recent = with(llama(), fmt::format(R"({{"rope_parameters": {{"rope_theta": 777.0, {}}}}})", values).c_str());
  for (const Json& json : {old, recent}) {
    const DecoderConfig config = read_decoder_config(json, "config.json");
    EXPECT_EQ(config.rope_theta, 777);
    ASSERT_TRUE(config.rope_scaling);
    EXPECT_EQ(config.rope_scaling->factor, 3);
    EXPECT_EQ(config.rope_scaling->low_freq_factor, 1.5);
    EXPECT_EQ(config.rope_scaling->high_freq_factor, 5);
    EXPECT_EQ(config.rope_scaling->original_max_position_embeddings, 77);
  }
  EXPECT_FALSE(read_decoder_config(llama(), "config.json").rope_scaling);
}

TEST(DecoderConfig, ApertusHasItsOwnDefaults) {
  const DecoderConfig config = read_decoder_config(with(llama(), R"({"model_type": "apertus"})"), "config.json");
  EXPECT_EQ(config.rope_theta, 12e6);
  EXPECT_TRUE(config.rope_scaling);
}

TEST(DecoderConfig, WindowsFollowTheConfig) {
  const auto windows = [](const char* changes) { return read_decoder_config(with(llama(), changes), "config.json").layer_windows; };
  using Windows = std::vector<int64_t>;
  EXPECT_EQ(windows(R"({"model_type": "mistral"})"), (Windows{4096, 4096}));
  EXPECT_EQ(windows(R"({"model_type": "mistral", "sliding_window": null})"), Windows{});
  EXPECT_EQ(windows(R"({"model_type": "mistral", "sliding_window": 9})"), (Windows{9, 9}));
  EXPECT_EQ(windows(R"({"model_type": "qwen2", "sliding_window": 9, "max_window_layers": 0})"), Windows{});
  EXPECT_EQ(windows(R"({"model_type": "qwen2", "use_sliding_window": true, "sliding_window": 9, "max_window_layers": 1})"),
            (Windows{0, 9}));
  EXPECT_EQ(windows(R"({"model_type": "qwen3", "use_sliding_window": true, "sliding_window": 9,
                        "layer_types": ["sliding_attention", "full_attention"]})"),
            (Windows{9, 0}));
}

/// The attachment token's row comes behind those that a negative id was counted in.
TEST(DecoderConfig, ANegativePadTokenStaysItsRowInALargerVocabulary) {
  ModelConfig config;
  config.llm = read_decoder_config(with(llama(), R"({"pad_token_id": -1})"), "config.json");
  EXPECT_EQ(config.llm.pad_token_id, 98);
  config.llm.vocab_size = 100;
  const Tokenizer tokenizer = Tokenizer::load(std::filesystem::path(TEST_DATA) / "case_qwen3_clip/llm/qwen3");
  EXPECT_EQ(read_decoder_config(write_checkpoint_config(config, "float32", tokenizer), "config.json").pad_token_id, 98);
}

struct Mistake {
  const char* changes;
  std::vector<std::string> parts;  ///< of the message
};

TEST(DecoderConfig, WhatIsNotComputedIsRefused) {
  const std::vector<Mistake> mistakes{
      {R"({"model_type": "gpt_neox"})", {"not known", "model_type", "gpt_neox", "apertus, llama, mistral, qwen2 or qwen3"}},
      {R"({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})", {"rope_scaling.rope_type", "yarn", "default or llama3"}},
      {R"({"rope_scaling": {"type": "linear", "factor": 4.0}})", {"rope_scaling.rope_type", "linear"}},
      {R"({"rope_parameters": {"rope_type": "default", "mrope_section": [1, 2]}})", {"rope_parameters.mrope_section", "[1,2]"}},
      {R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})", {"rope_parameters.full_attention"}},
      {R"({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}})", {"partial_rotary_factor", "0.5"}},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4}})",
       {"rope_scaling.original_max_position_embeddings", "nothing"}},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 0, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 8}})",
       {"rope_scaling.factor", "0", "positive"}},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4, "original_max_position_embeddings": 8}})",
       {"rope_scaling.high_freq_factor", "more than low_freq_factor, 4"}},
      {R"({"rope_scaling": {"rope_type": "llama3", "factor": "eight"}})", {"rope_scaling", "factor", "eight", "a number"}},
      {R"({"rope_theta": -1})", {"rope_theta", "-1"}},
      {R"({"hidden_act": "gelu"})", {"hidden_act", "gelu", "silu"}},
      {R"({"model_type": "apertus", "hidden_act": "silu"})", {"hidden_act", "silu", "xielu"}},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})", {"quantization_config", "gptq", "float32"}},
      {R"({"head_dim": 7})", {"head_dim", "7", "even"}},
      {R"({"num_key_value_heads": 3})", {"num_key_value_heads", "3", "divisor of the 4"}},
      {R"({"model_type": "qwen2", "use_sliding_window": true, "layer_types": ["full_attention", "chunked_attention"]})",
       {"layer_types.1", "chunked_attention"}},
      {R"({"model_type": "qwen2", "use_sliding_window": true, "layer_types": ["full_attention"]})", {"layer_types", "2 names"}},
      {R"({"hidden_size": "wide"})", {"hidden_size", "wide", "positive integer"}},
      {R"({"hidden_size": null})", {"hidden_size", "lacks"}},
  };
  for (const Mistake& mistake : mistakes) {
    try {
      read_decoder_config(with(llama(), mistake.changes), "folder/config.json");
      ADD_FAILURE() << mistake.changes << " was accepted";
    } catch (const UserError& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("folder/config.json"), std::string::npos) << text;
      for (const std::string& part : mistake.parts) EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << text;
    }
  }
}

}  // namespace
}  // namespace multimeditron
