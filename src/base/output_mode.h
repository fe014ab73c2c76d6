#pragma once

namespace multimeditron {

/// How a command speaks: lines for people, nothing but warnings and results (`--quiet`), or JSON lines on standard output (`--json`).
enum class OutputMode { kNormal, kQuiet, kJson };

}  // namespace multimeditron
