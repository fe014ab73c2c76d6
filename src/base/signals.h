#pragma once

namespace multimeditron {

/// SIGTERM, SIGINT and SIGUSR1 (what Slurm, a user and `--signal=USR1` send ahead of the end) set a flag instead of ending the process, so
/// that the run saves its state first. A second SIGINT ends the process at once, for whoever does not want to wait. SIGPIPE is ignored: a
/// run outlives the program that reads its output.
void install_stop_signals();

/// True once one of the signals has arrived. May be read from any thread.
bool stop_requested();

/// "SIGTERM": the signal that came first, for messages; empty where none came.
const char* stop_signal_name();

}  // namespace multimeditron
