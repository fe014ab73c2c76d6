#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/loader.h"
#include "data/shard_writer.h"

namespace multimeditron {

/// How far `preprocess` has come, as its manifest says it: rows before `next` are in the shards, or bad.
struct PreprocessRecord {
  struct Shard {
    ShardWriter::Written written;
    int64_t images = 0;
  };

  RowColumns columns;
  std::vector<Shard> shards;
  int64_t next = 0;
  Quarantine::Position quarantine;
};

/// `names`: the shards' files.
Json to_json(const PreprocessRecord& record, const std::vector<std::string>& names);

/// The work or the output that a manifest describes. Throws UserError naming `file` for anything else.
PreprocessRecord read_record(const Json& manifest, const std::filesystem::path& file);

}  // namespace multimeditron
