#include "cli/front.h"
#include "cli/guard.h"

int main(int argc, char** argv) {
  return multimeditron::run_guarded([&] { return multimeditron::run_front(argc, argv); });
}
