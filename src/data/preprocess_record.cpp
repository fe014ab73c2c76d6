#include "data/preprocess_record.h"

#include "base/error.h"

namespace multimeditron {
namespace {

PreprocessRecord from_json(const Json& json) {
  PreprocessRecord record;
  record.columns = {json.at("columns").at("text").get<bool>(), json.at("columns").at("conversations").get<bool>()};
  record.next = json.at("next").get<int64_t>();
  record.quarantine = {.seen = record.next, .bad = json.at("bad").get<int64_t>(), .bytes = json.at("quarantine_bytes").get<int64_t>()};
  for (const Json& shard : json.at("shards")) {
    record.shards.push_back({{.rows = shard.at("rows").get<int64_t>(),
                              .bytes = shard.at("bytes").get<int64_t>(),
                              .sha256 = shard.at("sha256").get<std::string>()},
                             shard.at("images").get<int64_t>()});
  }
  return record;
}

}  // namespace

Json to_json(const PreprocessRecord& record, const std::vector<std::string>& names) {
  Json shards = Json::array();
  for (size_t i = 0; i < record.shards.size(); ++i) {
    const PreprocessRecord::Shard& shard = record.shards[i];
    shards.push_back({{"file", names[i]},
                      {"rows", shard.written.rows},
                      {"images", shard.images},
                      {"bytes", shard.written.bytes},
                      {"sha256", shard.written.sha256}});
  }
  return {{"columns", {{"text", record.columns.text}, {"conversations", record.columns.conversations}}},
          {"next", record.next},
          {"bad", record.quarantine.bad},
          {"quarantine_bytes", record.quarantine.bytes},
          {"shards", shards}};
}

PreprocessRecord read_record(const Json& manifest, const std::filesystem::path& file) {
  try {
    return from_json(manifest);
  } catch (const Json::exception&) {
    throw UserError("the record of the work cannot be read",
                    {.where = file.string(), .found = "not what preprocess writes", .fix = "set it aside with --fresh"});
  }
}

}  // namespace multimeditron
