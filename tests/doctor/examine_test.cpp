#include "doctor/examine.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "data/sample.h"
#include "doctor/pictures.h"
#include "doctor/summary.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

const fs::path kCase = fs::path(TEST_DATA) / "case_qwen3_clip";
const std::string kToken = "<|reserved_special_token_0|>";
constexpr int64_t kEmbeddings = 9;

/// Rows held in memory; one without any content cannot be read.
class Rows : public Dataset {
 public:
  explicit Rows(std::vector<Row> rows) : rows_(std::move(rows)) {}
  int64_t size() const override { return std::ssize(rows_); }
  Row row(int64_t index) const override {
    const Row& row = rows_[static_cast<size_t>(index)];
    if (row.text == "unreadable") throw UserError("a row is not valid JSON", {.where = "byte 3 of the row"});
    return row;
  }
  std::string fingerprint() const override { return ""; }
  std::string place(int64_t index) const override { return fmt::format("rows, row {}", index); }
  fs::path folder(int64_t) const override { return kCase; }

 private:
  std::vector<Row> rows_;
};

Attachment image(const RgbImage& pixels) {
  return {.type = "image", .bytes = encode_png(pixels), .path = {}};
}

Row conversation(std::vector<Message> turns, std::vector<Attachment> images = {}) {
  return {.text = {}, .conversations = std::move(turns), .modalities = std::move(images)};
}

/// A usable row, another one for each number.
Row good(int number) {
  return conversation(
      {{"user", kToken + fmt::format("What is in image {}?", number)}, {"assistant", fmt::format("It is number {}.", number)}},
      {image(picture(static_cast<uint64_t>(number)))});
}

struct Fixture {
  Tokenizer tokenizer = Tokenizer::load(kCase / "llm/qwen3");
  RowRules rules;
  std::optional<ImageProcessor> processor = ImageProcessor::load(kCase / "vision/clip");

  Fixture() {
    rules.prompt.attachment_token = kToken;
    rules.prompt.attachment_token_id = tokenizer.add_special_token(kToken);
    rules.prompt.embeddings_per_image = kEmbeddings;
    rules.prompt.chat_format = find_chat_format(tokenizer, TokenizerType::kQwen3, LabelMask::kOriginal, "");
    rules.tokenizer = &tokenizer;
    rules.loaders = {{.loader_type = "raw-image", .modality_type = "image", .base_path = {}}};
    rules.has_loaders = true;
  }
};

const Fixture& fixture() {
  static const Fixture made;
  return made;
}

DataSetToExamine set_of(std::vector<Row> rows, const RowRules& rules = fixture().rules, bool is_test = false) {
  return {.name = is_test ? "test" : "train", .dataset = std::make_unique<Rows>(std::move(rows)), .rules = rules, .is_test = is_test};
}

Examination examine_sets(std::vector<DataSetToExamine>& sets, ExamineOptions options = {.num_threads = 2}) {
  return examine(sets, options);
}

DataSetReport examine_rows(std::vector<Row> rows, const RowRules& rules = fixture().rules) {
  std::vector<DataSetToExamine> sets;
  sets.push_back(set_of(std::move(rows), rules));
  return examine_sets(sets).data_sets.front();
}

/// What was found, by id: the rows that show it.
std::map<std::string, std::vector<int64_t>> found(const DataSetReport& report) {
  std::map<std::string, std::vector<int64_t>> result;
  for (size_t i = 0; i < kNumFindings; ++i)
    for (const FindingTally::Place& place : report.findings[i].first) result[info(static_cast<Finding>(i)).id].push_back(place.row);
  return result;
}

using Found = std::map<std::string, std::vector<int64_t>>;

const std::string kLong = [] {
  std::string text;
  for (int i = 0; i < 200; ++i) text += fmt::format("word{} ", i);
  return text;
}();

