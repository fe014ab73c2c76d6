#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/front.h"

namespace multimeditron {
namespace {

/// What may follow an option.
enum class Value { kNone, kRecipe, kFile, kFolder, kPath, kChoice, kOther };

struct OptionInfo {
  std::string name;  ///< with its dashes; empty: a positional
  std::string description;
  Value value = Value::kNone;
  std::vector<std::string> choices;
};

struct SubcommandInfo {
  std::string name;
  std::string description;
  std::vector<OptionInfo> options;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

Value value_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  if (option.get_expected_max() == 0) return Value::kNone;
  if (type == "RECIPE") return Value::kRecipe;
  if (type == "FILE") return Value::kFile;
  if (type == "PATH") return Value::kPath;
  if (type == "FOLDER" || type == "CKPT") return Value::kFolder;
  return type.find('|') != std::string::npos ? Value::kChoice : Value::kOther;
}

/// The program's own description, read back: nothing is listed twice.
std::vector<SubcommandInfo> describe() {
  Action unused;
  const auto app = make_app(unused);
  std::vector<SubcommandInfo> subcommands;
  for (const CLI::App* each : app->get_subcommands([](const CLI::App*) { return true; })) {
    SubcommandInfo& info = subcommands.emplace_back(SubcommandInfo{each->get_name(), each->get_description(), {}});
    for (const CLI::Option* option : each->get_options()) {
      OptionInfo one{
          option->get_lnames().empty() ? "" : "--" + option->get_lnames().front(), option->get_description(), value_of(*option), {}};
      if (one.value == Value::kChoice) one.choices = split(option->get_type_name(), '|');
      info.options.push_back(one);
    }
  }
  return subcommands;
}

std::string bash(const std::vector<SubcommandInfo>& subcommands) {
  std::vector<std::string> names, option_cases, recipe, file, folder, other, recipe_subcommands, path_subcommands;
  std::string choice_cases;
  for (const SubcommandInfo& each : subcommands) {
    names.push_back(each.name);
    std::vector<std::string> options;
    for (const OptionInfo& option : each.options) {
      if (option.name.empty() || option.name == "--config") {
        if (option.value == Value::kRecipe && (recipe_subcommands.empty() || recipe_subcommands.back() != each.name))
          recipe_subcommands.push_back(each.name);
      }
      if (option.name.empty() && option.value == Value::kPath) path_subcommands.push_back(each.name);
      if (option.name.empty()) continue;
      options.push_back(option.name);
      const std::string pattern = each.name + "," + option.name;
      if (option.value == Value::kRecipe) recipe.push_back(pattern);
      if (option.value == Value::kFile || option.value == Value::kPath) file.push_back(pattern);
      if (option.value == Value::kFolder) folder.push_back(pattern);
      if (option.value == Value::kOther) other.push_back(pattern);
      if (option.value == Value::kChoice)
        choice_cases +=
            fmt::format("    {}) COMPREPLY=($(compgen -W '{}' -- \"$current\")); return ;;\n", pattern, fmt::join(option.choices, " "));
    }
    option_cases.push_back(fmt::format("    {}) words='{}' ;;\n", each.name, fmt::join(options, " ")));
  }
  std::string script =
      "# bash completion of multimeditron: source it, or put it into ~/.local/share/bash-completion/completions/multimeditron\n"
      "_multimeditron_recipes() {\n"
      "  local file\n"
      "  compopt -o filenames 2>/dev/null\n"
      "  while IFS= read -r file; do\n"
      "    if [[ -d $file || $file == *.yaml || $file == *.yml ]]; then COMPREPLY+=(\"$file\"); fi\n"
      "  done < <(compgen -f -- \"$1\")\n"
      "}\n"
      "_multimeditron() {\n"
      "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} subcommand=${COMP_WORDS[1]} words=\n"
      "  COMPREPLY=()\n";
  script += fmt::format("  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W '{} --help --version' -- \"$current\")); return; fi\n",
                        fmt::join(names, " "));
  script += "  case $subcommand,$previous in\n" + choice_cases;
  script += fmt::format("    {}) _multimeditron_recipes \"$current\"; return ;;\n", fmt::join(recipe, "|"));
  script +=
      fmt::format("    {}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n", fmt::join(file, "|"));
  script += fmt::format("    {}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- \"$current\")); return ;;\n",
                        fmt::join(folder, "|"));
  script += fmt::format("    {}) return ;;\n  esac\n", fmt::join(other, "|"));
  script += fmt::format("  case $subcommand in\n{}  esac\n", fmt::join(option_cases, ""));
  script += "  if [[ $current == -* ]]; then COMPREPLY=($(compgen -W \"$words\" -- \"$current\")); return; fi\n";
  script += fmt::format(
      "  case $subcommand in\n"
      "    {}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- \"$current\")) ;;\n"
      "    {}) _multimeditron_recipes \"$current\" ;;\n"
      "    help) COMPREPLY=($(compgen -W '{}' -- \"$current\")) ;;\n"
      "    completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$current\")) ;;\n"
      "  esac\n"
      "}}\n"
      "complete -F _multimeditron multimeditron\n",
      fmt::join(path_subcommands, "|"), fmt::join(recipe_subcommands, "|"), fmt::join(names, " "));
  return script;
}

/// Inside single quotes, where `special` characters mean something to the shell's completion.
std::string quoted(const std::string& text, std::string_view special) {
  std::string result;
  for (const char c : text) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      if (special.find(c) != std::string_view::npos) result += '\\';
      result += c;
    }
  }
  return result;
}

