#include "evaluation/task.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "base/error.h"
#include "base/temporary_folder.h"
#include "image/image.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

struct TaskTest : ::testing::Test {
  fs::path write(const std::string& name, const std::string& content) {
    fs::create_directories((folder / name).parent_path());
    std::ofstream(folder / name, std::ios::binary) << content;
    return folder / name;
  }
  void write_image(const std::string& name, uint8_t level) { write(name, encode_png({2, 2, std::vector<uint8_t>(12, level)})); }

  /// By the system's own program.
  std::string to_base64(const std::string& bytes) {
    write("bytes", bytes);
    EXPECT_EQ(std::system(("base64 -w0 '" + (folder / "bytes").string() + "' > '" + (folder / "text").string() + "'").c_str()), 0);
    std::ifstream text(folder / "text");
    return {std::istreambuf_iterator<char>(text), {}};
  }

  TemporaryFolder folder;
};

TEST_F(TaskTest, ReadsRowsInAllTheirForms) {
  const fs::path file =
      write("t.jsonl",
            "\xef\xbb\xbf{\"image\": \"a.png\", \"question\": \"Which side?\", \"answer\": \"left\", \"kind\": \"side\"}\n"
            "\n"
            "{\"image\": [\"a.png\", \"sub/b.png\"], \"question\": \"How many?\", \"answer\": 2, \"id\": 7}\r\n"
            "{\"image\": null, \"question\": \"Is it?\", \"answer\": \"yes\", \"id\": \"q\", \"more\": {}}");
  const Task task = read_jsonl_task("t", file);
  ASSERT_EQ(task.rows.size(), 3U);
  EXPECT_EQ(task.rows[0].id, "1");
  EXPECT_EQ(task.rows[0].kind, "side");
  EXPECT_EQ(task.rows[0].groups, (std::vector<std::pair<std::string, std::string>>{{"kind", "side"}}));
  EXPECT_EQ(task.rows[0].images[0].name, "a.png");
  EXPECT_EQ(task.rows[1].images.size(), 2U);
  EXPECT_EQ(task.rows[1].images[1].file, fs::canonical(folder.path()) / "sub/b.png");
  EXPECT_EQ(task.rows[1].reference, "2");
  EXPECT_EQ(task.rows[1].id, "7");
  EXPECT_EQ(task.rows[1].kind, "None");
  EXPECT_TRUE(task.rows[2].images.empty());
  EXPECT_EQ(task.rows[2].line, 4);
  EXPECT_EQ(read_jsonl_task("t", file, {}, 2).rows.size(), 2U);
}

// GMAI-MMBench's form: the image inside, as base64, and options of which some are empty or None.
TEST_F(TaskTest, ReadsTablesWithImagesInsideAndOptions) {
  const std::string png = encode_png({2, 2, {9, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}});
  // The bytes of 600 zeros behind the image's end make it longer than any path; decoders pass them over.
  const std::string bytes = png + std::string(600 - png.size() % 3, '\0');
  write("picture", bytes);
  const std::string encoded = to_base64(bytes);
  write_image("a.png", 7);
  const fs::path file = write("t.tsv",
                              "index\timage\tquestion\tA\tB\tC\tanswer\tkind\n"
                              "7\t" +
                                  encoded +
                                  "\t\"Which \"\"organ\"\",\nhere?\"\tliver\tspleen\t\tA\torgan\n"
                                  "8\ta.png\tWhich side?\tleft\tNone\tright\tC\t\n");
  Task task = read_task("t", file);
  ASSERT_EQ(task.rows.size(), 2U);
  EXPECT_EQ(task.rows[0].id, "7");
  EXPECT_EQ(task.rows[0].question, "Which \"organ\",\nhere?\nOptions:\nA: liver\nB: spleen");
  EXPECT_EQ(task.rows[0].reference, "A");
  EXPECT_EQ(task.rows[0].kind, "organ");
  ASSERT_EQ(task.rows[0].images.size(), 1U);
  EXPECT_EQ(read_image(task.rows[0].images[0]), bytes);
  EXPECT_EQ(task.rows[1].question, "Which side?\nOptions:\nA: left\nC: right");
  EXPECT_EQ(task.rows[1].line, 4);
  EXPECT_EQ(task.rows[1].images[0].name, "a.png");
  check_images(task);
  EXPECT_EQ(task.rows.size(), 2U) << task.unusable[0].reason;
  EXPECT_NE(task.rows[0].images[0].content, task.rows[1].images[0].content);
}

