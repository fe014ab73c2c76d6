#include "cli/demo/data_sets.h"

#include <fmt/format.h>

#include <array>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "cli/demo/contact_sheet.h"
#include "cli/demo/phantoms.h"
#include "data/dataset_writer.h"
#include "data/parallel.h"
#include "text/tokenizer.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

// Words and file of a study come from streams of their own: another wording leaves the picture as it is. The picture's are below 16.
constexpr uint64_t kWording = 16, kFile = 17;

constexpr const char* kLicense = R"(# Licence of these pictures and texts

Every picture and every sentence in this folder was made by the program `multimeditron demo` out of random numbers. The pictures look like
medical images but show nobody: no patient, no scanner and no archive had a part in them, and nothing about a disease can be learnt from
them. They are for trying out and testing software.

They may be used, changed and passed on by anyone, for any purpose, without asking and without naming the source; as far as there are any
rights in them, those are waived (CC0 1.0). They come without warranty of any kind. The program that draws them is under Apache 2.0.
)";

Random wording(const Study& study) {
  return Random(derive_seed(study.seed, kWording, 0));
}

struct Picture {
  std::string bytes;
  const char* extension;
};

Picture picture(const Study& study) {
  Random random(derive_seed(study.seed, kFile, 0));
  const RgbImage image = render(study);
  if (random.index(2) == 0) return {encode_png(image), "png"};
  return {encode_jpeg(image, static_cast<int>(75 + random.index(21))), "jpg"};
}

Attachment attachment(const Study& study) {
  return {"image", picture(study).bytes, ""};
}

/// The turns of one conversation; the image stands in front of the first question.
void add_turn(Row& row, const std::string& question, const std::string& answer) {
  const bool shows_image = row.conversations.empty() && !row.modalities.empty();
  row.conversations.push_back({"user", shows_image ? fmt::format("{}{}", kAttachmentToken, question) : question});
  row.conversations.push_back({"assistant", answer});
}

std::string request(Random& random) {
  static constexpr std::array<const char*, 4> kRequests = {"Describe the image.", "What do you see?", "Write a short report.",
                                                           "What does the image show?"};
  return random.choose(kRequests);
}

/// Every third report is to be repeated, the way that stage 1 asks for it; the others are asked about, as in stage 2.
Row text_row(const Study& study) {
  Random random = wording(study);
  Row row;
  const std::string report = caption(study, random);
  if (random.index(3) == 0) {
    add_turn(row, fmt::format("{} {}", report, request(random)), report);
    return row;
  }
  for (const Topic topic : conversation_topics(study, random)) {
    const Question question = ask(topic, study, random);
    add_turn(row, row.conversations.empty() ? fmt::format("{} {}", report, question.question) : question.question, question.answer);
  }
  return row;
}

Row pair_row(const Study& study) {
  Random random = wording(study);
  Row row;
  row.text = caption(study, random);
  row.modalities.push_back(attachment(study));
  return row;
}

Row alignment_row(const Study& study) {
  Random random = wording(study);
  Row row;
  row.modalities.push_back(attachment(study));
  const std::string question = request(random);
  add_turn(row, question, caption(study, random));
  return row;
}

Row instruction_row(const Study& study) {
  Random random = wording(study);
  Row row;
  row.modalities.push_back(attachment(study));
  for (const Topic topic : conversation_topics(study, random)) {
    const Question question = ask(topic, study, random);
    add_turn(row, question.question, question.answer);
  }
  return row;
}

int num_threads() {
  return static_cast<int>(std::thread::hardware_concurrency());
}

/// `fill` makes a folder beside `folder`, which then takes its name.
void write_whole(const fs::path& folder, const std::function<void(const fs::path&)>& fill) {
  if (fs::exists(folder)) return;
  const fs::path partial = folder.string() + ".partial";
  fs::remove_all(partial);
  fs::create_directories(folder.parent_path());
  fill(partial);
  fs::rename(partial, folder);
}

void write_rows(const fs::path& folder, uint64_t seed, Split split, int64_t count, Row (*make_row)(const Study&)) {
  write_whole(folder, [&](const fs::path& partial) {
    DatasetWriter writer(partial);
    std::vector<Row> rows(count);
    for_each_parallel(count, num_threads(), [&](int64_t i) { rows[i] = make_row(make_study(seed, split, i)); });
    for (const Row& row : rows) writer.add(row);
    writer.close();
  });
}