std::vector<Row> rows_with_faults() {
  std::vector<Row> rows;
  for (int i = 0; i < 6; ++i) rows.push_back(good(i));
  Attachment broken = image(picture(100));
  broken.bytes.resize(broken.bytes.size() / 2);
  const auto ask = [&](const std::string& question) { return Message{"user", question}; };
  const Message answer{"assistant", "An answer."};
  rows.push_back(conversation({ask(kToken + "broken"), answer}, {broken}));                                                  // 6
  rows.push_back(conversation({ask(kToken + "missing"), answer}, {{.type = "image", .bytes = {}, .path = "no/such.png"}}));  // 7
  rows.push_back(conversation({ask(kToken + kToken + "two"), answer}, {image(picture(101))}));                               // 8
  rows.push_back(conversation({ask("no answer")}));                                                                          // 9
  rows.push_back(conversation({ask("misspelt"), {"asistant", "An answer."}}));                                               // 10
  rows.push_back(conversation({ask("odd"), answer, {"reviewer", "Well."}, answer}));                                         // 11
  rows.push_back(conversation({ask("  \n"), answer}));                                                                       // 12
  rows.push_back(conversation({ask("not \xff UTF-8"), answer}));                                                             // 13
  rows.push_back(conversation({ask(kLong), answer}));                                                                        // 14
  rows.push_back(conversation({ask("short"), answer, ask(kLong + kToken), answer}, {image(picture(102))}));                  // 15
  rows.push_back({.text = "both", .conversations = {ask("both"), answer}, .modalities = {}});                                // 16
  rows.push_back({});                                                                                                        // 17
  rows.push_back({.text = "unreadable", .conversations = {}, .modalities = {}});                                             // 18
  rows.push_back(conversation({ask(kToken + "tiny"), answer}, {image(picture(103, 20, 90))}));                               // 19
  rows.push_back(conversation({ask(kToken + "long"), answer}, {image(picture(104, 400, 50))}));                              // 20
  rows.push_back(conversation({ask(kToken + "flat"), answer}, {image(flat_picture(0, 64, 64))}));                            // 21
  rows.push_back(conversation({ask(kToken + "a volume"), answer}, {{.type = "a missing one", .bytes = "x", .path = {}}}));   // 22
  return rows;
}

RowRules truncating() {
  RowRules rules = fixture().rules;
  rules.prompt.max_sequence_length = 60;
  return rules;
}

TEST(Examine, EachPlantedFaultIsFoundAndNothingElse) {
  const DataSetReport report = examine_rows(rows_with_faults(), truncating());
  const Found expected = {{"undecodable_image", {6}},
                          {"missing_image", {7}},
                          {"placeholders", {8}},
                          {"no_answer", {9}},
                          {"unknown_roles", {10}},
                          {"odd_role", {11}},
                          {"empty_turn", {12}},
                          {"not_utf8", {13}},
                          {"too_long", {14}},
                          {"truncated", {15}},
                          {"two_contents", {16}},
                          {"no_content", {17}},
                          {"unreadable_row", {18}},
                          {"tiny_image", {19}},
                          {"long_image",
                           {
                               20,
                           }},
                          {"flat_image", {21}},
                          {"no_loader", {22}}};
  Found with_tiny_strip = expected;
  with_tiny_strip["long_image"] = {19, 20};  // 20 x 90 is longer than four times its width, too
  EXPECT_EQ(found(report), with_tiny_strip);
  EXPECT_EQ(report.bad_rows, 11);
  EXPECT_EQ(report.examined, 23);
  EXPECT_EQ(report.lost_turns, 2);
  EXPECT_EQ(report.lost_images, 1);
}

/// Where the row's first finding of this kind is.
std::string detail_of(const DataSetReport& report, Finding finding) {
  const FindingTally& tally = report.findings[static_cast<size_t>(finding)];
  return tally.first.empty() ? "nothing" : tally.first[0].detail;
}

TEST(Examine, FindingsSayWhichFileWhichSliceAndWhy) {
  const DataSetReport faults = examine_rows(rows_with_faults());
  EXPECT_EQ(detail_of(faults, Finding::kMissingImage), "image 1: " + (kCase / "no/such.png").string());
  EXPECT_EQ(detail_of(faults, Finding::kUnreadableRow), "a row is not valid JSON (byte 3 of the row)");

  RowRules rules = fixture().rules;
  const auto asking = [&](const std::string& bytes) {
    std::vector<Row> rows;
    rows.push_back(
        conversation({{"user", kToken + "What is it?"}, {"assistant", "A scan."}}, {{.type = "image", .bytes = bytes, .path = {}}}));
    return examine_rows(std::move(rows), rules);
  };
  const std::string scan = read_file(fs::path(TEST_DATA) / "medical/ras.nii.gz");
  EXPECT_EQ(asking(scan).images.formats, (std::map<std::string, int64_t>{{"NIfTI", 1}}));
  rules.loaders = {{.loader_type = "raw-volume", .modality_type = "image", .scan = {.slice = "300"}}};
  EXPECT_NE(detail_of(asking(scan), Finding::kUndecodableImage).find("slice 300 of"), std::string::npos);

  // 12-bit values exported as 16-bit ones: the high byte is black, the window shows them.
  std::string radiograph = "P5 64 64 65535\n";
  for (int i = 0; i < 64 * 64; ++i) radiograph += {static_cast<char>(i / 64 / 16), static_cast<char>(i % 64 * 4)};
  rules.loaders = {{.loader_type = "raw-image", .modality_type = "image"}};
  EXPECT_EQ(detail_of(asking(radiograph), Finding::kFlatImage), "image 1: 16-bit grey, by its high byte");
  rules.loaders[0].scan.window = "minmax";
  EXPECT_EQ(detail_of(asking(radiograph), Finding::kFlatImage), "nothing");
  rules.loaders[0].scan.window = "lung";
  EXPECT_NE(detail_of(asking(radiograph), Finding::kUndecodableImage).find("Hounsfield"), std::string::npos);
}

