#include "evaluation/questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "data/csv.h"
#include "evaluation/task.h"

namespace multimeditron {
namespace {

class Questions : public Dataset {
 public:
  Questions(const std::filesystem::path& file, std::string attachment_token)
      : name_(file.string()),
        task_(read_task(name_, file)),
        fingerprint_(sha256_of_file(file)),
        attachment_token_(std::move(attachment_token)) {}

  int64_t size() const override { return std::ssize(task_.rows); }
  std::string fingerprint() const override { return fingerprint_; }
  std::filesystem::path folder(int64_t) const override { return task_.file.parent_path(); }
  std::string place(int64_t index) const override { return fmt::format("{}, line {}", name_, question(index).line); }

  Row row(int64_t index) const override {
    const TaskRow& asked = question(index);
    Row row;
    std::string tokens;
    for (const TaskImage& image : asked.images) {
      row.modalities.push_back({.type = "image", .bytes = image.bytes, .path = image.file.empty() ? "" : image.name});
      tokens += attachment_token_;
    }
    row.conversations = {{"user", tokens + asked.question}, {"assistant", asked.reference}};
    return row;
  }

 private:
  const TaskRow& question(int64_t index) const { return task_.rows[static_cast<size_t>(index)]; }

  std::string name_;
  Task task_;
  std::string fingerprint_, attachment_token_;
};

bool are_of_questions(const auto& has) {
  constexpr std::array kOfTraining = {"conversations", "text", "modalities"};
  return has("question") && has("answer") && std::none_of(kOfTraining.begin(), kOfTraining.end(), has);
}

}  // namespace

bool is_question_file(const std::filesystem::path& file) {
  std::error_code code;
  const std::string extension = file.extension().string();
  const bool is_csv = extension == ".csv" || extension == ".tsv", is_json = extension == ".jsonl" || extension == ".ndjson";
  if ((!is_csv && !is_json) || !std::filesystem::is_regular_file(file, code)) return false;
  const MappedFile mapped(file);
  std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  if (is_csv) {
    std::vector<std::string> header;
    try {
      CsvReader(text, csv_separator(file.filename().string())).next(header);
    } catch (const UserError&) {
      return false;  // reading it as a data set tells why
    }
    return are_of_questions([&](const char* column) { return std::find(header.begin(), header.end(), column) != header.end(); });
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  const Json line = Json::parse(text.substr(0, text.find('\n')), nullptr, /*allow_exceptions=*/false);
  return line.is_object() && are_of_questions([&](const char* key) { return line.contains(key); });
}

std::unique_ptr<Dataset> open_questions(const std::filesystem::path& file, const std::string& attachment_token) {
  return std::make_unique<Questions>(file, attachment_token);
}

}  // namespace multimeditron
