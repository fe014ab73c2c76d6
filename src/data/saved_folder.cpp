#include <arrow/api.h>
#include <arrow/io/file.h>
#include <arrow/ipc/reader.h>
#include <fmt/format.h>

#include "base/error.h"
#include "base/json.h"
#include "data/arrow_pool.h"
#include "data/arrow_rows.h"
#include "data/combined.h"
#include "data/formats.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

/// The files that state.json names under `key`: all inside the folder, all there.
std::vector<fs::path> listed_files(const fs::path& folder, const fs::path& state_file, const Json& files) {
  std::vector<fs::path> paths;
  for (const Json& file : files) {
    const auto entry = file.is_object() ? file.find("filename") : file.end();
    const std::string name = file.is_object() && entry != file.end() && entry->is_string() ? entry->get<std::string>() : "";
    const fs::path path = fs::path(name).lexically_normal();
    if (name.empty() || path.is_absolute() || *path.begin() == "..") {
      throw UserError("a save_to_disk folder names a file outside itself",
                      {.where = state_file.string(), .found = fmt::format("`{}`", name), .fix = "save the data set again"});
    }
    if (!fs::exists(folder / path)) {
      throw UserError(
          "a file of the data set is missing",
          {.where = state_file.string(), .found = fmt::format("{} is listed there", name), .fix = "copy the whole folder again"});
    }
    require_regular_file(folder / path);
    paths.push_back(folder / path);
  }
  return paths;
}

/// The rows that an indices file selects, in its order: one column of unsigned 64-bit numbers.
void read_indices(const fs::path& file, int64_t num_rows, std::vector<int64_t>& rows) {
  const std::string name = file.string();
  const auto mapping = value_or_throw(arrow::io::MemoryMappedFile::Open(name, arrow::io::FileMode::READ), name);
  BoundedPool pool(most_unpacked_bytes(value_or_throw(mapping->GetSize(), name)));
  arrow::ipc::IpcReadOptions options;
  options.memory_pool = &pool;
  options.ensure_alignment = arrow::ipc::Alignment::kDataTypeSpecificAlignment;
  const auto wrong = [&](const std::string& found) {
    return UserError("the data set's indices cannot be used", {.where = name, .found = found, .fix = "save the data set again"});
  };
  const auto reader = value_or_throw(arrow::ipc::RecordBatchStreamReader::Open(mapping, options), name);
  const auto& schema = *reader->schema();
  if (schema.num_fields() != 1 || schema.field(0)->type()->id() != arrow::Type::UINT64) throw wrong(schema.ToString());
  while (const std::shared_ptr<arrow::RecordBatch> batch = value_or_throw(reader->Next(), name)) {
    if (!batch->Validate().ok()) throw wrong("damaged data");
    const auto& indices = static_cast<const arrow::UInt64Array&>(*batch->column(0));
    for (int64_t i = 0; i < indices.length(); ++i) {
      if (indices.IsNull(i) || indices.Value(i) >= static_cast<uint64_t>(num_rows)) {
        throw wrong(fmt::format("row {} of {} rows", indices.IsNull(i) ? "null" : std::to_string(indices.Value(i)), num_rows));
      }
      rows.push_back(static_cast<int64_t>(indices.Value(i)));
    }
  }
}

}  // namespace

std::unique_ptr<Dataset> open_saved_folder(const fs::path& folder) {
  const fs::path state_file = folder / "state.json";
  const Json state = read_json(state_file);
  const auto files = state.find("_data_files");
  if (files == state.end() || !files->is_array()) {
    throw UserError("a save_to_disk folder without its list of files",
                    {.where = state_file.string(), .found = "no list `_data_files`", .fix = "save the data set again"});
  }
  const auto fingerprint = state.find("_fingerprint");
  auto dataset = open_arrow(listed_files(folder, state_file, *files), folder,
                            fingerprint != state.end() && fingerprint->is_string() ? fingerprint->get<std::string>() + "-" : "");
  // Versions before 1.5 saved a selection (select, shuffle, filter) as the whole data and the numbers of its rows.
  for (const char* key : {"_indices_files", "_indices_data_files"}) {
    const auto indices = state.find(key);
    if (indices == state.end() || !indices->is_array() || indices->empty()) continue;
    std::vector<int64_t> rows;
    for (const fs::path& file : listed_files(folder, state_file, *indices)) read_indices(file, dataset->size(), rows);
    return selected_rows(std::move(dataset), std::move(rows));
  }
  return dataset;
}

}  // namespace multimeditron