void write_test(const fs::path& folder, uint64_t seed, int64_t count) {
  write_whole(folder / "test-images", [&](const fs::path& partial) {
    fs::create_directories(partial);
    for_each_parallel(count, num_threads(), [&](int64_t i) {
      const Picture each = picture(make_study(seed, Split::kTest, i));
      write_file_atomic(partial / fmt::format("{:04}.{}", i + 1, each.extension), each.bytes);
    });
  });
  if (fs::exists(folder / "test.jsonl")) return;
  std::string lines;
  int64_t id = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Study study = make_study(seed, Split::kTest, i);
    std::string image = fmt::format("test-images/{:04}.png", i + 1);
    if (!fs::exists(folder / image)) image = fmt::format("test-images/{:04}.jpg", i + 1);
    Random random = wording(study);
    for (const Topic topic : topics_of(study)) {
      const Question question = ask(topic, study, random);
      const Json line = {{"id", fmt::format("{:05}", ++id)},
                         {"image", image},
                         {"question", question.question},
                         {"answer", question.answer},
                         {"kind", to_string(topic)}};
      lines += line.dump() + "\n";
    }
  }
  write_file_atomic(folder / "test.jsonl", lines);
}

}  // namespace

void write_data_sets(const fs::path& folder, uint64_t seed, const DataSetSizes& sizes) {
  fs::create_directories(folder);
  if (!fs::exists(folder / "LICENSE.md")) write_file_atomic(folder / "LICENSE.md", kLicense);
  if (!fs::exists(folder / "contact-sheet.png")) write_file_atomic(folder / "contact-sheet.png", encode_png(contact_sheet(seed)));
  write_rows(folder / "text", seed, Split::kText, sizes.texts, text_row);
  write_rows(folder / "pairs", seed, Split::kPairs, sizes.pairs, pair_row);
  write_rows(folder / "alignment", seed, Split::kAlignment, sizes.captions, alignment_row);
  write_rows(folder / "instructions", seed, Split::kInstructions, sizes.instructions, instruction_row);
  write_test(folder, seed, sizes.test_images);
}

const char* folder_of(Kind kind) {
  switch (kind) {
    case Kind::kCt:
      return "ct";
    case Kind::kMri:
      return "mri";
    case Kind::kUltrasound:
      return "ultrasound";
    case Kind::kXray:
      return "xray";
    case Kind::kDrawing:
      return "drawing";
  }
  return "";
}

void write_kinds(const fs::path& folder, uint64_t seed, Split split, int64_t studies_per_kind) {
  constexpr auto kNumKinds = static_cast<int64_t>(kKinds.size());  // study i is of kind i mod that
  for (int64_t kind = 0; kind < kNumKinds; ++kind) {
    write_whole(folder / folder_of(kKinds[static_cast<size_t>(kind)]), [&](const fs::path& partial) {
      DatasetWriter writer(partial);
      std::vector<Row> rows(studies_per_kind);
      for_each_parallel(studies_per_kind, num_threads(),
                        [&](int64_t i) { rows[i] = pair_row(make_study(seed, split, i * kNumKinds + kind)); });
      for (const Row& row : rows) writer.add(row);
      writer.close();
    });
  }
}

void write_regions(const fs::path& folder, uint64_t seed, int64_t num_studies) {
  std::map<fs::path, std::vector<Study>> studies;
  for (int64_t i = 0; i < num_studies; ++i) {
    const Study study = make_study(seed, Split::kTest, i);
    if (study.finding && study.kind != Kind::kDrawing)
      studies[folder / folder_of(study.kind) / to_string(study.finding->region)].push_back(study);
  }
  for (const auto& [place, found] : studies) {
    write_whole(place, [&, &found = found](const fs::path& partial) {
      DatasetWriter writer(partial);
      std::vector<Row> rows(found.size());
      for_each_parallel(static_cast<int64_t>(found.size()), num_threads(), [&](int64_t i) { rows[i] = pair_row(found[i]); });
      for (const Row& row : rows) writer.add(row);
      writer.close();
    });
  }
}

void train_tokenizer(const fs::path& folder, uint64_t seed, int64_t num_texts) {
  std::vector<std::string> texts = {"system user assistant"};
  for (int64_t i = 0; i < num_texts; ++i) {
    for (const Message& message : text_row(make_study(seed, Split::kText, i)).conversations) texts.push_back(message.content);
  }
  train_byte_level_bpe(texts, 512, folder);
}

}  // namespace multimeditron::demo
