#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/hash.h"
#include "checkpoint/manifest.h"
#include "cli/program.h"
#include "generation/npy_array.h"
#include "generation/parity_case.h"

namespace multimeditron {
namespace {

using testing::ParityCase;
using testing::run;

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << "no \"" << part << "\" in:\n" << text;
}

struct Inspect : ::testing::Test {
  testing::Result inspect(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "inspect");
    return run(arguments, {"CASE_ROOT=" + parity.root.string(), "OUT=unused"});
  }

  const ParityCase parity{"case_qwen3_clip"};
  const std::string recipe = (parity.folder / "end2end.yaml").string();
};

TEST_F(Inspect, ShowsWhatIsTrainedWithoutColours) {
  const auto result = inspect({"--config", recipe, "--index", "0"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  expect_parts(result.out, {"row 0", "data/arrow/data-00000-of-00002.arrow", "172 tokens, 65 trained (38 %), 2 images",
                            "image 1: 51 x 77 pixels", "<|im_start|>user\n[image 1: 9 embeddings]\n", "[image 2: 9 embeddings]",
                            "<|im_end|>\n\xe2\x9f\xa6<|im_start|>assistant\xe2\x8f\x8e\n", "not trained"});
}

TEST_F(Inspect, SaysThatARowWithoutAnAnswerIsABadSampleForTraining) {
  const TemporaryFolder folder;
  std::ofstream(folder / "rows.jsonl") << R"({"conversations": [{"role": "user", "content": "nobody answers"}]})"
                                       << "\n";
  const std::string data = "datasets.0.packed_path=" + (folder / "rows.jsonl").string();
  const auto shown = inspect({"--config", recipe, "--index", "0", data});
  EXPECT_EQ(shown.code, 0) << shown.err;
  expect_parts(shown.out, {"0 trained", "a bad sample for training: the conversation has no assistant turn"});
  const auto json = inspect({"--config", recipe, "--index", "0", "--json", data});
  EXPECT_EQ(lines_of(json.out).at(0).at("bad_sample"), "the conversation has no assistant turn");
}

TEST_F(Inspect, TextNeedsNoWeights) {
  // The same folder without a single weight.
  const TemporaryFolder folder;
  for (const char* part : {"llm", "vision", "cases", "data"})
    std::filesystem::copy(parity.root / part, folder / part, std::filesystem::copy_options::recursive);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path()))
    if (entry.path().filename() == "model.safetensors") std::filesystem::resize_file(entry.path(), 0);
  const auto check = [&](const std::vector<std::string>& extra) {
    std::vector<std::string> command{
        "env",   "-C", folder.path().string(), PROGRAM, "inspect", "--config", "cases/qwen3_clip/alignment.yaml", "base_model=null",
        "--json"};
    command.insert(command.end(), extra.begin(), extra.end());
    return testing::run_command(command, {"CASE_ROOT=" + folder.path().string(), "OUT=unused"});
  };
  EXPECT_EQ(check({}).code, 0);
  EXPECT_EQ(check({"--forward"}).code, 2);
}

TEST_F(Inspect, RowsThatDoNotExistAreNamed) {
  const auto result = inspect({"--config", recipe, "--index", "20"});
  EXPECT_EQ(result.code, 2);
  expect_parts(result.err, {"no such row", "20 rows"});
  const auto clipped = inspect({"--config", recipe, "--index", "18", "--count", "5", "--json"});
  EXPECT_EQ(clipped.code, 0);
  EXPECT_EQ(lines_of(clipped.out).size(), 2u);
}

TEST_F(Inspect, ABadRowAmongOthersIsShownInItsPlace) {
  const TemporaryFolder folder;
  std::ofstream(folder / "data.jsonl") << R"({"text": "one effusion", "modalities": []})"
                                       << "\n"
                                       << R"({"text": "two <|reserved_special_token_0|>", "modalities": []})"
                                       << "\n"
                                       << R"({"text": "three", "modalities": []})"
                                       << "\n";
  const std::string data = "datasets.0.packed_path=" + (folder / "data.jsonl").string();
  const auto result = inspect({"--config", recipe, data, "--count", "3", "--json"});
  EXPECT_EQ(result.code, 2);
  const auto lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["text"], "one effusion");
  EXPECT_EQ(lines[1]["index"], 1);
  expect_parts(lines[1]["error"], {"data.jsonl", "images and attachment tokens do not match"});
  EXPECT_EQ(lines[2]["text"], "three");
  EXPECT_EQ(inspect({"--config", recipe, data, "--index", "1"}).code, 2);
}

