#include "cli/front.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/error.h"
#include "base/suggest.h"

namespace multimeditron {
namespace {

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* each : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(each->get_name());
    for (const std::string& alias : each->get_aliases()) names.push_back(alias);
  }
  return names;
}

[[noreturn]] void unknown_subcommand(const CLI::App& app, const std::string& word) {
  const auto suggestion = nearest(word, subcommand_names(app));
  throw UserError(fmt::format("unknown subcommand `{}`", word),
                  {.fix = suggestion ? fmt::format("did you mean `{}`? `multimeditron help` lists all", *suggestion)
                                     : "`multimeditron help` lists all"});
}

/// What no option and no positional has taken.
void check_extras(const CLI::App& subcommand) {
  for (const std::string& extra : subcommand.remaining()) {
    const std::string help = fmt::format("`multimeditron {} --help` lists its options", subcommand.get_name());
    if (extra.size() < 2 || extra[0] != '-') {
      throw UserError(fmt::format("unexpected argument `{}` of `{}`", extra, subcommand.get_name()),
                      {.fix = "put text with blanks in quotes; " + help});
    }
    std::vector<std::string> options;
    for (const CLI::Option* option : subcommand.get_options()) {
      for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
    }
    const std::string name = extra.substr(0, extra.find('='));
    const auto suggestion = nearest(name, options);
    throw UserError(fmt::format("unknown option `{}` of `{}`", name, subcommand.get_name()),
                    {.fix = suggestion ? fmt::format("did you mean `{}`? {}", *suggestion, help) : help});
  }
}

UserError option_mistake(const CLI::App& app, const CLI::ParseError& error) {
  std::string subcommand;
  for (const CLI::App* each : app.get_subcommands()) subcommand = each->get_name() + " ";
  const std::string help = fmt::format("`multimeditron {}--help` explains each option", subcommand);
  const std::string text = error.what();
  if (error.get_name() == "ArgumentMismatch") return UserError("an option lacks its value", {.found = text, .fix = help});
  if (error.get_name() == "ConversionError") return UserError("an option's value has the wrong form", {.found = text, .fix = help});
  return UserError("this command line cannot be read", {.found = text, .fix = help});
}

}  // namespace

std::unique_ptr<CLI::App> make_app(Action& action) {
  auto app = std::make_unique<CLI::App>("Trains and evaluates medical vision-language models, and asks them.", "multimeditron");
  app->require_subcommand(0, 1);
  app->allow_extras();
  app->get_formatter()->column_width(34);
  app->footer(
      "Example:\n  multimeditron train --config recipe.yaml training_args.max_steps=10\n\n`multimeditron help SUBCOMMAND` says more.");
  app->set_version_flag("--version", "multimeditron " MULTIMEDITRON_VERSION);
  add_train(*app, action);
  add_train_expert(*app, action);
  add_train_gate(*app, action);
  add_inspect(*app, action);
  add_generate(*app, action);
  add_evaluate(*app, action);
  add_report(*app, action);
  add_preprocess(*app, action);
  add_demo(*app, action);
  add_check(*app, action);
  add_schema(*app, action);
  add_version(*app, action);
  add_completion(*app, action);
  add_help(*app, action);
  return app;
}

int run_front(int argc, const char* const* argv) {
  Action action;
  const auto app = make_app(action);
  if (argc < 2) {
    std::fputs(app->help().c_str(), stderr);
    return kExitUserError;
  }
  const std::string first = argv[1];
  if (!first.starts_with('-')) {
    const auto names = subcommand_names(*app);
    if (std::find(names.begin(), names.end(), first) == names.end()) unknown_subcommand(*app, first);
  }
  try {
    app->parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app->help().c_str(), stdout);
    return kExitDone;
  } catch (const CLI::Success& success) {  // --version
    std::puts(success.what());
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    throw option_mistake(*app, error);
  }
  if (!app->remaining().empty() && app->get_subcommands().empty()) {
    throw UserError(fmt::format("unknown option `{}`", app->remaining().front()), {.fix = "`multimeditron help` lists the subcommands"});
  }
  for (const CLI::App* chosen : app->get_subcommands()) check_extras(*chosen);
  return action();
}

}  // namespace multimeditron
