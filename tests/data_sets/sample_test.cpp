#include "data/sample.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/image_loader.h"
#include "data/loader.h"
#include "data/packer.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

const fs::path kCase = fs::path(TEST_DATA) / "case_qwen3_clip";
const char* const kToken = "<|reserved_special_token_0|>";

fs::path scratch(const std::string& name) {
  const fs::path folder = fs::path(testing::TempDir()) / ("sample_test_" + name);
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

template <typename Body>
std::string complaint(Body body) {
  try {
    body();
  } catch (const UserError& error) {
    return error.what();
  }
  return "no complaint";
}

/// What the model of the worked example brings: tokenizer, prompt options, processor.
struct Parts {
  Tokenizer tokenizer = Tokenizer::load(kCase / "llm/qwen3");
  PromptOptions prompt;
  ImageProcessor processor = ImageProcessor::load(kCase / "vision/clip");
  Parts() {
    prompt.attachment_token = kToken;
    prompt.attachment_token_id = tokenizer.add_special_token(kToken);
    prompt.embeddings_per_image = 9;
    prompt.chat_format = find_chat_format(tokenizer, TokenizerType::kQwen3, prompt.label_mask, "");
  }
  SampleBuilder builder(const Dataset& dataset, const std::string& loader_type = "raw-image", const fs::path& base = {}) const {
    return SampleBuilder(dataset, tokenizer, prompt, {{.loader_type = loader_type, .base_path = base.string()}}, processor);
  }
};

const Parts& parts() {
  static const Parts parts;
  return parts;
}

/// Rows held in memory.
class Rows : public Dataset {
 public:
  explicit Rows(std::vector<Row> rows) : rows_(std::move(rows)) {}
  int64_t size() const override { return static_cast<int64_t>(rows_.size()); }
  Row row(int64_t index) const override { return rows_[static_cast<size_t>(index)]; }
  std::string fingerprint() const override { return ""; }
  std::string place(int64_t index) const override { return fmt::format("rows, row {}", index); }

 private:
  std::vector<Row> rows_;
};

Row conversation(const std::string& question, std::vector<Attachment> modalities = {}) {
  return {.text = {}, .conversations = {{"user", question}, {"assistant", "answer"}}, .modalities = std::move(modalities)};
}

Attachment image(const char* name = "000.png") {
  return {.type = "image", .bytes = read_file(kCase / "data/jsonl/images" / name), .path = ""};
}

/// A row that fails: one image, no token.
Row bad_row() {
  return conversation("no token", {image()});
}

TEST(SampleBuilder, SamplesAreThoseOfTheWorkedExample) {
  const Json expected = read_json(kCase / "cases/qwen3_clip/expected.json");
  const auto arrow = open_dataset(kCase / "data/arrow"), json = open_dataset(kCase / "data/jsonl");
  const SampleBuilder raw = parts().builder(*arrow), files = parts().builder(*json, "fs-image");
  for (int64_t i = 0; i < arrow->size(); ++i) {
    SCOPED_TRACE(i);
    const Json& golden = expected["samples"][static_cast<size_t>(i)];
    const Sample sample = raw.build(i), same = files.build(i);
    EXPECT_EQ(sample.index, i);
    EXPECT_EQ(sample.text.input_ids, golden["input_ids"].get<std::vector<int64_t>>());
    EXPECT_EQ(sample.text.labels, golden["labels"].get<std::vector<int64_t>>());
    EXPECT_EQ(raw.length(i), static_cast<int64_t>(golden["input_ids"].size()));
    ASSERT_EQ(sample.images.size(), golden["image_ranges"].size());
    for (size_t k = 0; k < sample.images.size(); ++k) {
      EXPECT_EQ(sample.text.image_ranges[k].start, golden["image_ranges"][k][0].get<int64_t>());
      EXPECT_EQ(sample.images[k].pixel_values, same.images[k].pixel_values);
      EXPECT_EQ(sample.images[k].content_hash, same.images[k].content_hash);
    }
    EXPECT_EQ(raw.decode_images(i).size(), sample.images.size());
  }
  for (const Json& golden : expected["images"]) {
    const Sample sample = raw.build(golden["sample"]);
    const ImageInput& input = sample.images[golden["image"].get<size_t>()];
    EXPECT_EQ(input.width, golden["decoded_size"][0].get<int64_t>());
    EXPECT_NEAR(input.pixel_values[0], golden["pixel_values"]["first"][0].get<double>(), 1e-6);
  }
}

TEST(SampleBuilder, TruncatedSamplesLoseTheImagesOfTheirLostTurns) {
  Rows rows({{.text = {},
              .conversations = {{"user", std::string(kToken) + " first?"},
                                {"assistant", "One."},
                                {"user", std::string(kToken) + " second?"},
                                {"assistant", "Two."}},
              .modalities = {image("000.png"), image("002.png")}}});
  Parts shorter;
  const int64_t whole = parts().builder(rows).length(0);
  shorter.prompt.max_sequence_length = whole - 1;
  const SampleBuilder builder = shorter.builder(rows);
  const Sample sample = builder.build(0);
  ASSERT_EQ(sample.images.size(), 1u);
  EXPECT_EQ(sample.images[0].content_hash, parts().builder(rows).build(0).images[0].content_hash);
  EXPECT_LT(builder.length(0), whole);
}

TEST(SampleBuilder, BadSamplesNameRowAndReason) {
  Attachment cut = image();
  cut.bytes.resize(cut.bytes.size() / 2);
  Attachment video = image();
  video.type = "video";
  const Rows rows({bad_row(),
                   conversation(kToken),
                   conversation(std::string(kToken) + kToken, {image(), cut}),
                   conversation(kToken, {video}),
                   {},
                   {.text = "a text", .conversations = {{"user", "and"}, {"assistant", "turns"}}, .modalities = {}},
                   {.text = {}, .conversations = {{"user", "nobody answers"}}, .modalities = {}}});
  const SampleBuilder builder = parts().builder(rows);
  const auto expect = [&](int64_t row, std::initializer_list<const char*> words) {
    const std::string text = complaint([&] { builder.build(row); });
    EXPECT_NE(text.find(fmt::format("rows, row {}", row)), std::string::npos) << text;
    for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << text;
  };
  expect(0, {"do not match", "1 in `modalities`, 0 in the text"});
  expect(1, {"do not match", "0 in `modalities`, 1 in the text"});
  expect(2, {"row 2, image 2", "truncated"});
  expect(3, {"video", "loaders"});
  expect(4, {"without a text or a conversation"});
  expect(5, {"both a text and a conversation"});
  expect(6, {"rows, row 6"});
  EXPECT_EQ(builder.length(0), 0);
  EXPECT_GT(builder.length(2), 0) << "images are not looked at";
  SampleBuilder narrow = parts().builder(rows);
  narrow.set_max_length(10);
  EXPECT_NE(complaint([&] { narrow.build(2); }).find("longer than a pack"), std::string::npos);
}

TEST(SampleBuilder, LengthsAreTheSameOnAnyNumberOfThreads) {
  const auto dataset = open_dataset(kCase / "data/arrow");
  const SampleBuilder builder = parts().builder(*dataset);
  const std::vector<int64_t> lengths = sample_lengths(builder, 1);
  EXPECT_EQ(sample_lengths(builder, 3), lengths);
  EXPECT_EQ(lengths[4], static_cast<int64_t>(builder.build(4).text.input_ids.size()));
}

TEST(ImageLoader, PathsDoNotLeaveTheirFolder) {
  const fs::path folder = scratch("paths");
  fs::create_directories(folder / "images/ct");
  std::ofstream(folder / "secret.png") << "x";
  std::ofstream(folder / "images/ct/1.png") << "y";
  fs::create_symlink(folder / "secret.png", folder / "images/link.png");
  const std::vector<LoaderSpec> loaders = {{.loader_type = "fs-image", .base_path = (folder / "images").string()}};
  const auto load = [&](const std::string& path) { return load_attachment({"image", "", path}, loaders, {}); };
  EXPECT_EQ(load("ct/1.png"), "y");
  EXPECT_EQ(load("ct/../ct/1.png"), "y");
  EXPECT_EQ(load((folder / "images/ct/1.png").string()), "y");
  for (const std::string& path :
       {std::string("../secret.png"), (folder / "secret.png").string(), std::string("link.png"), std::string("ct/../../secret.png")}) {
    EXPECT_NE(complaint([&] { load(path); }).find("leaves its folder"), std::string::npos) << path;
  }
  EXPECT_NE(complaint([&] { load("ct/2.png"); }).find("ct/2.png"), std::string::npos);

  // A hub snapshot is made of links into the blobs beside it.
  const fs::path snapshot = folder / "datasets--a--b/snapshots/main";
  fs::create_directories(snapshot);
  fs::create_directories(folder / "datasets--a--b/blobs");
  std::ofstream(folder / "datasets--a--b/blobs/1234") << "z";
  fs::create_symlink("../../blobs/1234", snapshot / "1.png");
  EXPECT_EQ(load_attachment({"image", "", "1.png"}, std::vector<LoaderSpec>{{.loader_type = "fs-image"}}, snapshot), "z");
}

TEST(ImageLoader, KeysReachTheDecoder) {
  const std::string grey = read_file(fs::path(TEST_DATA) / "image/png-grey-16-dark.png");
  const std::string jpeg = read_file(fs::path(TEST_DATA) / "image/jpeg-large.jpg");
  const Rows rows(
      {conversation(std::string(kToken) + " a", {{"image", grey, ""}}), conversation(std::string(kToken) + " b", {{"image", jpeg, ""}})});
  const auto build = [&](LoaderSpec loader) {
    loader.loader_type = "raw-image";
    return SampleBuilder(rows, parts().tokenizer, parts().prompt, {loader}, parts().processor);
  };
  // Values up to 300: next to nothing in the high byte, all there when they are clipped.
  const auto brightest = [](const RgbImage& image) { return *std::max_element(image.pixels.begin(), image.pixels.end()); };
  EXPECT_EQ(brightest(build({}).decode_images(0).at(0)), 1);
  EXPECT_EQ(brightest(build({.sixteen_bit = "clip"}).decode_images(0).at(0)), 255);
  EXPECT_NE(complaint([&] { build({.max_pixels = 100}).build(1); }).find("at most 100"), std::string::npos);

  const Sample whole = build({}).build(1), fast = build({.fast_decode = true}).build(1);
  EXPECT_EQ(whole.images[0].height, 150);
  EXPECT_EQ(fast.images[0].height, 75);  // the processor resizes to 48
  ASSERT_EQ(whole.images[0].pixel_values.size(), fast.images[0].pixel_values.size());
  double difference = 0;
  for (size_t i = 0; i < whole.images[0].pixel_values.size(); ++i)
    difference += std::abs(whole.images[0].pixel_values[i] - fast.images[0].pixel_values[i]);
  difference /= static_cast<double>(whole.images[0].pixel_values.size());
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 0.1) << "another picture";  // values go from -1.8 to 2.1
  EXPECT_EQ(LoaderSpec().max_pixels, kMaxImagePixels);
}

