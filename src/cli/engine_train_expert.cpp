#include "cli/engine.h"
#include "training/expert_trainer.h"

namespace multimeditron {

int run_train_expert(const TrainExpertCommand& command) {
  train_expert(command.recipe, command.fresh, command.output);
  return 0;
}

}  // namespace multimeditron
