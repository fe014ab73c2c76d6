#include "data/sample.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/image_loader.h"
#include "data_sets/sample_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

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
    EXPECT_EQ(raw.decode_images(i, sample.images.size()).size(), sample.images.size());
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

  // What is behind the cut is not looked at, whatever it is.
  Row cut = rows.row(0);
  cut.modalities[1] = {.type = "video", .bytes = "x", .path = {}};
  const Rows with_another({cut});
  const SampleBuilder other = shorter.builder(with_another);
  EXPECT_EQ(other.decode_images(0, other.build(0).images.size()).size(), 1u);
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

TEST(SampleBuilder, ARowThatCouldNotBeCountedHasNoRoomInItsPack) {
  const Rows rows({conversation("one"), conversation("two")});
  SampleBuilder builder = parts().builder(rows);
  builder.set_counted_lengths({builder.length(0), 0});
  EXPECT_EQ(std::ssize(builder.build(0).text.input_ids), builder.length(0));
  EXPECT_NE(complaint([&] { builder.build(1); }).find("longer than its place in a pack"), std::string::npos);
}

/// Each type has a loader of its own: the same bytes are then another image, which a batch must not take for the first.
TEST(SampleBuilder, TheSameBytesOfAnotherTypeAreAnotherImage) {
  Attachment other = image();
  other.type = "other";
  const Rows rows({conversation(std::string(kToken) + kToken + kToken, {image(), other, image()})});
  SampleBuilder builder(rows, parts().tokenizer, parts().prompt,
                        {{.loader_type = "raw-image"}, {.loader_type = "raw-image", .modality_type = "other"}}, parts().processor);
  for (const int64_t cache_bytes : {0, 1 << 24}) {
    builder.set_image_cache(cache_bytes);
    const Sample sample = builder.build(0);
    EXPECT_NE(sample.images[0].content_hash, sample.images[1].content_hash);
    EXPECT_EQ(sample.images[0].content_hash, sample.images[2].content_hash);
  }
}

/// A type is the row's own text: only a plain word of it is shown.
TEST(SampleBuilder, TypesThatAreNoWordsStayOutOfMessages) {
  const Rows rows({conversation(kToken, {{.type = "Jane Doe 1961", .bytes = "x", .path = {}}})});
  const std::string text = complaint([&] { parts().builder(rows).build(0); });
  EXPECT_NE(text.find("no loader for attachments of this type"), std::string::npos) << text;
  EXPECT_EQ(text.find("Jane"), std::string::npos) << text;
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
  EXPECT_NE(complaint([&] { load("link.png"); }).find("a link leads out of it: name a folder above both"), std::string::npos);
  EXPECT_NE(complaint([&] { load("ct/2.png"); }).find("ct/2.png"), std::string::npos);

  // A hub snapshot is made of links into the blobs beside it.
  const fs::path snapshot = folder / "datasets--a--b/snapshots/main";
  fs::create_directories(snapshot);
  fs::create_directories(folder / "datasets--a--b/blobs");
  std::ofstream(folder / "datasets--a--b/blobs/1234") << "z";
  fs::create_symlink("../../blobs/1234", snapshot / "1.png");
  EXPECT_EQ(load_attachment({"image", "", "1.png"}, std::vector<LoaderSpec>{{.loader_type = "fs-image"}}, snapshot), "z");
}

TEST(ImageLoader, AMissingImageIsToldWithItsPathAndTheLoaderThatWouldTakeIt) {
  const Attachment lost{.type = "image", .bytes = {}, .path = "lost.png"};
  const LoaderSpec files{.loader_type = "fs-image", .modality_type = "image", .base_path = "/no/such"}, raw{.loader_type = "raw-image"};
  const auto complaint = [&](const LoaderSpec& loader) {
    try {
      load_attachment(lost, {&loader, 1}, "/of/the/data");
    } catch (const UserError& error) {
      return error;
    }
    return UserError("no complaint");
  };
  EXPECT_EQ(complaint(files).details().found, "/no/such/lost.png");
  EXPECT_EQ(complaint(raw).details().found, "/of/the/data/lost.png");
  EXPECT_NE(complaint(raw).details().fix.find("`fs-image` with `base_path`"), std::string::npos);
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
  EXPECT_EQ(brightest(build({}).decode_images(0, 1).at(0)), 1);
  EXPECT_EQ(brightest(build({.sixteen_bit = "clip"}).decode_images(0, 1).at(0)), 255);
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

}  // namespace
}  // namespace multimeditron::testing