TEST_F(Inspect, AnImageThroughAProcessorAlone) {
  const TemporaryFolder folder;
  const auto result =
      inspect({"--image", "data/jsonl/images/000.png", "--processor", "vision/clip", "--json", "--dump", folder.path().string()});
  EXPECT_EQ(result.code, 0) << result.err;
  const Json line = lines_of(result.out).front();
  EXPECT_EQ(line["size"], parity.expected["images"][0]["decoded_size"]);
  EXPECT_EQ(line["rgb_sum"], parity.expected["images"][0]["decoded_rgb_sum"]);
  EXPECT_EQ(line["rgb_sha256"].get<std::string>().size(), 64u);
  const auto pixels = testing::read_npy(folder / "pixel_values.npy");
  EXPECT_EQ(pixels.shape, (std::vector<int64_t>{1, 3, 48, 48}));
  EXPECT_NEAR(pixels.values[0], parity.expected["images"][0]["pixel_values"]["first"][0].get<double>(), 1e-6);
  EXPECT_EQ(inspect({"--image", "no.png", "--processor", "vision/clip"}).code, 2);
  // Of a run, its newest checkpoint's.
  std::filesystem::create_directories(folder / "run");
  std::filesystem::copy(parity.root / "vision/clip", folder / "run/checkpoint-7", std::filesystem::copy_options::recursive);
  seal_folder(folder / "run/checkpoint-7", 7);
  const auto of_run = inspect({"--image", "data/jsonl/images/000.png", "--processor", folder / "run", "--json"});
  EXPECT_EQ(of_run.code, 0) << of_run.err;
  EXPECT_EQ(lines_of(of_run.out).front(), line);
}

TEST_F(Inspect, ConversationsComeLineByLineNoneLeftOut) {
  const TemporaryFolder folder;
  std::ofstream(folder / "c.jsonl") << R"({"messages": [{"role": "user", "content": "<|reserved_special_token_0|>where?"},)"
                                    << R"( {"role": "assistant", "content": "here"}]})"
                                    << "\n"
                                    << R"({"messages": [{"role": "user"}]})"
                                    << "\n"
                                    << R"({"messages": [{"role": "user", "content": "alone"}]})"
                                    << "\n";
  const std::vector<std::string> arguments{
      "--conversations", (folder / "c.jsonl").string(), "--tokenizer", "llm/qwen3", "--tokenizer-type", "qwen3"};
  auto with = [&](std::vector<std::string> extra) {
    extra.insert(extra.begin(), arguments.begin(), arguments.end());
    return inspect(extra);
  };
  const auto result = with({"--json", "--embeddings-per-image", "3"});
  EXPECT_EQ(result.code, 2);  // the second is no conversation
  const auto lines = lines_of(result.out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0]["text"], "<|im_start|>user\n<|reserved_special_token_0|>where?<|im_end|>\n<|im_start|>assistant\nhere<|im_end|>\n");
  const auto range = lines[0]["image_ranges"][0].get<std::vector<int64_t>>();
  EXPECT_EQ(range[1] - range[0], 3);
  for (int64_t t = range[0]; t < range[1]; ++t) {
    EXPECT_EQ(lines[0]["input_ids"][t], parity.expected["attachment_token_id"]);
    EXPECT_EQ(lines[0]["labels"][t], -100);
  }
  expect_parts(lines[1]["error"], {"line 2", "content"});
  EXPECT_EQ(lines[2]["image_ranges"], Json::array());

  const auto prompt = lines_of(with({"--json", "--add-generation-prompt"}).out);
  EXPECT_TRUE(prompt[2]["text"].get<std::string>().ends_with("alone<|im_end|>\n<|im_start|>assistant\n"));
  for (const Json& label : prompt[2]["labels"]) EXPECT_EQ(label, -100);
}

