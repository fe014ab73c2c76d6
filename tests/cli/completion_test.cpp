#include "cli/program.h"

namespace multimeditron::testing {
namespace {

/// What bash offers for the last of `words`, one a line.
std::string complete(const std::filesystem::path& folder, const std::string& words) {
  const std::string script = "cd '" + folder.string() + "' && source <('" PROGRAM "' completion bash) && COMP_WORDS=(multimeditron " +
                             words +
                             ") && COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && _multimeditron && printf '%s\\n' \"${COMPREPLY[@]}\" | sort";
  const Result result = run_command({"bash", "-c", script});
  EXPECT_EQ(result.err, "");
  return result.out;
}

TEST(Completion, BashOffersSubcommandsOptionsChoicesAndRecipes) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "recipes");
  for (const char* name : {"a recipe.yaml", "b.yml", "notes.txt"}) std::ofstream(folder / name) << "x";
  EXPECT_EQ(complete(folder.path(), "tr"), "train\ntrain-expert\ntrain-gate\n");
  EXPECT_EQ(complete(folder.path(), "train --f"), "--fresh\n");
  EXPECT_EQ(complete(folder.path(), "inspect --gra"), "--gradients\n");
  EXPECT_EQ(complete(folder.path(), "train --config ''"), "a recipe.yaml\nb.yml\nrecipes\n");
  EXPECT_EQ(complete(folder.path(), "check b"), "b.yml\n");
  EXPECT_EQ(complete(folder.path(), "check --test no"), "notes.txt\n");
  EXPECT_EQ(complete(folder.path(), "generate --dtype ''"), "auto\nbf16\nfp32\n");
  EXPECT_EQ(complete(folder.path(), "generate --image no"), "notes.txt\n");
  EXPECT_EQ(complete(folder.path(), "generate --model re"), "recipes\n");
  EXPECT_EQ(complete(folder.path(), "evaluate --mo"), "--model\n");
  EXPECT_EQ(complete(folder.path(), "evaluate --tasks no"), "notes.txt\n");
  EXPECT_EQ(complete(folder.path(), "evaluate --data-root re"), "recipes\n");
  EXPECT_EQ(complete(folder.path(), "completion ''"), "bash\nfish\nzsh\n");
  EXPECT_EQ(complete(folder.path(), "help sch"), "schema\n");
}

TEST(Completion, EveryShellsScriptNamesEverySubcommandAndParses) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const Result script = run({"completion", shell});
    EXPECT_EQ(script.code, 0);
    for (const char* word :
         {"train", "inspect", "generate", "evaluate", "demo", "check", "schema", "config", "embeddings-per-image", "fp32"})
      EXPECT_NE(script.out.find(word), std::string::npos) << shell << " " << word;
    const TemporaryFolder folder;
    std::ofstream(folder / "script") << script.out;
    if (run_command({"which", shell}).code != 0) continue;  // only bash is sure to be there
    const Result parsed = run_command({shell, "-n", folder / "script"});
    EXPECT_EQ(parsed.code, 0) << shell << ": " << parsed.err;
  }
}

}  // namespace
}  // namespace multimeditron::testing
