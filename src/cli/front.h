#pragma once

#include <memory>

#include "cli/subcommands.h"

namespace multimeditron {

/// The whole command line; `action` is set by parsing. Help and completion read the same description.
std::unique_ptr<CLI::App> make_app(Action& action);

/// Parses the command line and runs what it asks for. Throws UserError for what it does not understand; returns the exit code.
int run_front(int argc, const char* const* argv);

}  // namespace multimeditron