TEST_F(Inspect, ControlCharactersOfTheDataDoNotReachTheTerminal) {
  const TemporaryFolder folder;
  std::ofstream(folder / "data.jsonl") << R"({"text": "a\u001b]0;title\u0007 \u009b31m b", "modalities": []})"
                                       << "\n";
  const auto result = inspect({"--config", recipe, "datasets.0.packed_path=" + (folder / "data.jsonl").string()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(result.out.find('\x07'), std::string::npos);
  EXPECT_EQ(result.out.find("\xc2\x9b"), std::string::npos);
  expect_parts(result.out, {"\xe2\x90\x9b]0;title"});
}

/// The data block of a page that `inspect --html` wrote.
Json page_data(const std::filesystem::path& file) {
  const std::string page = testing::content_of(file), tag = "<script type=\"application/json\" id=\"samples-data\">";
  const size_t start = page.find(tag) + tag.size();
  EXPECT_EQ(page.find("@@"), std::string::npos);
  for (const char* outside : {"https://", "src=\"http", "url(http"}) EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  return Json::parse(page.substr(start, page.find("</script>", start) - start));
}

/// What a sample of the page must have in common with the line that `--json` prints for it.
void expect_same_sample(const Json& sample, const Json& line) {
  std::vector<int64_t> ids;
  std::string text;
  int64_t learnt = 0;
  size_t image = 0;
  const auto kinds = sample["kinds"].get<std::string>();
  ASSERT_EQ(kinds.size(), sample["ids"].size());
  ASSERT_EQ(kinds.size(), sample["texts"].size());
  for (size_t i = 0; i < kinds.size(); ++i) {
    const auto id = sample["ids"][i].get<int64_t>();
    int64_t times = 1;
    if (kinds[i] == 'A') {
      const Json& range = line["image_ranges"][image++];
      EXPECT_EQ(range[0].get<size_t>(), ids.size());
      times = range[1].get<int64_t>() - range[0].get<int64_t>();
      text += "<|reserved_special_token_0|>";
    } else {
      EXPECT_EQ(kinds[i] == 'L' || kinds[i] == 'S', line["labels"][ids.size()].get<int64_t>() != -100);
      learnt += kinds[i] == 'L' || kinds[i] == 'S';
      text += sample["texts"][i].get<std::string>();
    }
    ids.insert(ids.end(), static_cast<size_t>(times), id);
  }
  EXPECT_EQ(ids, line["input_ids"].get<std::vector<int64_t>>());
  EXPECT_EQ(text, line["text"].get<std::string>());
  EXPECT_EQ(sample["trained"].get<int64_t>(), learnt);
  EXPECT_EQ(sample["tokens"].get<size_t>(), ids.size());
}

TEST_F(Inspect, AnHtmlPageShowsTheTokensAndImagesOfARecipesRows) {
  const TemporaryFolder folder;
  const auto file = folder / "pages/samples.html";
  const auto result = inspect({"--config", recipe, "--index", "0,1,3", "--html", file.string()});
  EXPECT_EQ(result.code, 0) << result.err;
  expect_parts(result.out, {"wrote " + file.string(), "3 samples"});
  const Json data = page_data(file);
  const auto lines = lines_of(inspect({"--config", recipe, "--index", "0,1,3", "--json"}).out);
  ASSERT_EQ(data["samples"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Json& sample = data["samples"][i];
    expect_same_sample(sample, lines[i]);
    ASSERT_EQ(sample["images"].size(), lines[i]["images"].size());
    for (const Json& image : sample["images"])
      for (const char* picture : {"file", "seen"}) EXPECT_TRUE(image[picture].get<std::string>().starts_with("data:image/")) << picture;
  }
  expect_parts(data["samples"][0]["images"][0]["caption"].get<std::string>(), {"image 1: 51 x 77 pixels", "9 embeddings"});
  expect_parts(data["samples"][0]["title"].get<std::string>(), {"row 0", "data-00000-of-00002.arrow"});
}

TEST_F(Inspect, AnHtmlPageShowsConversationsAndThoseThatCannotBeUsed) {
  const TemporaryFolder folder;
  const auto text = std::filesystem::path(TEST_DATA) / "text";
  std::ofstream(folder / "c.jsonl")
      << R"({"messages": [{"role": "user", "content": "a</script><b>\u2028 \ud83d\udc69\u200d\u2695\ufe0f"}, {"role": "assistant", "content": "\u80ba\n"}]})"
      << "\nno JSON\n"
      << R"({"messages": [{"role": "user", "content": "<|reserved_special_token_0|>?"}, {"role": "assistant", "content": "No."}]})"
      << "\n";
  for (const char* kind : {"qwen3", "gemma", "phi", "mistral"}) {
    const std::vector<std::string> command{
        "--conversations", (folder / "c.jsonl").string(), "--tokenizer", (text / kind).string(), "--tokenizer-type", "auto", "--label-mask",
        "assistant"};
    auto html = command, json = command;
    html.insert(html.end(), {"--html", (folder / "c.html").string()});
    json.push_back("--json");
    EXPECT_EQ(inspect(html).code, 2) << "a line cannot be used";
    const Json data = page_data(folder / "c.html");
    const auto lines = lines_of(inspect(json).out);
    ASSERT_EQ(data["samples"].size(), 3u);
    expect_same_sample(data["samples"][0], lines[0]);
    expect_same_sample(data["samples"][2], lines[2]);
    expect_parts(data["samples"][1]["error"].get<std::string>(), {"no conversation", "no JSON"});
    expect_parts(data["subtitle"].get<std::string>(), {"label_mask: assistant", kind});
  }
}

TEST_F(Inspect, TheHtmlPageAndJsonExcludeEachOther) {
  const auto result = inspect({"--config", recipe, "--html", "x.html", "--json"});
  EXPECT_EQ(result.code, 2);
  expect_parts(result.err, {"`--html` and `--json`"});
}

}  // namespace
}  // namespace multimeditron
