#include "doctor/questions.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"

namespace multimeditron {
namespace {

std::string_view text_of(const MappedFile& file) {
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  return text;
}

/// The first line that is not blank, taken from the front of `text` with all before it.
std::optional<std::string_view> take_line(std::string_view& text) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) return line;
  }
  return std::nullopt;
}

UserError wrong(const std::string& found) {
  return UserError("a line is not a question with its answer",
                   {.found = found, .fix = R"(write {"image": "scan.png", "question": "...", "answer": "..."}, or leave the line out)"});
}

std::string text_at(const Json& line, const char* key) {
  const auto entry = line.find(key);
  if (entry != line.end() && entry->is_number()) return entry->dump();
  if (entry == line.end() || !entry->is_string()) throw wrong(fmt::format("no text `{}`", key));
  return entry->get<std::string>();
}

class Questions : public Dataset {
 public:
  Questions(const std::filesystem::path& path, std::string attachment_token)
      : file_(path), folder_(std::filesystem::absolute(path).parent_path()), attachment_token_(std::move(attachment_token)) {
    std::string_view text = text_of(file_);
    int64_t number = 1;
    const char* counted = text.data();
    while (const auto line = take_line(text)) {
      number += std::count(counted, line->data(), '\n');
      counted = line->data();
      lines_.push_back({*line, number});
    }
  }

  int64_t size() const override { return std::ssize(lines_); }
  std::string fingerprint() const override { return sha256(text_of(file_)); }
  std::filesystem::path folder(int64_t) const override { return folder_; }

  std::string place(int64_t index) const override {
    return fmt::format("{}, line {}", file_.path().string(), lines_[static_cast<size_t>(index)].number);
  }

  Row row(int64_t index) const override {
    try {
      return read(lines_[static_cast<size_t>(index)].text);
    } catch (const UserError& error) {
      throw error.at(place(index));
    }
  }

 private:
  Row read(std::string_view text) const {
    const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
    if (!line.is_object()) throw wrong(line.is_discarded() ? "no valid JSON" : fmt::format("a value of type {}", line.type_name()));
    Row row;
    std::string tokens;
    const auto images = line.find("image");
    if (images != line.end() && !images->is_null()) {
      for (const Json& each : images->is_array() ? *images : Json::array({*images})) {
        if (!each.is_string()) throw wrong(fmt::format("`image` holds an item of type {}", each.type_name()));
        row.modalities.push_back({.type = "image", .bytes = {}, .path = each.get<std::string>()});
        tokens += attachment_token_;
      }
    }
    row.conversations = {{"user", tokens + text_at(line, "question")}, {"assistant", text_at(line, "answer")}};
    return row;
  }

  struct Line {
    std::string_view text;
    int64_t number;
  };
  MappedFile file_;
  std::filesystem::path folder_;
  std::string attachment_token_;
  std::vector<Line> lines_;
};

}  // namespace

bool is_question_file(const std::filesystem::path& file) {
  std::error_code code;
  const std::string extension = file.extension().string();
  if ((extension != ".jsonl" && extension != ".ndjson") || !std::filesystem::is_regular_file(file, code)) return false;
  const MappedFile mapped(file);
  std::string_view text = text_of(mapped);
  const auto first = take_line(text);
  if (!first) return false;
  const Json line = Json::parse(*first, nullptr, /*allow_exceptions=*/false);
  const auto has = [&](const char* key) { return line.contains(key); };
  return line.is_object() && has("question") && has("answer") && !has("conversations") && !has("text") && !has("modalities");
}

std::unique_ptr<Dataset> open_questions(const std::filesystem::path& file, const std::string& attachment_token) {
  auto questions = std::make_unique<Questions>(file, attachment_token);
  if (questions->size() == 0) throw UserError("the data set is empty", {.where = file.string(), .found = "no rows", .fix = "leave it out"});
  return questions;
}

}  // namespace multimeditron