std::string zsh(const std::vector<SubcommandInfo>& subcommands) {
  const auto action = [](const OptionInfo& option) -> std::string {
    switch (option.value) {
      case Value::kNone:
        return "";
      case Value::kRecipe:
        return ":recipe:_files -g \"*.(yaml|yml)\"";
      case Value::kFile:
      case Value::kPath:
        return ":file:_files";
      case Value::kFolder:
        return ":folder:_files -/";
      case Value::kChoice:
        return fmt::format(":choice:({})", fmt::join(option.choices, " "));
      case Value::kOther:
        return ":value: ";
    }
    return "";
  };
  std::string script =
      "#compdef multimeditron\n"
      "# zsh completion of multimeditron: put it into a folder of $fpath as _multimeditron\n"
      "_multimeditron() {\n"
      "  local -a subcommands\n"
      "  subcommands=(\n";
  std::string cases;
  for (const SubcommandInfo& each : subcommands) {
    script += fmt::format("    '{}:{}'\n", each.name, quoted(each.description, ":"));
    cases += fmt::format("    {}) _arguments", each.name);
    for (const OptionInfo& option : each.options) {
      if (!option.name.empty())
        cases += fmt::format(" \\\n      '{}[{}]{}'", option.name, quoted(option.description, "[]:\\"), action(option));
    }
    if (each.name == "completion") cases += " \\\n      '1:shell:(bash zsh fish)'";
    if (each.name == "help")
      cases += " \\\n      '1:subcommand:(" +
               fmt::format("{}", fmt::join(
                                     [&] {
                                       std::vector<std::string> names;
                                       for (const SubcommandInfo& one : subcommands) names.push_back(one.name);
                                       return names;
                                     }(),
                                     " ")) +
               ")'";
    if (each.name == "check") cases += " \\\n      '*:recipe or data set:_files'";
    cases += " ;;\n";
  }
  script +=
      "  )\n"
      "  if ((CURRENT == 2)); then\n"
      "    _describe 'subcommand' subcommands\n"
      "    return\n"
      "  fi\n"
      "  local subcommand=$words[2]\n"
      "  shift words\n"
      "  ((CURRENT--))\n"
      "  case $subcommand in\n" +
      cases +
      "  esac\n"
      "}\n"
      "if [[ $funcstack[1] == _multimeditron ]]; then _multimeditron \"$@\"; else compdef _multimeditron multimeditron; fi\n";
  return script;
}

std::string fish(const std::vector<SubcommandInfo>& subcommands) {
  std::string script =
      "# fish completion of multimeditron: put it into ~/.config/fish/completions/multimeditron.fish\n"
      "complete -c multimeditron -f\n";
  const std::string recipes = "(__fish_complete_suffix .yaml; __fish_complete_suffix .yml)";
  for (const SubcommandInfo& each : subcommands) {
    script += fmt::format("complete -c multimeditron -n __fish_use_subcommand -a {} -d '{}'\n", each.name, quoted(each.description, ""));
    const std::string here = fmt::format("complete -c multimeditron -n '__fish_seen_subcommand_from {}'", each.name);
    for (const OptionInfo& option : each.options) {
      if (option.name.empty()) continue;
      std::string value;
      if (option.value == Value::kRecipe) value = fmt::format(" -x -a '{}'", recipes);
      if (option.value == Value::kFile || option.value == Value::kPath) value = " -r -F";
      if (option.value == Value::kFolder) value = " -x -a '(__fish_complete_directories)'";
      if (option.value == Value::kChoice) value = fmt::format(" -x -a '{}'", fmt::join(option.choices, " "));
      if (option.value == Value::kOther) value = " -x";
      script += fmt::format("{} -l {}{} -d '{}'\n", here, option.name.substr(2), value, quoted(option.description, ""));
    }
    if (each.name == "check") script += here + " -F\n";
    if (each.name == "completion") script += here + " -a 'bash zsh fish'\n";
  }
  return script;
}

}  // namespace

void add_completion(CLI::App& app, Action& action) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* completion_app =
      add_subcommand(app, "completion", "Print a completion script for a shell", "source <(multimeditron completion bash)");
  completion_app->add_option("shell", *shell, "bash, zsh or fish")->type_name("SHELL");
  completion_app->callback([shell, &action] {
    action = [shell] {
      require_option(!shell->empty(), "SHELL", "one of: bash, zsh, fish");
      require_choice("SHELL", *shell, std::vector<std::string>{"bash", "zsh", "fish"});
      const auto subcommands = describe();
      std::fputs((*shell == "bash" ? bash(subcommands) : *shell == "zsh" ? zsh(subcommands) : fish(subcommands)).c_str(), stdout);
      return kExitDone;
    };
  });
}

}  // namespace multimeditron
