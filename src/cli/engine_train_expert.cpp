#include "cli/engine.h"
#include "training/expert_trainer.h"

namespace multimeditron {

int run_train_expert(const TrainExpertCommand& command) {
  if (command.dry_run) {
    print_expert_plan(command.recipe, command.output);
  } else {
    train_expert(command.recipe, command.fresh, command.output);
  }
  return 0;
}

}  // namespace multimeditron