/// Batches of `size` rows in order.
std::function<std::vector<int64_t>(int64_t)> in_order(int64_t size, int64_t num_rows) {
  return [=](int64_t batch) {
    std::vector<int64_t> rows;
    for (int64_t row = batch * size; row < std::min((batch + 1) * size, num_rows); ++row) rows.push_back(row);
    return rows;
  };
}

TEST(Loader, BatchesAreTheSameForAnyNumberOfThreads) {
  const auto dataset = open_dataset(kCase / "data/arrow");
  const SampleBuilder builder = parts().builder(*dataset);
  std::vector<std::string> first;
  for (const auto& [num_threads, prefetch] : {std::pair(0, 1), {1, 1}, {3, 2}, {5, 8}}) {
    Quarantine quarantine({}, 0.01);
    Loader loader(builder, *dataset, in_order(3, 20), 1, 7, num_threads, prefetch, quarantine);
    std::vector<std::string> seen;
    for (int64_t number = 1; number < 7; ++number) {
      const SampleBatch batch = loader.next();
      EXPECT_EQ(batch.number, number);
      EXPECT_EQ(batch.bad_samples, 0);
      EXPECT_EQ(batch.rows.size(), batch.samples.size());
      for (size_t i = 0; i < batch.samples.size(); ++i) {
        const Sample& sample = batch.samples[i];
        EXPECT_EQ(sample.index, batch.rows[i]);
        std::string content = sample.text.text;
        for (const ImageInput& input : sample.images) content += sha256(std::as_bytes(std::span(input.pixel_values)));
        seen.push_back(sha256(content));
      }
    }
    EXPECT_GE(loader.waited_s(), 0.0);
    if (first.empty()) first = seen;
    EXPECT_EQ(seen, first) << num_threads << " threads";
  }
}

