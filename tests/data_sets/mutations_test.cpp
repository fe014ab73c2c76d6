// Damaged image files through the whole loader: none ends it, and each is a sample or a line of the quarantine.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <sstream>

#include "base/file.h"
#include "base/json.h"
#include "data/loader.h"
#include "data_sets/sample_case.h"

namespace multimeditron::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> image_files() {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(TEST_DATA) / "image")) {
    if (entry.is_regular_file() && entry.path().extension() != ".json" && entry.file_size() > 0 && entry.file_size() < 65536)
      paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> files;
  for (const fs::path& path : paths) files.push_back(read_file(path));
  return files;
}

std::string mutated(std::string bytes, const std::vector<std::string>& others, std::mt19937& random) {
  if (bytes.empty()) return bytes;
  const auto place = [&] { return static_cast<size_t>(random()) % bytes.size(); };
  switch (random() % 6) {
    case 0:
      return bytes.substr(0, 1 + place());
    case 1: {  // a part twice
      const size_t begin = place();
      return bytes.insert(begin, bytes.substr(begin, 1 + random() % 64));
    }
    case 2:  // a part missing
      return bytes.erase(1 + place(), 1 + random() % 64);
    case 3: {  // another file's end
      const std::string& other = others[random() % others.size()];
      return bytes.substr(0, 1 + place()) + other.substr(other.size() / 2);
    }
    default:
      for (unsigned count = 1 + random() % 8; count > 0; --count) bytes[place()] = static_cast<char>(random());
      return bytes;
  }
}

/// Rows whose image is a mutation, made when it is asked for: the same one each time.
class Mutations : public Rows {
 public:
  explicit Mutations(int64_t size) : Rows({}), size_(size) {}
  int64_t size() const override { return size_; }
  Row row(int64_t index) const override {
    std::mt19937 random(static_cast<unsigned>(index));
    return conversation(kToken, {{"image", mutated(files_[static_cast<size_t>(index) % files_.size()], files_, random), ""}});
  }

 private:
  int64_t size_;
  std::vector<std::string> files_ = image_files();
};

/// MULTIMEDITRON_TEST_MUTATIONS sets how many.
TEST(Loader, DamagedImagesAreSamplesOrLinesOfTheQuarantine) {
  const char* asked = std::getenv("MULTIMEDITRON_TEST_MUTATIONS");
  const int64_t count = asked != nullptr ? std::atoll(asked) : 500, batch_size = 20;
  const Mutations dataset(count);
  const SampleBuilder builder = parts().builder(dataset);
  const fs::path file = scratch("mutations") / "quarantine.jsonl";
  Quarantine quarantine(file, 1);
  const auto rows_of = [&](int64_t number) {
    std::vector<int64_t> rows;
    for (int64_t row = number * batch_size; row < std::min((number + 1) * batch_size, count); ++row) rows.push_back(row);
    return rows;
  };
  const int64_t batches = (count + batch_size - 1) / batch_size;
  Loader loader(builder, dataset, {rows_of, 0, batches}, {2, 4}, quarantine);
  int64_t good = 0;
  for (int64_t i = 0; i < batches; ++i) {
    for (const Sample& sample : loader.next().samples) {
      ++good;
      EXPECT_EQ(sample.images.at(0).pixel_values.size(), 3u * 48 * 48);
    }
  }
  EXPECT_EQ(good + quarantine.count(), count);
  EXPECT_GT(good, count / 20);
  EXPECT_GT(quarantine.count(), count / 10);

  std::istringstream lines(read_file(file));
  std::set<int64_t> rows;
  std::map<std::string, int64_t> kinds;
  for (std::string line; std::getline(lines, line);) {
    const Json json = Json::parse(line);
    const auto row = json.at("row").get<int64_t>();
    const auto error = json.at("error").get<std::string>();
    EXPECT_TRUE(rows.insert(row).second);
    EXPECT_EQ(json.at("place"), fmt::format("rows, row {}", row));
    std::string kind = "other";
    for (const char* known : {"unidentified", "unsupported", "truncated", "corrupt", "too large"}) {
      if (error.starts_with(known)) kind = known;
    }
    ++kinds[kind];
    EXPECT_NE(kind, "other") << error;
  }
  EXPECT_EQ(static_cast<int64_t>(rows.size()), quarantine.count());
  std::string summary = fmt::format("{} damaged files: {} still usable", count, good);
  for (const auto& [kind, number] : kinds) summary += fmt::format(", {} {}", number, kind);
  std::printf("%s\n", summary.c_str());
}

}  // namespace
}  // namespace multimeditron::testing