TEST_F(TaskTest, TablesNameTheirMistakes) {
  EXPECT_USER_ERROR(read_task("t", write("t.csv", "prompt,answer\na,b\n")), "t.csv, line 1", "no column `question`", "prompt, answer");
  EXPECT_USER_ERROR(read_task("t", write("t.csv", "question,answer\na,b,secret\n")), "t.csv, line 2", "3, not 2");
  EXPECT_USER_ERROR(read_task("t", write("t.csv", "question,answer\na,\n")), "t.csv, line 2", "no `answer`");
  EXPECT_USER_ERROR(read_task("t", write("t.csv", "question,answer\n\"a,b\n")), "t.csv, line 2", "never closed");
  EXPECT_USER_ERROR(read_task("t", write("t.csv", "question,answer\n")), "t.csv", "no rows");
}

TEST_F(TaskTest, NamesFileAndLineOfEveryMistake) {
  const std::string good = "{\"question\": \"q\", \"answer\": \"a\"}\n";
  const struct {
    std::string line;
    std::vector<std::string> parts;
  } cases[] = {
      {"{\"question\": \"q\", \"answer\"", {"t.jsonl, line 2, byte", "not valid JSON"}},
      {"[1]", {"t.jsonl, line 2", "a value of type array"}},
      {"{\"answer\": \"a\"}", {"t.jsonl, line 2", "no `question`"}},
      {"{\"question\": \"q\", \"answer\": \" \"}", {"t.jsonl, line 2", "an empty `answer`"}},
      {"{\"question\": 3, \"answer\": \"a\"}", {"t.jsonl, line 2", "`question` is of type number"}},
      {"{\"question\": \"q\", \"answer\": \"a\", \"image\": {\"path\": \"x\"}}", {"`image` is of type object"}},
      {"{\"question\": \"q\", \"answer\": \"a\", \"image\": [3]}", {"`image` holds an item of type number"}},
      {"{\"question\": \"q\", \"answer\": \"a\", \"image\": \"../secret.png\"}", {"t.jsonl, line 2", "../secret.png", "--data-root"}},
      {"{\"question\": \"q\", \"answer\": \"a\", \"id\": \"1\"}", {"t.jsonl, line 2", "the same id", "line 1"}},
  };
  for (const auto& each : cases) {
    const fs::path file = write("t.jsonl", good + each.line + "\n" + "{\"question\": \"r\", \"answer\": \"a\"}\n");
    try {
      read_jsonl_task("t", file);
      ADD_FAILURE() << each.line;
    } catch (const UserError& error) {
      for (const std::string& part : each.parts) EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
  EXPECT_USER_ERROR(read_jsonl_task("t", write("two.jsonl", "1\n2\n")), "line 1", "line 2");
  EXPECT_USER_ERROR(read_jsonl_task("t", write("none.jsonl", "\n \n")), "no rows", "none.jsonl");
  EXPECT_USER_ERROR(read_jsonl_task("t", folder / "nowhere.jsonl"), "nowhere.jsonl");
}

TEST_F(TaskTest, ADataRootLetsImagesLieBesideTheTask) {
  write_image("images/a.png", 1);
  const fs::path file = write("tasks/t.jsonl", "{\"image\": \"../images/a.png\", \"question\": \"q\", \"answer\": \"a\"}\n");
  EXPECT_USER_ERROR(read_jsonl_task("t", file), "../images/a.png");
  Task task = read_jsonl_task("t", file, folder.path());
  check_images(task);
  EXPECT_TRUE(task.unusable.empty());
  EXPECT_EQ(task.rows[0].images[0].name, "../images/a.png");
  const fs::path outside = write("tasks/o.jsonl", "{\"image\": \"../../a.png\", \"question\": \"q\", \"answer\": \"a\"}\n");
  EXPECT_USER_ERROR(read_jsonl_task("t", outside, folder.path()), "../../a.png");
}

TEST_F(TaskTest, RowsWhoseImageCannotBeReadAreListedAndNotAsked) {
  write_image("a.png", 1);
  write_image("copy.png", 1);
  write("broken.png", "\x89PNG\r\n\x1a\n");
  Task task = read_jsonl_task("t", write("t.jsonl",
                                         "{\"image\": \"a.png\", \"question\": \"q\", \"answer\": \"a\"}\n"
                                         "{\"image\": \"copy.png\", \"question\": \"q\", \"answer\": \"a\"}\n"
                                         "{\"image\": \"missing.png\", \"question\": \"q\", \"answer\": \"a\", \"id\": \"gone\"}\n"
                                         "{\"image\": [\"a.png\", \"broken.png\"], \"question\": \"q\", \"answer\": \"a\"}\n"
                                         "{\"question\": \"q\", \"answer\": \"a\"}\n"));
  int64_t last = 0, total = 0;
  check_images(task, [&](int64_t done, int64_t all) {
    last = done;
    total = all;
  });
  EXPECT_EQ(last, 4);
  EXPECT_EQ(total, 4);
  ASSERT_EQ(task.rows.size(), 3U);
  EXPECT_EQ(task.rows[0].images[0].content, task.rows[1].images[0].content) << "equal bytes are one image";
  EXPECT_TRUE(task.rows[2].images.empty());
  ASSERT_EQ(task.unusable.size(), 2U);
  EXPECT_EQ(task.unusable[0].id, "gone");
  EXPECT_EQ(task.unusable[0].line, 3);
  EXPECT_EQ(task.unusable[0].image, "missing.png");
  EXPECT_EQ(task.unusable[1].image, "broken.png");
  EXPECT_NE(task.unusable[1].reason.find("truncated"), std::string::npos) << task.unusable[1].reason;
  require_usable(task);
}

TEST_F(TaskTest, AnImageFirstMetInARowThatIsLeftOutServesTheOthers) {
  write_image("a.png", 1);
  Task task = read_jsonl_task("t", write("t.jsonl",
                                         "{\"image\": [\"a.png\", \"missing.png\"], \"question\": \"q\", \"answer\": \"a\"}\n"
                                         "{\"image\": [\"missing.png\"], \"question\": \"q\", \"answer\": \"a\"}\n"
                                         "{\"image\": \"a.png\", \"question\": \"q\", \"answer\": \"a\"}\n"));
  check_images(task);
  ASSERT_EQ(task.rows.size(), 1U);
  EXPECT_EQ(task.rows[0].line, 3);
  EXPECT_FALSE(task.rows[0].images[0].content.empty());
  EXPECT_EQ(task.unusable.size(), 2U);
}

TEST_F(TaskTest, TooManyUnusableRowsEndTheEvaluation) {
  Task task{.name = "t", .file = "t.jsonl", .rows = std::vector<TaskRow>(1200), .unusable = std::vector<UnusableRow>(12)};
  require_usable(task);  // 12 of 1,212: under 1 %
  task.rows.resize(500);
  task.unusable[0] = {"x", 17, "a.png", "no such file"};
  EXPECT_USER_ERROR(require_usable(task), "12 of 512 rows", "line 17: a.png no such file");
  task.unusable.resize(10);
  require_usable(task);
  task.rows.clear();
  EXPECT_USER_ERROR(require_usable(task), "10 of 10 rows");
}

}  // namespace
}  // namespace multimeditron