TEST(Loader, LeavesBadSamplesOutAndWritesThemDown) {
  std::vector<Row> rows(40, conversation("fine"));
  for (const size_t bad : {5u, 6u, 17u}) rows[bad] = bad_row();
  rows[17].conversations[0].content = "Mrs Secret, born 1930";
  const Rows dataset(rows);
  const SampleBuilder builder = parts().builder(dataset);
  const fs::path file = scratch("quarantine") / "quarantine.jsonl";
  Quarantine quarantine(file, 0.01);
  Loader loader(builder, dataset, in_order(4, 40), 0, 10, 3, 4, quarantine);
  int64_t bad = 0, good = 0;
  for (int i = 0; i < 10; ++i) {
    const SampleBatch batch = loader.next();
    bad += batch.bad_samples;
    good += static_cast<int64_t>(batch.samples.size());
    EXPECT_EQ(batch.rows.size(), 4u);
  }
  EXPECT_EQ(bad, 3);
  EXPECT_EQ(good, 37);
  EXPECT_EQ(quarantine.count(), 3);
  const std::string written = read_file(file);
  EXPECT_EQ(written.find("Secret"), std::string::npos);
  const Json line = Json::parse(written.substr(0, written.find('\n')));
  EXPECT_EQ(line, (Json{{"row", 5},
                        {"place", "rows, row 5"},
                        {"error", "images and attachment tokens do not match: 1 in `modalities`, 0 in the text"}}));
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 3);
}

