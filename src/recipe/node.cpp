#include "recipe/node.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "base/error.h"

namespace multimeditron {
namespace {

constexpr size_t kMaxDepth = 64;
constexpr size_t kMaxNodes = 100'000;  // aliases of aliases can make a small file grow without end

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

/// Byte offset of the first byte that is not UTF-8 (overlong forms and surrogates included), or nothing.
std::optional<size_t> invalid_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const size_t length = byte < 0x80                   ? 1
                          : byte >= 0xC2 && byte < 0xE0 ? 2
                          : byte >= 0xE0 && byte < 0xF0 ? 3
                          : byte >= 0xF0 && byte < 0xF5 ? 4
                                                        : 0;
    if (length == 0 || i + length > text.size()) return i;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return i;
    }
    const auto second = length > 1 ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((byte == 0xE0 && second < 0xA0) || (byte == 0xED && second > 0x9F) || (byte == 0xF0 && second < 0x90) ||
        (byte == 0xF4 && second > 0x8F))
      return i;
    i += length;
  }
  return std::nullopt;
}

/// Listens to a parser for the places where documents begin, and to nothing else.
class DocumentStarts : public YAML::EventHandler {
 public:
  std::vector<YAML::Mark> marks;

  void OnDocumentStart(const YAML::Mark& mark) override { marks.push_back(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

class Parser {
 public:
  /// A byte order mark is no part of the text: yaml-cpp skips it, and its positions would be off by its length.
  Parser(const std::string& text, const std::string& name) : text_(text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text), name_(name) {}

  ParsedYaml parse() {
    if (const auto offset = invalid_utf8(text_)) {
      const std::string before = text_.substr(0, *offset);
      const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
      throw UserError("this file is not text in UTF-8",
                      {.where = fmt::format("{}:{}", name_, line),
                       .found = fmt::format("the byte 0x{:02x}", static_cast<unsigned char>(text_[*offset])),
                       .fix = "save it as UTF-8"});
    }
    ParsedYaml parsed;
    try {
      check_one_document();
      parsed.root = convert(YAML::Load(text_), 0);
    } catch (const YAML::Exception& error) {
      throw UserError("this file is not valid YAML", {.where = at(error.mark).text, .found = error.msg, .fix = hint(error)});
    }
    find_stray_items();
    parsed.warnings = std::move(warnings_);
    return parsed;
  }

 private:
  Origin at(const YAML::Mark& mark) const {
    const size_t line = static_cast<size_t>(std::max(mark.line, 0)) + 1, column = static_cast<size_t>(std::max(mark.column, 0)) + 1;
    return {fmt::format("{}:{}:{}", name_, line, column), line, column};
  }

  /// yaml-cpp ends a document at a bracket that was never opened: Load would drop the rest unseen, LoadAll never end.
  void check_one_document() const {
    std::istringstream stream(text_);
    YAML::Parser parser(stream);
    DocumentStarts starts;
    while (starts.marks.size() < 2 && parser.HandleNextDocument(starts)) continue;
    if (starts.marks.size() < 2) return;
    const YAML::Mark& mark = starts.marks[1];
    const auto offset = static_cast<size_t>(std::max(mark.pos, 0));
    if (offset < text_.size() && std::string_view(",:?]}").find(text_[offset]) != std::string_view::npos) {
      throw UserError("this file is not valid YAML", {.where = at(mark).text,
                                                      .found = fmt::format("`{}` where a key was expected", text_[offset]),
                                                      .fix = "remove it, or put a value that starts with it in quotes"});
    }
    throw UserError("one YAML document was expected", {.where = at(mark).text,
                                                       .found = "a second document behind the first",
                                                       .fix = "keep one of them in this file, and no `---` between"});
  }

  std::string hint(const YAML::Exception& error) const {
    const auto lines = lines_of(text_);
    const auto line = static_cast<size_t>(std::max(error.mark.line, 0));
    if (line < lines.size()) {
      const std::string_view content = lines[line];
      const size_t first = content.find_first_not_of(' ');
      if (first != std::string_view::npos && content[first] == '\t') return "indent with spaces: YAML does not allow tabs";
    }
    if (error.msg.find("map value") != std::string::npos)
      return "check the indentation of this line, and put a value that holds `: ` in quotes";
    if (error.msg.find("unknown token") != std::string::npos) return "put a value that starts with `@`, `%` or a backquote in quotes";
    if (error.msg.find("flow") != std::string::npos) return "close the bracket or brace that was opened before";
    if (error.msg.find("anchor") != std::string::npos)
      return "define the anchor before it is used, or put a value that starts with `*` in quotes";
    return "check the indentation of this line and of the one before";
  }

  void check_tag(const YAML::Node& node) const {
    static constexpr std::string_view kStandard = "tag:yaml.org,2002:";
    const std::string& tag = node.Tag();
    if (tag.empty() || tag == "?" || tag == "!") return;
    if (tag.starts_with(kStandard)) {
      const std::string kind = tag.substr(kStandard.size());
      for (const char* known : {"str", "int", "float", "bool", "null", "seq", "map"}) {
        if (kind == known) return;
      }
    }
    throw UserError("YAML tags have no meaning here",
                    {.where = at(node.Mark()).text, .found = "the tag " + tag, .fix = "write a plain value"});
  }

  /// yaml-cpp takes the end of the file for the closing quote, and the keys behind are swallowed unseen.
  void check_closed(const YAML::Node& node) const {
    const auto start = static_cast<size_t>(std::max(node.Mark().pos, 0));
    if (start >= text_.size() || (text_[start] != '"' && text_[start] != '\'')) return;
    const char quote = text_[start];
    for (size_t i = start + 1; i < text_.size(); ++i) {
      if (quote == '"' && text_[i] == '\\') {
        ++i;
      } else if (text_[i] == quote) {
        if (quote == '\'' && i + 1 < text_.size() && text_[i + 1] == quote) {
          ++i;
          continue;
        }
        return;
      }
    }
    throw UserError("this file is not valid YAML",
                    {.where = at(node.Mark()).text, .found = "a quote that is never closed", .fix = "close it at the end of the value"});
  }

  Node convert(const YAML::Node& node, size_t depth) {
    if (depth > kMaxDepth) {
      throw UserError(
          "this file is nested too deeply",
          {.where = at(node.Mark()).text, .found = fmt::format("more than {} levels, or an alias inside its own anchor", kMaxDepth)});
    }
    if (++count_ > kMaxNodes) {
      throw UserError("this file has too many values",
                      {.where = at(node.Mark()).text, .found = fmt::format("more than {}, aliases counted", kMaxNodes)});
    }
    check_tag(node);
    Node result;
    result.origin = at(node.Mark());
    if (node.IsScalar()) {
      result.kind = Node::Kind::kScalar;
      result.text = node.Scalar();
      result.quoted = node.Tag() == "!" || node.Tag().ends_with(":str");
      if (result.quoted) check_closed(node);
    } else if (node.IsSequence()) {
      result.kind = Node::Kind::kSequence;
      for (const YAML::Node& item : node) result.items.push_back(convert(item, depth + 1));
    } else if (node.IsMap()) {
      result.kind = Node::Kind::kMap;
      convert_map(node, depth, result);
    }
    return result;
  }

  void convert_map(const YAML::Node& node, size_t depth, Node& result) {
    std::vector<Node> merged;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) {
        throw UserError("a key must be a word",
                        {.where = at(pair.first.Mark()).text, .found = pair.first.IsMap() ? "a map" : "a list or null"});
      }
      Node::Entry entry{pair.first.Scalar(), at(pair.first.Mark()), convert(pair.second, depth + 1)};
      if (entry.value.kind == Node::Kind::kNull) entry.value.origin = entry.key_origin;  // yaml-cpp marks the token behind an absent value
      if (entry.key == "<<" && pair.first.Tag() != "!") {
        collect_merged(std::move(entry), merged);
        continue;
      }
      if (Node* first = result.find(entry.key)) {
        auto& place = *std::find_if(result.entries.begin(), result.entries.end(), [&](const Node::Entry& e) { return &e.value == first; });
        warnings_.push_back(fmt::format("{}: `{}` stands here and in line {}: the last one counts", place.key_origin.text, entry.key,
                                        entry.key_origin.line));
        place = std::move(entry);
      } else {
        result.entries.push_back(std::move(entry));
      }
    }
    for (Node& source : merged) {  // own keys win, then the earlier of several sources
      for (Node::Entry& entry : source.entries) {
        if (result.find(entry.key) == nullptr) result.entries.push_back(std::move(entry));
      }
    }
  }

  static void collect_merged(Node::Entry entry, std::vector<Node>& merged) {
    std::vector<Node> sources;
    if (entry.value.kind == Node::Kind::kSequence) {
      sources = std::move(entry.value.items);
    } else {
      sources.push_back(std::move(entry.value));
    }
    for (Node& source : sources) {
      if (source.kind != Node::Kind::kMap) {
        throw UserError("`<<` merges maps",
                        {.where = entry.key_origin.text, .found = describe(source), .fix = "name an anchor of a map: `<<: *name`"});
      }
      merged.push_back(std::move(source));
    }
  }

  /// `key: value` followed by a deeper `- item` is one scalar of two lines to YAML (yaml-cpp and PyYAML agree): hardly what was meant.
  void find_stray_items() {
    const auto lines = lines_of(text_);
    size_t block_indent = std::string_view::npos;  // inside a block scalar (`|`, `>`) everything is text
    for (size_t i = 0; i < lines.size(); ++i) {
      size_t indent = lines[i].find_first_not_of(' ');
      if (indent == std::string_view::npos) continue;
      if (block_indent != std::string_view::npos && indent > block_indent) continue;
      block_indent = std::string_view::npos;
      while (lines[i].substr(indent).starts_with("- ")) {
        const size_t next = lines[i].find_first_not_of(' ', indent + 1);
        if (next == std::string_view::npos) break;
        indent = next;
      }
      const size_t colon = lines[i].find(':', indent);
      if (colon == std::string_view::npos) continue;
      const size_t value = lines[i].find_first_not_of(" \r", colon + 1);
      if (value == std::string_view::npos || value == colon + 1) continue;
      const char first = lines[i][value];
      if (first == '|' || first == '>') block_indent = indent;
      if (std::string_view("|>'\"[{#&*!").find(first) != std::string_view::npos || lines[i].find(" #", value) != std::string_view::npos)
        continue;
      size_t j = i + 1;
      while (j < lines.size() && lines[j].find_first_not_of(" \r") == std::string_view::npos) ++j;
      if (j == lines.size()) return;
      const size_t next = lines[j].find_first_not_of(' ');
      if (next <= indent || !lines[j].substr(next).starts_with("- ")) continue;
      const std::string_view key = lines[i].substr(indent, lines[i].find_last_not_of(' ', colon - 1) + 1 - indent);
      warnings_.push_back(
          fmt::format("{}:{}:{}: this list item is read as more text of the value of `{}` in line {}", name_, j + 1, next + 1, key, i + 1));
    }
  }

  const std::string text_;
  const std::string& name_;
  std::vector<std::string> warnings_;
  size_t count_ = 0;
};

}  // namespace

Node* Node::find(std::string_view key) {
  for (Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      return "null";
    case Node::Kind::kSequence:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
    case Node::Kind::kScalar:
      break;
  }
  return node.quoted ? fmt::format("the string \"{}\"", node.text) : fmt::format("`{}`", node.text);
}

ParsedYaml parse_yaml(const std::string& text, const std::string& name) {
  return Parser(text, name).parse();
}

}  // namespace multimeditron
