#include "recipe/node.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace multimeditron {
namespace {

std::string mistake(const std::string& text) {
  try {
    parse_yaml(text, "r.yaml");
  } catch (const UserError& error) {
    return error.what();
  }
  return "no mistake";
}

TEST(Yaml, ScalarsKeepTextPlaceAndQuotes) {
  const Node root = parse_yaml("a : -1   # comment\nb: <|x|>  \nc: '1'\nd:\ne: ~", "r.yaml").root;
  EXPECT_EQ(root.find("a")->text, "-1");
  EXPECT_EQ(root.find("a")->origin.text, "r.yaml:1:5");
  EXPECT_EQ(root.find("b")->text, "<|x|>");
  EXPECT_TRUE(root.find("c")->quoted);
  EXPECT_EQ(root.find("d")->kind, Node::Kind::kNull);
  EXPECT_EQ(root.find("d")->origin.text, "r.yaml:4:1");
  EXPECT_EQ(root.find("e")->kind, Node::Kind::kNull);
}

TEST(Yaml, ByteOrderMarkAndCarriageReturnsAreNoPartOfTheText) {
  const Node root = parse_yaml(
                        "\xEF\xBB\xBF"
                        "a: \"x\"\r\nb: 2\r\n",
                        "r.yaml")
                        .root;
  EXPECT_EQ(root.find("a")->text, "x");
  EXPECT_EQ(root.find("b")->text, "2");
}

TEST(Yaml, DuplicateKeyIsAWarningWithBothLinesAndTheLastCounts) {
  const ParsedYaml parsed = parse_yaml("a: 1\nb: 2\na: 3\n", "r.yaml");
  EXPECT_EQ(parsed.root.find("a")->text, "3");
  EXPECT_EQ(parsed.warnings, (std::vector<std::string>{"r.yaml:1:1: `a` stands here and in line 3: the last one counts"}));
}

// Expected values: PyYAML 6.0's safe_load of the same text.
TEST(Yaml, StrayDeeperListItemBelongsToTheScalarBeforeIt) {
  const ParsedYaml parsed = parse_yaml("m:\n  - n:\n      - A\n    idx : -1\n        - A\n    t: 2\n", "r.yaml");
  EXPECT_EQ(parsed.root.find("m")->items[0].find("idx")->text, "-1 - A");
  EXPECT_EQ(parsed.root.find("m")->items[0].find("t")->text, "2");
  EXPECT_EQ(parsed.warnings, (std::vector<std::string>{"r.yaml:5:9: this list item is read as more text of the value of `idx` in line 4"}));
}

TEST(Yaml, ListsBelowTheirKeyAreNoStrayItems) {
  EXPECT_TRUE(parse_yaml("a:\n  - x: 1\n  - y\nb:\n- z\nc: |\n  d: 1\n    - text\ne: 'q'\n", "r.yaml").warnings.empty());
}

TEST(Yaml, MergeKeysFillWhatIsNotWritten) {
  const Node root = parse_yaml("base: &base {p: 1, q: 2}\nmore: &more {q: 7, r: 3}\nx:\n  <<: [*base, *more]\n  p: 5\n", "r.yaml").root;
  const Node& x = *root.find("x");
  EXPECT_EQ(x.find("p")->text, "5");
  EXPECT_EQ(x.find("q")->text, "2");
  EXPECT_EQ(x.find("r")->text, "3");
  EXPECT_EQ(mistake("x:\n  <<: 3\n"), "`<<` merges maps\n  where: r.yaml:2:3\n  found: `3`\n  fix:   name an anchor of a map: `<<: *name`");
}

TEST(Yaml, SyntaxErrorsHaveLineColumnAndAdvice) {
  EXPECT_EQ(mistake("a: b: c\n"),
            "this file is not valid YAML\n  where: r.yaml:1:5\n  found: illegal map value\n"
            "  fix:   check the indentation of this line, and put a value that holds `: ` in quotes");
  EXPECT_EQ(mistake("a:\n\t- b\n"),
            "this file is not valid YAML\n  where: r.yaml:2:2\n  found: illegal block entry\n  fix:   indent with spaces: YAML does not "
            "allow tabs");
  EXPECT_EQ(
      mistake("a: 1\nb: \"x\nc: 2\n"),
      "this file is not valid YAML\n  where: r.yaml:2:4\n  found: a quote that is never closed\n  fix:   close it at the end of the value");
  EXPECT_EQ(mistake("a: [1, 2\nb: 3\n"),
            "this file is not valid YAML\n  where: r.yaml:2:2\n  found: end of sequence flow not found\n"
            "  fix:   close the bracket or brace that was opened before");
}

TEST(Yaml, WhatIsNoPlainConfigurationIsRefused) {
  EXPECT_EQ(mistake("a: 1\n---\nb: 2\n"),
            "one YAML document was expected\n  where: r.yaml:2:1\n  found: a second document behind the first\n  fix:   keep one of them "
            "in this file, and no `---` between");
  EXPECT_EQ(mistake("a: !!python/name:os.system x\n"),
            "YAML tags have no meaning here\n  where: r.yaml:1:4\n  found: the tag tag:yaml.org,2002:python/name:os.system\n  fix:   write "
            "a plain value");
  EXPECT_EQ(mistake("a: \xFF\n"), "this file is not text in UTF-8\n  where: r.yaml:1\n  found: the byte 0xff\n  fix:   save it as UTF-8");
  EXPECT_NE(mistake("a: &a [*a]\n").find("nested too deeply"), std::string::npos);
}

TEST(Yaml, BracketThatWasNeverOpenedIsFoundAtTheTop) {
  EXPECT_EQ(mistake(", a: 1\n"),
            "this file is not valid YAML\n  where: r.yaml:1:1\n  found: `,` where a key was expected\n"
            "  fix:   remove it, or put a value that starts with it in quotes");
  EXPECT_NE(mistake("a: 1\n]\nb: 2\n").find("r.yaml:2:1"), std::string::npos);
  EXPECT_EQ(parse_yaml("---\na: 1\n...\n", "r.yaml").root.find("a")->text, "1");
}

TEST(Yaml, AliasesOfAliasesDoNotFillMemory) {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string previous = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + previous;
    for (int k = 0; k < 9; ++k) text += ", " + previous;
    text += "]\n";
  }
  EXPECT_NE(mistake(text).find("this file has too many values"), std::string::npos);
}

}  // namespace
}  // namespace multimeditron
