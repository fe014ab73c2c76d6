#include "tracking/line.h"

#include <gtest/gtest.h>

#include <limits>

namespace multimeditron {
namespace {

StepRecord record() {
  StepRecord record;
  record.step = 120;
  record.total_steps = 1000;
  record.loss = 1.23456;
  record.grad_norm = 0.8712;
  record.learning_rate = 9.8e-5;
  record.tokens_per_s = 12345;
  return record;
}

size_t columns(const std::string& text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  return count;
}

TEST(TerminalLine, ShowsPositionBarLossRateNormSpeedAndTime) {
  EXPECT_EQ(terminal_line(record(), 62, 451, {.width = 120, .unicode = true}),
            " 120/1000   12%  ━━━╸──────────────────────────  loss 1.2346  lr 9.80e-05  norm 0.871  12.3k tok/s  1:02<7:31");
  EXPECT_EQ(terminal_line(record(), 62, -1, {.width = 100}),
            " 120/1000   12%  [=>                   ]  loss 1.2346  lr 9.80e-05  norm 0.871  12.3k tok/s  1:02<?");
}

TEST(TerminalLine, NeverReachesTheLastColumnAndKeepsTheStepLongest) {
  for (size_t width = 1; width <= 200; ++width) {
    for (const bool unicode : {false, true}) {
      const std::string line = terminal_line(record(), 62, 451, {.width = width, .unicode = unicode});
      EXPECT_LE(columns(line), std::max<size_t>(width - 1, 1)) << width;
      EXPECT_TRUE(width < 12 || line.find("120/1000") != std::string::npos) << width;
      EXPECT_TRUE(width < 30 || line.find("loss 1.2346") != std::string::npos) << width;
      EXPECT_TRUE(width < 40 || line.find("1:02<7:31") != std::string::npos) << width;
    }
  }
}

TEST(TerminalLine, ColourChangesNothingElse) {
  std::string coloured = terminal_line(record(), 62, 451, {.width = 100, .colour = true, .unicode = true});
  EXPECT_NE(coloured.find("\x1b["), std::string::npos);
  for (size_t begin; (begin = coloured.find("\x1b[")) != std::string::npos;) coloured.erase(begin, coloured.find('m', begin) - begin + 1);
  EXPECT_EQ(coloured, terminal_line(record(), 62, 451, {.width = 100, .unicode = true}));
}

TEST(TerminalLine, ABarIsFullAtTheEndOnly) {
  StepRecord last = record();
  last.step = 999;
  EXPECT_NE(terminal_line(last, 1, 0, {.width = 120}).find(" 99%"), std::string::npos);
  last.step = 1000;
  const std::string line = terminal_line(last, 1, 0, {.width = 120});
  EXPECT_NE(line.find("100%"), std::string::npos);
  EXPECT_NE(line.find("=]"), std::string::npos);
}

TEST(TerminalLine, OddNumbersStayReadable) {
  StepRecord odd = record();
  odd.total_steps = 0;
  odd.loss = std::numeric_limits<double>::quiet_NaN();
  odd.grad_norm = 1e12;
  const std::string line = terminal_line(odd, -5, std::numeric_limits<double>::infinity(), {.width = 120});
  EXPECT_NE(line.find("loss nan"), std::string::npos) << line;
  EXPECT_NE(line.find("norm 1.00e+12"), std::string::npos) << line;
}

TEST(LogLine, IsOneLineOfWords) {
  EXPECT_EQ(log_line(record(), 62, 4510), "step  120/1000  12%  loss 1.2346  lr 9.80e-05  grad norm 0.871  12,345 tokens/s  1:02<1:15:10");
}

TEST(CountedWork, ShowsPositionWhatSpeedAndTime) {
  const CountRecord images{.what = "images", .done = 120, .total = 900};
  EXPECT_EQ(terminal_line(images, 4, 26, {.width = 80}), "120/900  images   13%  [===>                          ]  30/s  0:04<0:26");
  EXPECT_EQ(log_line(images, 400, 2600), "images 120/900  13%  0.30/s  6:40<43:20");
  EXPECT_EQ(log_line({.what = "answers", .done = 0, .total = 9}, 0, -1), "answers 0/9   0%  0:00<?");
  for (size_t width = 1; width <= 100; ++width)
    EXPECT_LE(columns(terminal_line(images, 4, 26, {.width = width})), std::max<size_t>(width - 1, 1));
}

TEST(Table, AlignsValuesBehindTheLongestKey) {
  EXPECT_EQ(table("train", {{"model", "Qwen3"}, {"precision", "bf16"}}, {.width = 80}), "train\n  model      Qwen3\n  precision  bf16\n");
}

TEST(Table, ContinuesLongValuesUnderTheirColumn) {
  EXPECT_EQ(table("t", {{"data", "one two three four five six seven eight"}}, {.width = 36}),
            "t\n  data  one two three four five six\n        seven eight\n");
  EXPECT_EQ(table("t", {{"data", "first\nsecond"}}, {.width = 80}), "t\n  data  first\n        second\n");
}

TEST(Format, Durations) {
  EXPECT_EQ(format_duration(0.04), "0.04 s");
  EXPECT_EQ(format_duration(3.41), "3.4 s");
  EXPECT_EQ(format_duration(59.96), "1 min 00 s");
  EXPECT_EQ(format_duration(125), "2 min 05 s");
  EXPECT_EQ(format_duration(3725), "1 h 02 min");
  EXPECT_EQ(format_duration(3599.7), "1 h 00 min");
  EXPECT_EQ(format_duration(183'600), "2 d 03 h");
  EXPECT_EQ(format_duration(-1), "?");
}

TEST(Format, Clocks) {
  EXPECT_EQ(format_clock(0), "0:00");
  EXPECT_EQ(format_clock(425.9), "7:05");
  EXPECT_EQ(format_clock(3723), "1:02:03");
  EXPECT_EQ(format_clock(360'000), "100:00:00");
}

TEST(Format, CountsParametersAndBytes) {
  EXPECT_EQ(format_count(0), "0");
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(1'234'567), "1,234,567");
  EXPECT_EQ(format_count(-123'456), "-123,456");
  EXPECT_EQ(format_parameters(696), "696");
  EXPECT_EQ(format_parameters(4'022'468'096), "4.02 B");
  EXPECT_EQ(format_parameters(13'100'000), "13.1 M");
  EXPECT_EQ(format_parameters(999'999), "1.00 M");
  EXPECT_EQ(format_bytes(17), "17 B");
  EXPECT_EQ(format_bytes(1'310'000'000), "1.3 GB");
  EXPECT_EQ(format_bytes(999'999), "1.0 MB");
}

}  // namespace
}  // namespace multimeditron
