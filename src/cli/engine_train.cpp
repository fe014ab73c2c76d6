#include "cli/engine.h"
#include "training/trainer.h"

namespace multimeditron {

int run_train(const TrainCommand& command) {
  if (command.dry_run) {
    print_plan(command.recipe, command.output);
  } else {
    train(command.recipe, command.fresh, command.output);
  }
  return 0;
}

}  // namespace multimeditron
