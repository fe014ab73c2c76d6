#pragma once

#include "cli/command.h"

namespace multimeditron {

/// One function a subcommand, each in its own engine_*.cpp. They return an exit code and may throw: the engine's entry catches.
int run_train(const TrainCommand& command);
int run_train_expert(const TrainExpertCommand& command);
int run_train_gate(const TrainGateCommand& command);
int run_inspect(const InspectCommand& command);
int run_generate(const GenerateCommand& command);
int run_evaluate(const EvaluateCommand& command);
int run_report(const ReportCommand& command);
int run_preprocess(const PreprocessCommand& command);
int run_check(const CheckCommand& command);
int run_demo(const DemoCommand& command);

}  // namespace multimeditron

/// Entry of libmultimeditron_engine.so, looked up by name by the front. Throws nothing; returns the exit code.
extern "C" __attribute__((visibility("default"))) int multimeditron_engine(const multimeditron::Command& command);
