#include "tracking/progress.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/file.h"
#include "base/log.h"
#include "base/temporary_folder.h"

namespace multimeditron {
namespace {

StepRecord step_record(int64_t step, int64_t total) {
  StepRecord record;
  record.step = step;
  record.total_steps = total;
  record.loss = 2.5;
  record.seconds = 0.001;
  return record;
}

/// What `body` makes a Progress print into a file.
template <typename Body>
std::string printed(OutputMode mode, Body body) {
  const TemporaryFolder folder;
  const int fd = ::open((folder / "out").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  {
    Progress progress(mode, fd);
    body(progress);
  }
  ::close(fd);
  return read_file(folder / "out");
}

/// What it prints on a terminal of 100 columns.
template <typename Body>
std::string on_terminal(Body body) {
  int terminal = -1, program = -1;
  winsize size{.ws_row = 40, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
  if (::openpty(&terminal, &program, nullptr, nullptr, &size) != 0) return "";
  {
    Progress progress(OutputMode::kNormal, program);
    body(progress);
  }
  ::close(program);
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = ::read(terminal, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(count));
  ::close(terminal);
  return text;
}

size_t occurrences(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

class ProgressTest : public testing::Test {
 protected:
  ProgressTest() {
    ::setenv("TERM", "xterm", 1);
    ::setenv("LC_ALL", "C.UTF-8", 1);
    ::unsetenv("NO_COLOR");
  }
};

TEST_F(ProgressTest, WhatAnEarlierCallDidIsNoSpeed) {
  const std::string text = printed(OutputMode::kNormal, [](Progress& progress) {
    progress.count({.what = "rows", .done = 4000, .total = 4001});
    usleep(50'000);
    progress.count({.what = "rows", .done = 4001, .total = 4001});
  });
  EXPECT_NE(text.find("rows 4000/4001  99%  0:00"), std::string::npos) << text;
  EXPECT_EQ(text.find("k/s"), std::string::npos) << text;
  EXPECT_NE(text.find("/s  0:00"), std::string::npos) << text;
}

TEST_F(ProgressTest, AFileGetsTheFirstAndLastOfManyQuickSteps) {
  const std::string text = printed(OutputMode::kNormal, [](Progress& progress) {
    progress.header("train", {{"model", "tiny"}});
    for (int64_t step = 1; step <= 200; ++step) progress.step(step_record(step, 200));
    progress.event("saved checkpoint-200");
    progress.summary("finished", {{"time", "1 s"}});
  });
  EXPECT_EQ(occurrences(text, "\nstep "), 2u) << text;
  EXPECT_NE(text.find("step   1/200"), std::string::npos);
  EXPECT_NE(text.find("step 200/200 100%"), std::string::npos);
  EXPECT_NE(text.find("saved checkpoint-200\n\nfinished\n  time  1 s\n"), std::string::npos) << text;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST_F(ProgressTest, ARunThatStopsEarlyStillLogsItsLastStep) {
  const std::string text = printed(OutputMode::kNormal, [](Progress& progress) {
    for (int64_t step = 1; step <= 7; ++step) progress.step(step_record(step, 200));
  });
  EXPECT_NE(text.find("step   7/200"), std::string::npos) << text;
}

TEST_F(ProgressTest, CountedWorkOfAnotherKindBeginsItsOwnLine) {
  const auto count = [](Progress& progress) {
    for (int64_t done = 0; done <= 50; ++done) progress.count({.what = "images", .done = done, .total = 50});
    for (int64_t done = 0; done <= 3; ++done) progress.count({.what = "answers", .done = done, .total = 9});
  };
  const std::string text = printed(OutputMode::kNormal, count);
  EXPECT_EQ(occurrences(text, "images "), 2u) << text;
  EXPECT_NE(text.find("images 50/50 100%"), std::string::npos) << text;
  EXPECT_NE(text.find("answers 0/9"), std::string::npos) << text;
  EXPECT_NE(text.find("answers 3/9  33%"), std::string::npos) << text;
  const std::string shown = on_terminal(count);
  EXPECT_EQ(occurrences(shown, "\n"), 2u) << shown;
  EXPECT_NE(shown.find("50/50"), std::string::npos) << shown;
  EXPECT_EQ(printed(OutputMode::kJson, [](Progress& progress) { progress.count({.what = "images", .done = 1, .total = 2}); }),
            "{\"event\":\"progress\",\"what\":\"images\",\"done\":1,\"total\":2}\n");
}

TEST_F(ProgressTest, QuietPrintsNothing) {
  EXPECT_EQ(printed(OutputMode::kQuiet,
                    [](Progress& progress) {
                      progress.header("train", {{"a", "b"}});
                      progress.step(step_record(1, 1));
                      progress.event("saved");
                      progress.summary("finished", {});
                    }),
            "");
}

TEST_F(ProgressTest, JsonIsAnObjectALine) {
  const std::string text = printed(OutputMode::kJson, [](Progress& progress) {
    progress.header("train", {{"model", "tiny"}});
    progress.step(step_record(1, 2));
    progress.event("saved checkpoint-1", {{"event", "checkpoint"}, {"step", 1}});
    progress.event("bytes \xff");
    progress.summary("finished", {{"time", "1 s"}});
  });
  std::vector<Json> lines;
  for (size_t begin = 0; begin < text.size(); begin = text.find('\n', begin) + 1)
    lines.push_back(Json::parse(text.substr(begin, text.find('\n', begin) - begin)));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0].dump(), R"({"event":"header","title":"train","rows":{"model":"tiny"}})");
  EXPECT_EQ(lines[1]["loss"], 2.5);
  EXPECT_EQ(lines[1]["total_steps"], 2);
  EXPECT_FALSE(lines[1].contains("event"));
  EXPECT_EQ(lines[2].dump(), R"({"event":"checkpoint","text":"saved checkpoint-1","step":1})");
  EXPECT_EQ(lines[4]["event"], "summary");
}

TEST_F(ProgressTest, ATerminalHasOneLineThatIsRewrittenAndLeftStanding) {
  const std::string text = on_terminal([](Progress& progress) {
    for (int64_t step = 1; step <= 50; ++step) progress.step(step_record(step, 50));
    progress.summary("finished", {});
  });
  EXPECT_GE(occurrences(text, "\r"), 2u);
  EXPECT_LE(occurrences(text, "\n"), 4u) << text;
  EXPECT_NE(text.find("━"), std::string::npos);
  EXPECT_NE(text.find("50/50"), std::string::npos);
  EXPECT_NE(text.find("\x1b[36m"), std::string::npos);
}

TEST_F(ProgressTest, NoColorAndDumbTerminalsAreHonoured) {
  const auto body = [](Progress& progress) {
    progress.header("train", {{"a", "b"}});
    progress.step(step_record(1, 2));
    progress.step(step_record(2, 2));
  };
  ::setenv("NO_COLOR", "1", 1);
  std::string text = on_terminal(body);
  EXPECT_EQ(occurrences(text, "\x1b["), occurrences(text, "\x1b[K")) << text;
  EXPECT_GT(occurrences(text, "\x1b[K"), 0u);
  ::unsetenv("NO_COLOR");
  ::setenv("TERM", "dumb", 1);
  text = on_terminal(body);
  EXPECT_EQ(occurrences(text, "\x1b"), 0u) << text;
}

TEST_F(ProgressTest, EventsAndNotesEraseTheLineAndDrawItAgain) {
  const std::string text = on_terminal([](Progress& progress) {
    progress.step(step_record(1, 9));
    progress.event("saved checkpoint-1");
    testing::internal::CaptureStderr();
    note("a note between two steps");
    testing::internal::GetCapturedStderr();
  });
  const size_t saved = text.find("saved checkpoint-1");
  ASSERT_NE(saved, std::string::npos);
  EXPECT_NE(text.rfind("\r\x1b[K", saved), std::string::npos);
  EXPECT_EQ(occurrences(text.substr(saved), "1/9"), 3u) << text;  // after the event, after the note, and when it is left standing
}

TEST_F(ProgressTest, AClosedPipeDoesNotEndTheRun) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  {
    Progress progress(OutputMode::kNormal, ends[1]);
    EXPECT_NO_THROW(progress.step(step_record(1, 1)));
  }
  ::signal(SIGPIPE, before);
  ::close(ends[1]);
}

}  // namespace
}  // namespace multimeditron
