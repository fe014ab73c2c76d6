#include "cli/demo/data_sets.h"

#include <fmt/format.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "cli/demo/studies.h"
#include "data/dataset_writer.h"
#include "data/parallel.h"
#include "image/image.h"
#include "text/tokenizer.h"

namespace multimeditron::demo {
namespace {

namespace fs = std::filesystem;

// Words and picture of a study come from streams of their own: another wording leaves the picture as it is.
constexpr uint64_t kPicture = 0, kWording = 1;

Random wording(const Study& study) {
  return Random(derive_seed(study.seed, kWording, 0));
}

Attachment picture(const Study& study) {
  return {"image", encode_png(render_phantom(study.kind, study.finding, derive_seed(study.seed, kPicture, 0))), ""};
}

/// The turns of one conversation; the image stands in front of the first question.
void add_turn(Row& row, const std::string& question, const std::string& answer) {
  const bool shows_image = row.conversations.empty() && !row.modalities.empty();
  row.conversations.push_back({"user", shows_image ? fmt::format("{}{}", kAttachmentToken, question) : question});
  row.conversations.push_back({"assistant", answer});
}

std::string request(Random& random) {
  static constexpr std::array<const char*, 3> kRequests = {"Describe the image.", "What do you see?", "Write a short report."};
  return kRequests[random.index(static_cast<int64_t>(kRequests.size()))];
}

/// Every third report is to be repeated, the way that stage 1 asks for it; the others are asked about, as in stage 2.
Row text_row(const Study& study) {
  Random random = wording(study);
  Row row;
  if (random.index(3) == 0) {
    const std::string report = caption(study, random);
    add_turn(row, fmt::format("{} {}", report, request(random)), report);
    return row;
  }
  const std::vector<Topic> topics = topics_of(study);
  const Question question = ask(topics[random.index(static_cast<int64_t>(topics.size()))], study, random);
  add_turn(row, fmt::format("{} {}", caption(study, random), question.question), question.answer);
  return row;
}

Row alignment_row(const Study& study) {
  Random random = wording(study);
  Row row;
  row.modalities.push_back(picture(study));
  const std::string question = request(random);
  add_turn(row, question, caption(study, random));
  return row;
}

Row instruction_row(const Study& study) {
  Random random = wording(study);
  std::vector<Topic> topics = {Topic::kKind, Topic::kFinding};
  if (random.index(2) == 1) std::swap(topics[0], topics[1]);
  // The side betrays that there is a finding: asked after that question, or instead of it.
  if (study.finding != Finding::kNone && random.index(2) == 1) {
    topics = {Topic::kSide, Topic::kKind};
  } else if (study.finding != Finding::kNone) {
    topics.push_back(Topic::kSide);
  }
  Row row;
  row.modalities.push_back(picture(study));
  for (const Topic topic : topics) {
    const Question question = ask(topic, study, random);
    add_turn(row, question.question, question.answer);
  }
  return row;
}

void write(const fs::path& folder, const std::function<void(DatasetWriter&)>& fill) {
  if (fs::exists(folder)) return;
  const fs::path partial = folder.string() + ".partial";
  fs::remove_all(partial);
  fs::create_directories(folder.parent_path());
  DatasetWriter writer(partial);
  fill(writer);
  writer.close();
  fs::rename(partial, folder);
}

}  // namespace

void write_data_sets(const fs::path& folder, uint64_t seed, const DataSetSizes& sizes) {
  const auto write_rows = [&](const char* name, Split split, int64_t count, Row (*make_row)(const Study&)) {
    write(folder / name, [&](DatasetWriter& writer) {
      std::vector<Row> rows(count);
      for_each_parallel(count, static_cast<int>(std::thread::hardware_concurrency()),
                        [&](int64_t i) { rows[i] = make_row(make_study(seed, split, i)); });
      for (const Row& row : rows) writer.add(row);
    });
  };
  write_rows("text", Split::kText, sizes.texts, text_row);
  write_rows("alignment", Split::kAlignment, sizes.captions, alignment_row);
  write_rows("instructions", Split::kInstructions, sizes.instructions, instruction_row);
  write(folder / "test", [&](DatasetWriter& writer) {
    for (int64_t i = 0; i < sizes.test_images; ++i) {
      const Study study = make_study(seed, Split::kTest, i);
      Random random = wording(study);
      const Attachment image = picture(study);
      for (const Topic topic : topics_of(study)) {
        const Question question = ask(topic, study, random);
        Row row;
        row.modalities.push_back(image);
        add_turn(row, question.question, question.answer);
        writer.add(row);
      }
    }
  });
}

void write_sample_images(const fs::path& folder, uint64_t seed, int64_t count) {
  fs::create_directories(folder);
  for (int64_t i = 0; i < count; ++i) {
    const fs::path file = folder / fmt::format("test-{}.png", i + 1);
    if (!fs::exists(file)) write_file_atomic(file, picture(make_study(seed, Split::kTest, i)).bytes);
  }
}

void train_tokenizer(const fs::path& folder, uint64_t seed, int64_t num_texts) {
  std::vector<std::string> texts = {"system user assistant"};
  const auto add = [&](const Row& row) {
    for (const Message& message : row.conversations) texts.push_back(message.content);
  };
  for (int64_t i = 0; i < num_texts; ++i) add(text_row(make_study(seed, Split::kText, i)));
  train_byte_level_bpe(texts, 512, folder);
}

}  // namespace multimeditron::demo
