// Saves checkpoints the way a run does; the fault tests make it fail and kill it.
//   save_program once RUN STEP   saves checkpoint-STEP, prunes to two, writes the run's state; exit code 2 and a message on a UserError
//   save_program loop RUN STEP   the same for STEP, STEP + 1, ... until it is killed
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/tensors.h"
#include "checkpoint/training_state.h"

namespace multimeditron {
namespace {

void save(const std::filesystem::path& run, int64_t step) {
  write_checkpoint_folder(run, step, [&](const std::filesystem::path& folder) {
    write_safetensors(folder, "model", {counting_tensor("a", 40, 50, static_cast<float>(step)), counting_tensor("b", 30, 70)},
                      {{"format", "pt"}}, 9000);
    FileWriter config(folder / "config.json");
    config.write("{}\n");
    config.close();
    copy_file_synced(folder / "config.json", folder / "copy.json");
    TrainingState state;
    state.step = step;
    write_training_state(folder, state, {counting_tensor(optimizer_key(OptimizerPart::kMaster, "a"), 40, 50)});
    write_trainer_state(folder, {.global_step = step});
  });
  prune_checkpoints(run, 2);
  write_run_state(run, "running");
}

}  // namespace
}  // namespace multimeditron

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  const std::string mode = argv[1];
  try {
    for (int64_t step = std::atoll(argv[3]);; ++step) {
      multimeditron::save(argv[2], step);
      if (mode == "once") return 0;
    }
  } catch (const multimeditron::UserError& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 2;
  }
}
