#include "recipe/preprocess_recipe.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

class PreprocessRecipeTest : public testing::Test {
 protected:
  PreprocessRecipe load(const std::string& yaml, std::vector<std::string> overrides = {}) {
    std::ofstream(folder_ / "preprocess.yaml") << yaml;
    return load_preprocess_recipe(folder_ / "preprocess.yaml", overrides);
  }

  std::string mistakes(const std::string& yaml) {
    try {
      load(yaml);
    } catch (const UserError& error) {
      return error.what();
    }
    return "no mistakes";
  }

  TemporaryFolder folder_;
};

TEST_F(PreprocessRecipeTest, OursNamesSourcesAndOutput) {
  const PreprocessJob job = load(
                                "source: [a.jsonl, b]\noutput: packed\nimage_folder: images\nformat: parquet\nshard_size: 2GiB\n"
                                "workers: 3\non_bad: skip\nhead: 5\nany_text: true\n")
                                .jobs.at(0);
  EXPECT_EQ(job.sources, (std::vector<std::string>{"a.jsonl", "b"}));
  EXPECT_EQ(job.output, "packed");
  EXPECT_EQ(job.image_folder, "images");
  EXPECT_EQ(job.format, "parquet");
  EXPECT_EQ(job.shard_bytes, int64_t{2} << 30);
  EXPECT_EQ(job.workers, 3);
  EXPECT_EQ(job.on_bad, "skip");
  EXPECT_EQ(job.head, 5);
  EXPECT_TRUE(job.any_text);
}

TEST_F(PreprocessRecipeTest, TheOriginalsHydraConfiguration) {
  const PreprocessJob job = load(
                                "hydra: {searchpath: [x]}\ndefaults: [preprocess-ds, _self_]\n"
                                "source: {type: hf, kwargs: {path: org/name, split: train, revision: abc, name: ct}}\n"
                                "tokenizer: {enable: false, model: null, use_fast: true, attachment_token: <|x|>, dtype: bfloat16}\n"
                                "output: ./out/data.parquet\nnum_processes: 128\nprocesses:\n  - type: shuffle\n    kwargs: {seed: 7}\n",
                                {"num_processes=4"})
                                .jobs.at(0);
  EXPECT_EQ(job.sources, std::vector<std::string>{"org/name@abc/ct"});
  EXPECT_EQ(job.format, "parquet");
  EXPECT_EQ(job.workers, 4);
  EXPECT_EQ(job.shuffle_seed, 7);
}

TEST_F(PreprocessRecipeTest, TheOriginalsMergeInputs) {
  const auto jobs = load(
                        "base_llm: llm\nattachment_token: <|x|>\nmodalities: []\ntraining_args: {output_dir: o}\ndatasets:\n"
                        "- {jsonl_path: a.jsonl, tokenized_path: a, preprocessor_kwargs: {base_path: pictures}, num_processes: 32}\n"
                        "- {jsonl_path: b.jsonl, tokenized_path: b, registry_type: fs, num_shards: 4, shard_id: 3, check_input: true}\n")
                        .jobs;
  ASSERT_EQ(jobs.size(), 2u);
  EXPECT_EQ(jobs[0].image_folder, "pictures");
  EXPECT_EQ(jobs[0].attachment_token, "<|x|>");
  EXPECT_EQ(jobs[0].workers, 32);
  EXPECT_EQ(jobs[1].num_shards, 4);
  EXPECT_EQ(jobs[1].shard_id, 3);
  EXPECT_EQ(jobs[1].on_bad, "skip");
}

TEST_F(PreprocessRecipeTest, WhatCannotBeDoneIsToldAllAtOnce) {
  const std::string text = mistakes(
      "source: {type: jsonl, kwargs: {path: a.jsonl, split: test}}\nshard_size: much\ntokenizer: {enable: true}\nouput: x\n"
      "processes:\n- {type: python, kwargs: {func: 1}}\n- {type: shufle}\n");
  for (const char* word : {"`output` is missing", "did you mean `output`?", "only the split `train`", "shard_size", "no Python is run here",
                           "tokenized ahead", "did you mean `shuffle`?", "preprocess.yaml:6"})
    EXPECT_NE(text.find(word), std::string::npos) << word << " in " << text;
  const std::string merge = mistakes("datasets: [{jsonl_path: a, registry_type: wids, num_shards: 2, shard_id: 2}]\n");
  for (const char* word : {"datasets.0.tokenized_path", "unpack the images", "choose 0 to 1"})
    EXPECT_NE(merge.find(word), std::string::npos) << word << " in " << merge;
}

TEST_F(PreprocessRecipeTest, KeysThatChangeNothingAreToldOrRefused) {
  EXPECT_NE(mistakes("source: a\noutput: b\nseed: 42\n").find("unknown key `seed`"), std::string::npos);
  EXPECT_NE(mistakes("source: a\ndatasets: [{jsonl_path: b, tokenized_path: c}]\n").find("`source` beside `datasets`"), std::string::npos);
  const auto notes = load("hydra: {}\nsource: {type: hf, kwargs: {path: a, num_proc: 4}}\noutput: b\n").notes;
  ASSERT_EQ(notes.size(), 2u);
  EXPECT_NE(notes[0].find("`hydra` is accepted, not used here"), std::string::npos) << notes[0];
  EXPECT_NE(notes[1].find("`source.kwargs.num_proc` is accepted"), std::string::npos) << notes[1];
  const PreprocessRecipe merge = load("base_llm: llm\nseed: 1\ndatasets: [{jsonl_path: a, tokenized_path: b}]\n");
  ASSERT_EQ(merge.notes.size(), 1u);
  EXPECT_NE(merge.notes[0].find("not used here: `base_llm`, `seed`"), std::string::npos) << merge.notes[0];
  EXPECT_EQ(merge.jobs[0].source_key, "datasets.0.jsonl_path");
}

TEST(ParseSize, TakesUnitsOfBothKinds) {
  EXPECT_EQ(parse_size("500MB"), 500'000'000);
  EXPECT_EQ(parse_size("1.5 GiB"), 1610612736);
  EXPECT_EQ(parse_size("20000"), 20000);
  EXPECT_EQ(parse_size("20kB"), 20000);
  for (const char* text : {"", "MB", "-1MB", "5XB", "0", "1e30GB", "nan"}) EXPECT_FALSE(parse_size(text)) << text;
}

}  // namespace
}  // namespace multimeditron
