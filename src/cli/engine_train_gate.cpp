#include "cli/engine.h"
#include "training/gate_trainer.h"

namespace multimeditron {

int run_train_gate(const TrainGateCommand& command) {
  if (command.dry_run) {
    print_gate_plan(command.recipe, command.output);
  } else {
    train_gate(command.recipe, command.fresh, command.output);
  }
  return 0;
}

}  // namespace multimeditron