TEST(Examine, BadRowsAreThoseThatTrainingLeavesOut) {
  const RowRules rules = truncating();
  std::vector<DataSetToExamine> sets;
  sets.push_back(set_of(rows_with_faults(), rules));
  const DataSetReport report = examine_sets(sets).data_sets.front();
  std::set<int64_t> bad;
  for (size_t i = 0; i < kNumFindings; ++i)
    if (info(static_cast<Finding>(i)).is_bad)
      for (const FindingTally::Place& place : report.findings[i].first) bad.insert(place.row);
  const SampleBuilder builder(*sets[0].dataset, fixture().tokenizer, rules.prompt, rules.loaders, fixture().processor);
  int64_t tokens = 0, learnt = 0;
  for (int64_t row = 0; row < builder.size(); ++row) {
    try {
      const Sample sample = builder.build(row);
      tokens += std::ssize(sample.text.input_ids);
      learnt += sample.text.learnt_tokens;
      EXPECT_FALSE(bad.contains(row)) << row;
    } catch (const UserError& error) {
      EXPECT_TRUE(bad.contains(row)) << row << " " << error.what();
    }
  }
  EXPECT_EQ(report.tokens, tokens);
  EXPECT_EQ(report.learnt_tokens, learnt);
}

TEST(Examine, RolesOfOtherChatFormatsAreNotOdd) {
  std::vector<Row> rows;
  for (const char* role : {"developer", "tool", "function", "ipython"})
    rows.push_back(conversation({{"user", "What is it?"}, {role, "A result."}, {"assistant", fmt::format("That of {}.", role)}}));
  EXPECT_EQ(found(examine_rows(rows)), Found{});
}

TEST(Examine, TheSameWithoutATokenizerButForWhatNeedsOne) {
  RowRules rules = fixture().rules;
  rules.tokenizer = nullptr;
  const DataSetReport report = examine_rows(rows_with_faults(), rules);
  const Found expected = {{"undecodable_image", {6}}, {"missing_image", {7}}, {"placeholders", {8}},    {"no_answer", {9}},
                          {"unknown_roles", {10}},    {"odd_role", {11}},     {"empty_turn", {12}},     {"not_utf8", {13}},
                          {"two_contents", {16}},     {"no_content", {17}},   {"unreadable_row", {18}}, {"tiny_image", {19}},
                          {"long_image", {19, 20}},   {"flat_image", {21}},   {"no_loader", {22}}};
  EXPECT_EQ(found(report), expected);
  EXPECT_FALSE(report.counts_tokens);
  EXPECT_EQ(report.tokens, report.lengths.mean * static_cast<double>(report.lengths.count));
}

