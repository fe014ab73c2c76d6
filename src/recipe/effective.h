#pragma once

#include <string>

#include "base/json.h"

namespace multimeditron {

/// JSON as block-style YAML; strings are quoted where YAML would read something else, and a dollar is doubled, so that reading it back as a
/// recipe gives the same values.
std::string to_yaml(const Json& json);

/// Does the value at `path` ("training_args.save_steps") make a run what it is? Not so: where it writes, what it logs and saves, launch.
bool counts_for_fingerprint(const std::string& path);

/// SHA-256 over the effective recipe without what does not count.
std::string fingerprint_of(const Json& effective);

}  // namespace multimeditron
