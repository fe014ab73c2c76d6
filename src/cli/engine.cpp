#include "cli/engine.h"

#include "base/log.h"
#include "cli/guard.h"

namespace multimeditron {
namespace {

int run(const TrainCommand& command) {
  // The engine has its own copy of the logger: the level chosen in the front has to be set here again.
  if (command.output == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_train(command);
}

int run(const TrainExpertCommand& command) {
  if (command.output == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_train_expert(command);
}

int run(const TrainGateCommand& command) {
  if (command.output == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_train_gate(command);
}

int run(const InspectCommand& command) {
  return run_inspect(command);
}

int run(const GenerateCommand& command) {
  return run_generate(command);
}

int run(const EvaluateCommand& command) {
  if (command.mode == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_evaluate(command);
}

int run(const ReportCommand& command) {
  return run_report(command);
}

int run(const PreprocessCommand& command) {
  if (command.mode == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_preprocess(command);
}

int run(const CheckCommand& command) {
  if (command.mode == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_check(command);
}

int run(const DemoCommand& command) {
  if (command.mode == OutputMode::kQuiet) set_log_level(LogLevel::kQuiet);
  return run_demo(command);
}

}  // namespace
}  // namespace multimeditron

int multimeditron_engine(const multimeditron::Command& command) {
  return multimeditron::run_guarded([&] { return std::visit([](const auto& chosen) { return multimeditron::run(chosen); }, command); });
}