TEST(Examine, CountsRolesTurnsImagesAndPacks) {
  std::vector<Row> rows;
  for (int i = 0; i < 4; ++i) rows.push_back(good(i));
  rows.push_back(good(1));  // repeats row 1
  rows.push_back(good(1));
  Row other = good(9);
  other.modalities = {image(picture(0))};  // row 0's image with another text
  rows.push_back(other);
  rows.push_back({.text = "A plain text.", .conversations = {}, .modalities = {}});
  std::vector<DataSetToExamine> sets;
  sets.push_back(set_of(std::move(rows)));
  sets[0].max_length = 100;
  const Examination examination = examine_sets(sets);
  const DataSetReport& report = examination.data_sets.front();
  EXPECT_TRUE(found(report).empty());
  EXPECT_EQ(report.roles, (std::map<std::string, int64_t>{{"assistant", 7}, {"user", 7}}));
  EXPECT_EQ(report.turns, (std::map<int64_t, int64_t>{{0, 1}, {2, 7}}));
  EXPECT_EQ(report.images_a_row, (std::map<int64_t, int64_t>{{0, 1}, {1, 7}}));
  EXPECT_EQ(report.images.uses, 7);
  EXPECT_EQ(report.images.different, 4);
  EXPECT_EQ(report.images.reused, 2);
  EXPECT_EQ(report.images.formats, (std::map<std::string, int64_t>{{"PNG", 4}}));
  EXPECT_EQ(report.images.sizes, (std::vector<std::pair<std::string, int64_t>>{{"96 x 80", 4}}));
  EXPECT_EQ(examination.duplicates.rows, 2);
  EXPECT_EQ(examination.duplicates.groups, 1);
  ASSERT_EQ(examination.duplicates.largest.size(), 1U);
  EXPECT_EQ(examination.duplicates.largest[0].count, 3);
  EXPECT_EQ(examination.duplicates.largest[0].first, (std::vector<RowPlace>{{0, 1}, {0, 4}, {0, 5}}));
  EXPECT_EQ(examination.duplicates.images, 2);
  // Eight rows, all shorter than half a pack: packs hold at least two, and no more than there are rows.
  EXPECT_EQ(report.max_length, 100);
  EXPECT_LT(report.lengths.max, 51);
  EXPECT_LE(report.packs, 4);
  EXPECT_NEAR(report.packing_efficiency * static_cast<double>(report.packs * 100), static_cast<double>(report.tokens), 1e-6);
}

TEST(Examine, PairsNeedOneImageAndACaptionAndImagesAnImage) {
  std::vector<Row> rows;
  const auto row = [&](std::optional<std::string> text, size_t images) {
    Row made{.text = std::move(text), .conversations = {}, .modalities = {}};
    for (size_t i = 0; i < images; ++i) made.modalities.push_back(image(picture(rows.size() * 10 + i)));
    rows.push_back(made);
  };
  row("a caption", 1);
  row(kToken + " ", 1);
  row("a caption", 2);
  row("a caption", 0);
  row(std::nullopt, 1);
  RowRules rules = fixture().rules;
  rules.use = RowUse::kPairs;
  EXPECT_EQ(found(examine_rows(rows, rules)), (Found{{"no_caption", {1, 4}}, {"num_images", {2, 3}}}));
  rules.use = RowUse::kImages;
  EXPECT_EQ(found(examine_rows(rows, rules)), (Found{{"no_image", {3}}}));
}

// One file that two loaders decode differently is judged by each; among the repeated images it is one.
TEST(Examine, EachLoadersOptionsCountForItsOwnRows) {
  RowRules strict = fixture().rules;
  strict.loaders[0].max_pixels = 100;
  for (const bool is_strict_first : {true, false}) {
    std::vector<DataSetToExamine> sets;
    sets.push_back(set_of({good(1)}, is_strict_first ? strict : fixture().rules));
    sets.push_back(set_of({good(1)}, is_strict_first ? fixture().rules : strict));
    const Examination examination = examine_sets(sets);
    EXPECT_EQ(found(examination.data_sets[is_strict_first ? 0 : 1]), (Found{{"undecodable_image", {0}}}));
    EXPECT_EQ(found(examination.data_sets[is_strict_first ? 1 : 0]), Found{});
    ASSERT_EQ(examination.duplicates.images, 1);
    EXPECT_EQ(examination.duplicates.most_shown[0].count, 2);
    EXPECT_EQ(examination.duplicates.most_shown[0].first, (std::vector<RowPlace>{{0, 0}, {1, 0}}));
  }
}

TEST(Examine, WordsOfARowDoNotDecideWhatIsWrongWithIt) {
  const auto row = [](const char* type, const char* path) {
    return conversation({{"user", kToken + "?"}, {"assistant", "An answer."}}, {{.type = type, .bytes = {}, .path = path}});
  };
  EXPECT_EQ(found(examine_rows({row("missing", "a.png"), row("image", "missing.png"), row("image", "../missing/loader.png")})),
            (Found{{"no_loader", {0}}, {"missing_image", {1}}, {"undecodable_image", {2}}}));
}

