#include "data/dataset_writer.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/hash.h"
#include "data/shard_writer.h"

namespace multimeditron {

struct DatasetWriter::State {
  std::filesystem::path folder;
  int64_t rows_per_shard;
  std::optional<bool> is_text;
  std::vector<std::filesystem::path> shards;  // under the names they have until their number is known
  std::string content;                        // their digests
  std::unique_ptr<ShardWriter> writer;

  RowColumns columns() const { return {.text = *is_text, .conversations = !*is_text}; }

  void close_shard() {
    if (writer == nullptr) return;
    content += writer->close().sha256;
    writer = nullptr;
  }
};

DatasetWriter::DatasetWriter(std::filesystem::path folder, int64_t rows_per_shard) : state_(std::make_unique<State>()) {
  std::error_code code;
  std::filesystem::create_directories(folder, code);
  if (code)
    throw UserError("cannot make the data set's folder",
                    {.where = folder.string(), .found = code.message(), .fix = "choose another folder"});
  if (!std::filesystem::is_empty(folder)) {
    throw UserError("the data set's folder is not empty", {.where = folder.string(), .fix = "choose another folder, or remove this one"});
  }
  state_->folder = std::move(folder);
  state_->rows_per_shard = rows_per_shard;
}

DatasetWriter::~DatasetWriter() = default;

void DatasetWriter::add(const Row& row) {
  State& state = *state_;
  const bool is_text = row.text.has_value();
  if (is_text == !row.conversations.empty() || (state.is_text && *state.is_text != is_text)) {
    throw UserError("a row that does not fit the data set",
                    {.where = state.folder.string(), .fix = "give every row a text, or every row a conversation"});
  }
  state.is_text = is_text;
  if (state.writer == nullptr) {
    state.shards.push_back(state.folder / fmt::format("data-{:05}.arrow.partial", state.shards.size()));
    state.writer = std::make_unique<ShardWriter>(state.shards.back(), ShardFormat::kArrow, state.columns());
  }
  state.writer->add(row);
  if (state.writer->rows() >= state.rows_per_shard) state.close_shard();
}

void DatasetWriter::close() {
  State& state = *state_;
  if (!state.is_text) throw UserError("a data set without rows", {.where = state.folder.string(), .fix = "add a row before closing it"});
  state.close_shard();
  std::vector<std::string> names;
  for (size_t i = 0; i < state.shards.size(); ++i) {
    names.push_back(fmt::format("data-{:05}-of-{:05}.arrow", i, state.shards.size()));
    std::filesystem::rename(state.shards[i], state.folder / names.back());
  }
  write_saved_folder_files(state.folder, state.columns(), names, sha256(state.content).substr(0, 16));
}

}  // namespace multimeditron
