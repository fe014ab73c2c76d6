#pragma once

#include "cli/command.h"

namespace multimeditron {

/// Opens libmultimeditron_engine.so (beside the program, else in ../lib/multimeditron) and runs `command` in it; this loads LibTorch, so it
/// comes last, when options and recipe have been checked. Returns the exit code. Throws UserError where the library is missing or cannot be
/// loaded.
int run_engine(const Command& command);

}  // namespace multimeditron