TEST(Examine, ResultsDoNotDependOnThreads) {
  std::vector<Row> rows;
  for (int i = 0; i < 200; ++i) rows.push_back(i % 7 == 0 ? conversation({{"user", "no answer"}}) : good(i % 11));
  std::vector<std::string> results;
  for (const int threads : {1, 4}) {
    std::vector<DataSetToExamine> sets;
    sets.push_back(set_of(rows));
    const Examination examination = examine_sets(sets, {.num_threads = threads});
    Json json = to_json(examination, [&](RowPlace place) { return sets[0].dataset->place(place.row); });
    json.erase("seconds");
    json["data_sets"][0].erase("seconds");
    results.push_back(json.dump());
    EXPECT_EQ(examination.data_sets[0].bad_rows, 29);  // 0, 7, ..., 196
    EXPECT_EQ(json["data_sets"][0]["findings"][0]["first"].size(), 20U);
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(Examine, ALimitDrawsRowsByItsSeed) {
  std::vector<Row> rows;
  for (int i = 0; i < 500; ++i) rows.push_back(conversation({{"user", "no answer"}}));
  const auto drawn = [&](uint64_t seed) {
    std::vector<DataSetToExamine> sets;
    sets.push_back(set_of(rows));
    const DataSetReport report = examine_sets(sets, {.limit = 20, .seed = seed, .num_threads = 2}).data_sets.front();
    EXPECT_EQ(report.examined, 20);
    EXPECT_FALSE(report.is_complete());
    return found(report)["no_answer"];
  };
  EXPECT_EQ(drawn(1), drawn(1));
  EXPECT_NE(drawn(1), drawn(2));
  EXPECT_GT(drawn(1).back(), 250);
}

TEST(Examine, AStopGivesWhatHasBeenSeen) {
  std::vector<Row> rows(400, good(1));
  std::vector<DataSetToExamine> sets;
  sets.push_back(set_of(rows));
  std::atomic<int> asked = 0;
  const Examination examination = examine_sets(sets, {.num_threads = 2, .is_stopped = [&] { return ++asked > 3; }});
  EXPECT_TRUE(examination.is_stopped);
  EXPECT_GT(examination.data_sets[0].examined, 0);
  EXPECT_LT(examination.data_sets[0].examined, 400);
  EXPECT_EQ(examination.duplicates.rows, examination.data_sets[0].examined - 1);
}

TEST(Examine, TooManyBadAreMoreThanTenAndTheShare) {
  const auto fails = [](int bad, int usable, double share) {
    std::vector<Row> rows;
    for (int i = 0; i < bad; ++i) rows.push_back(conversation({{"user", "no answer"}}));
    for (int i = 0; i < usable; ++i) rows.push_back(conversation({{"user", "question"}, {"assistant", "answer"}}));
    std::vector<DataSetToExamine> sets;
    sets.push_back(set_of(rows));
    sets[0].max_bad_samples = share;
    return has_failed(examine_sets(sets), false);
  };
  EXPECT_FALSE(fails(10, 20, 0.01));
  EXPECT_TRUE(fails(11, 20, 0.01));
  EXPECT_FALSE(fails(11, 20, 0.5));
  EXPECT_TRUE(fails(3, 0, 0.01));  // nothing is left
}

TEST(Distribution, QuantilesAndBinsAreThoseWorkedOutByHand) {
  std::vector<int64_t> values;
  for (int64_t i = 1; i <= 100; ++i) values.push_back(i);
  const Distribution of_hundred = distribution_of(values);
  EXPECT_EQ(of_hundred.count, 100);
  EXPECT_EQ(of_hundred.median, 50);
  EXPECT_EQ(of_hundred.p95, 95);
  EXPECT_EQ(of_hundred.p99, 99);
  EXPECT_EQ(of_hundred.mean, 50.5);
  // 100 values in at most 30 bins: 5 wide, from 0 to 104.
  ASSERT_EQ(of_hundred.bins.size(), 21U);
  EXPECT_EQ(of_hundred.bins[0].count, 4);
  EXPECT_EQ(of_hundred.bins[1].count, 5);
  EXPECT_EQ(of_hundred.bins[20].count, 1);
  EXPECT_EQ(of_hundred.bins[20].to, 105);
  int64_t sum = 0;
  values.push_back(1'000'000);  // far away: the last bin takes it
  for (const Distribution::Bin& bin : distribution_of(values).bins) sum += bin.count;
  EXPECT_EQ(sum, 101);
  EXPECT_EQ(distribution_of({}).count, 0);
  EXPECT_EQ(distribution_of({7, 7}).bins.size(), 1U);
}

// ---- Test data in training

Row question(const std::string& text, const std::string& answer, const std::string& bytes) {
  return conversation({{"user", kToken + text}, {"assistant", answer}}, {{.type = "image", .bytes = bytes, .path = {}}});
}

TEST(Contamination, FindsTheSameAndNearlyTheSameImagesAndTexts) {
  const std::string report = "The heart is of normal size and the lungs are clear without any focal consolidation.";
  const std::string other = "There is a small effusion on the left side and the mediastinum is not wide at all.";
  std::vector<Row> test = {
      question("What is shown?", report, encode_png(picture(1))),  // image in training as JPEG, text with another image
      question("Is it a CT?", "Yes.", encode_png(picture(2))),     // the same file and the same short text
      question("Is it an MRI?", "No.", encode_png(picture(3))),    // short text only: says nothing
      question("What is shown?", other, encode_png(picture(4))),   // nothing of it
  };
  std::vector<Row> train;
  for (int i = 10; i < 40; ++i) train.push_back(good(i));
  train.push_back(question("Something else", "entirely", encode_jpeg(picture(1), 60)));  // 30
  train.push_back(question("What can be seen here?", report, encode_png(picture(50))));  // 31
  train.push_back(question("is it a ct", "yes", encode_png(picture(2))));                // 32
  train.push_back(question("Is it an MRI?", "No.", encode_png(picture(51))));            // 33
  std::vector<DataSetToExamine> sets;
  sets.push_back(set_of(train));
  sets.push_back(set_of(test, fixture().rules, true));
  const Examination examination = examine_sets(sets);
  ASSERT_TRUE(examination.contamination.has_value());
  const Contamination& found = *examination.contamination;
  EXPECT_EQ(found.test_rows, 4);
  EXPECT_EQ(found.test_images, 4);
  EXPECT_EQ(found.comparable_texts, 2);
  EXPECT_EQ(found.exact_images, 1);
  EXPECT_EQ(found.near_images, 1);
  ASSERT_EQ(found.images.size(), 2U);
  EXPECT_EQ(found.images[0].test, (RowPlace{1, 0}));
  EXPECT_EQ(found.images[0].train, (RowPlace{0, 30}));
  EXPECT_FALSE(found.images[0].is_exact);
  EXPECT_EQ(found.images[1].test, (RowPlace{1, 1}));
  EXPECT_EQ(found.images[1].train, (RowPlace{0, 32}));
  EXPECT_TRUE(found.images[1].is_exact);
  ASSERT_EQ(found.texts.size(), 2U);
  // Question and answer of row 0 have 18 words, 11 runs of eight; 8 of them lie in the answer's 15, which training row 31 has.
  EXPECT_EQ(found.texts[0].train, (RowPlace{0, 31}));
  EXPECT_NEAR(found.texts[0].share, 8.0 / 11, 1e-12);
  EXPECT_FALSE(found.texts[0].has_same_image);
  EXPECT_EQ(found.texts[1].test, (RowPlace{1, 1}));
  EXPECT_EQ(found.texts[1].train, (RowPlace{0, 32}));
  EXPECT_TRUE(found.texts[1].has_same_image);
  EXPECT_EQ(found.rows_by_image, 2);
  EXPECT_EQ(found.rows_by_text, 2);
  EXPECT_EQ(found.rows_by_both, 1);
  EXPECT_TRUE(has_failed(examination, true));
  EXPECT_FALSE(has_failed(examination, false));
}

TEST(Contamination, OfTextsWithoutImagesShortOnesCountWhole) {
  std::vector<DataSetToExamine> sets;
  sets.push_back(set_of(
      {conversation({{"user", "Which organ?"}, {"assistant", "Liver"}}), conversation({{"user", "Which side?"}, {"assistant", "Left"}})}));
  sets.push_back(set_of({conversation({{"user", "which organ"}, {"assistant", "liver."}})}, fixture().rules, true));
  const Examination examination = examine_sets(sets);
  EXPECT_EQ(examination.contamination->rows_by_text, 1);
  EXPECT_EQ(examination.contamination->texts.at(0).train, (RowPlace{0, 0}));
}

}  // namespace
}  // namespace multimeditron::testing