TEST(Quarantine, CountsARowOnceHoweverOftenItIsMet) {
  const fs::path file = scratch("quarantine-again") / "quarantine.jsonl";
  Quarantine first(file, 0.01);
  for (int epoch = 0; epoch < 30; ++epoch) {
    first.seen(20);
    first.add(3, "file, row 3", "reason");
  }
  EXPECT_EQ(first.count(), 1);
  EXPECT_EQ(first.last_error(), "file, row 3: reason");
  const Quarantine::Position position = first.position();
  Quarantine resumed(file, 0.01);
  resumed.restore(position);
  resumed.add(3, "file, row 3", "reason");
  resumed.add(4, "file, row 4", "reason");
  EXPECT_EQ(resumed.count(), 2);
  const std::string written = read_file(file);
  EXPECT_EQ(std::count(written.begin(), written.end(), '\n'), 2);
}

TEST(Quarantine, EndsTheRunPastTenAndPastTheShare) {
  Quarantine few({}, 0.01);
  few.seen(20);
  for (int i = 0; i < 10; ++i) few.add(i, "file, row", "reason");
  const std::string text = complaint([&] { few.add(10, "file, row 10", "reason"); });
  EXPECT_NE(text.find("11 of 20"), std::string::npos) << text;
  EXPECT_NE(text.find("max_bad_samples"), std::string::npos) << text;

  Quarantine many({}, 0.01);
  many.seen(2000);
  for (int i = 0; i < 20; ++i) EXPECT_NO_THROW(many.add(i, "file, row", "reason"));
  EXPECT_THROW(many.add(20, "file, row", "reason"), UserError);
}

TEST(Loader, TooManyBadSamplesEndTheRunAtTheSameBatchForAnyNumberOfThreads) {
  const Rows dataset(std::vector<Row>(60, bad_row()));
  const SampleBuilder builder = parts().builder(dataset);
  for (const int num_threads : {0, 1, 4}) {
    Quarantine quarantine({}, 0.5);
    Loader loader(builder, dataset, in_order(4, 60), 0, 15, num_threads, 3, quarantine);
    EXPECT_NO_THROW(loader.next());
    EXPECT_NO_THROW(loader.next());
    EXPECT_THROW(loader.next(), UserError);
  }
}

/// Throws what is not a user's mistake at one row.
class Faulty : public Rows {
 public:
  using Rows::Rows;
  Row row(int64_t index) const override {
    if (index == 9) throw std::runtime_error("a fault");
    return Rows::row(index);
  }
};

TEST(Loader, FaultsArriveInOrder) {
  const Faulty dataset(std::vector<Row>(20, conversation("fine")));
  const SampleBuilder builder = parts().builder(dataset);
  Quarantine quarantine({}, 0.01);
  Loader loader(builder, dataset, in_order(4, 20), 0, 5, 4, 5, quarantine);
  EXPECT_EQ(loader.next().samples.size(), 4u);
  EXPECT_EQ(loader.next().samples.size(), 4u);
  EXPECT_THROW(loader.next(), std::runtime_error);
}

TEST(Loader, AsksForRowsInOrderFromTheCallersThread) {
  const Rows dataset(std::vector<Row>(40, conversation("fine")));
  const SampleBuilder builder = parts().builder(dataset);
  Quarantine quarantine({}, 0.01);
  const auto caller = std::this_thread::get_id();
  int64_t asked = 0;
  const auto rows_of = [&](int64_t batch) {
    EXPECT_EQ(std::this_thread::get_id(), caller);
    EXPECT_EQ(batch, asked++);
    return std::vector<int64_t>{batch};
  };
  {
    Loader loader(builder, dataset, rows_of, 0, 40, 3, 4, quarantine);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(loader.next().rows[0], i);
  }
  // Not far ahead, and the rest is dropped with the loader.
  EXPECT_LE(asked, 20 + 4);
}

}  // namespace
}  // namespace multimeditron
