#include "data/preprocess.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "data/image_loader.h"
#include "data/loader.h"
#include "data/parallel.h"
#include "data/preprocess_record.h"
#include "data/sampler.h"
#include "image/image.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;

constexpr const char* kManifest = "preprocess.json";
constexpr const char* kQuarantine = "quarantine.jsonl";

/// Rows that a worker prepares before the next lot is dealt out; fewer where their bytes are many.
constexpr int64_t kRowsPerWorker = 32;

bool is_single_file(const PreprocessOptions& options) {
  return options.output.extension() == ".parquet";
}

/// The rows that are taken, in order.
std::vector<int64_t> rows_in_order(int64_t size, const PreprocessOptions& options) {
  const int64_t num_rows = std::min(size, options.head.value_or(size));
  std::vector<int64_t> rows(static_cast<size_t>(num_rows));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  if (options.shuffle_seed) rows = numpy_permutation(static_cast<uint64_t>(*options.shuffle_seed), num_rows);
  // The first parts are one row longer where it does not come out even.
  const int64_t each = num_rows / options.num_shards, longer = num_rows % options.num_shards, part = options.shard_id;
  const auto begin = rows.begin() + each * part + std::min(part, longer);
  return {begin, begin + each + (part < longer ? 1 : 0)};
}

/// What the result depends on.
Json settings_of(const Dataset& dataset, const PreprocessOptions& options) {
  const auto or_null = [](const std::optional<int64_t>& value) { return value ? Json(*value) : Json(); };
  return {{"version", 1},
          {"data", dataset.fingerprint()},
          {"format", options.format == ShardFormat::kArrow ? "arrow" : "parquet"},
          {"shard_bytes", options.shard_bytes},
          {"image_folder", options.image_folder.empty() ? "" : fs::absolute(options.image_folder).lexically_normal().string()},
          {"attachment_token", options.attachment_token},
          {"any_text", options.any_text},
          {"head", or_null(options.head)},
          {"shuffle_seed", or_null(options.shuffle_seed)},
          {"num_shards", options.num_shards},
          {"shard_id", options.shard_id}};
}

/// What a kill leaves of a file that was to appear whole.
bool is_temporary(const std::string& name) {
  const auto begins = [&](const char* file) { return name.starts_with(std::string(file) + ".tmp-"); };
  return begins(kManifest) || begins("state.json") || begins("dataset_info.json");
}

bool is_whole(const fs::path& file, const PreprocessRecord::Shard& shard) {
  std::error_code code;
  const auto size = fs::file_size(file, code);
  return !code && static_cast<int64_t>(size) == shard.written.bytes && sha256_of_file(file) == shard.written.sha256;
}

int64_t bytes_of(const Row& row) {
  size_t bytes = row.text ? row.text->size() : 0;
  for (const Message& message : row.conversations) bytes += message.content.size();
  for (const Attachment& attachment : row.modalities) bytes += attachment.bytes.size();
  return static_cast<int64_t>(bytes);
}

size_t count_tokens(const Row& row, const std::string& token) {
  size_t count = 0;
  const auto add = [&](const std::string& text) {
    for (size_t at = text.find(token); at != std::string::npos; at = text.find(token, at + token.size())) ++count;
  };
  if (row.text) add(*row.text);
  for (const Message& message : row.conversations) add(message.content);
  return count;
}

/// Throws UserError for a row that no training could use.
void check_text(const Row& row, const std::string& token) {
  if (row.conversations.empty() == !row.text.has_value()) {
    throw UserError(row.text ? "a row with both a text and a conversation" : "a row without a text or a conversation",
                    {.fix = "give each row exactly one of `text` and `conversations`"});
  }
  const auto is_answer = [](const Message& message) { return message.role == "assistant"; };
  if (!row.text && std::none_of(row.conversations.begin(), row.conversations.end(), is_answer))
    throw UserError("the conversation has no assistant turn");
  const size_t num_tokens = count_tokens(row, token);
  if (num_tokens != row.modalities.size()) {
    throw UserError("images and attachment tokens do not match",
                    {.found = fmt::format("{} in `modalities`, {} in the text", row.modalities.size(), num_tokens)});
  }
}

/// A row with its images' bytes, or why it is bad.
struct Prepared {
  Row row;
  std::string error;
};

class Preprocessor {
 public:
  Preprocessor(const Dataset& dataset, const PreprocessOptions& options, const std::function<void(int64_t, int64_t)>& on_progress,
               const std::function<bool()>& stop)
      : dataset_(dataset),
        options_(options),
        on_progress_(on_progress),
        stop_(stop),
        work_(partial_folder(options.output)),
        settings_(settings_of(dataset, options)),
        rows_(rows_in_order(dataset.size(), options)),
        quarantine_(work_ / kQuarantine, options.on_bad == PreprocessOptions::OnBad::kSkip ? 1.0 : options.max_bad_samples) {}

  PreprocessResult run() {
    if (const auto done = find_finished()) return *done;
    require_own_folder();
    restore();
    create_folders();
    if (position_.next == 0) position_.columns = find_columns();
    write_shards();
    finish();
    return result();
  }

 private:
  PreprocessResult result() const {
    PreprocessResult result{
        .bad = position_.quarantine.bad, .shards = static_cast<int64_t>(position_.shards.size()), .kept_shards = kept_shards_};
    for (const PreprocessRecord::Shard& shard : position_.shards) {
      result.rows += shard.written.rows;
      result.images += shard.images;
      result.bytes += shard.written.bytes;
    }
    return result;
  }

  /// Where the manifest of a finished output lies.
  fs::path final_manifest() const {
    return is_single_file(options_) ? fs::path(options_.output.string() + ".json") : options_.output / kManifest;
  }

  /// The name of shard `number` inside the output, `total` where it is known.
  std::string shard_name(size_t number, size_t total) const {
    if (is_single_file(options_)) return options_.output.filename().string();
    const std::string of = total == 0 ? "" : fmt::format("-of-{:05}", total);
    return options_.format == ShardFormat::kArrow ? fmt::format("data-{:05}{}.arrow", number, of)
                                                  : fmt::format("data/train-{:05}{}.parquet", number, of);
  }

  std::vector<std::string> shard_names(size_t total) const {
    std::vector<std::string> names;
    for (size_t i = 0; i < position_.shards.size(); ++i) names.push_back(shard_name(i, total));
    return names;
  }

  /// The result of an earlier call, where the output is there, whole, and made of the same.
  std::optional<PreprocessResult> find_finished() {
    std::error_code code;
    if (!fs::exists(options_.output, code) && !fs::exists(final_manifest(), code)) return std::nullopt;
    if (!fs::exists(final_manifest(), code)) {
      if (is_single_file(options_) && has_whole_shards()) return std::nullopt;  // stopped while it finished
      if (fs::is_directory(options_.output, code) && fs::is_empty(options_.output, code)) return std::nullopt;
      throw UserError("the output is already there", {.where = options_.output.string(), .fix = "choose another `--output`, or remove it"});
    }
    const Json manifest = read_json(final_manifest());
    require_same(manifest, final_manifest());
    position_ = read_record(manifest, final_manifest());
    const fs::path folder = is_single_file(options_) ? options_.output.parent_path() : options_.output;
    const std::vector<std::string> names = shard_names(position_.shards.size());
    for_each_parallel(static_cast<int64_t>(names.size()), options_.workers, [&](int64_t i) {
      const auto number = static_cast<size_t>(i);
      if (is_whole(folder / names[number], position_.shards[number])) return;
      throw UserError("a file of the finished output is damaged or missing", {.where = (folder / names[number]).string(),
                                                                              .found = fmt::format("other bytes than {} says", kManifest),
                                                                              .fix = "remove the output, and make it again"});
    });
    PreprocessResult done = result();
    done.was_done = true;
    return done;
  }

  void require_same(const Json& manifest, const fs::path& file) const {
    try {
      const Json& old = manifest.at("settings");
      std::string difference;
      for (const auto& [key, value] : settings_.items()) {
        const Json before = old.contains(key) ? old[key] : Json();
        if (before == value) continue;
        difference += fmt::format("\n  {}: {} then, {} now", key, before.dump(), value.dump());
      }
      if (difference.empty()) return;
      throw UserError("the output was begun with other settings or data",
                      {.where = file.string(),
                       .found = "these differ:" + difference,
                       .fix = "choose another `--output`, or set the old one aside with --fresh"});
    } catch (const Json::exception&) {
      throw UserError("the record of the work cannot be read",
                      {.where = file.string(), .found = "not what preprocess writes", .fix = "set it aside with --fresh"});
    }
  }

  bool has_whole_shards() const {
    std::error_code code;
    if (!fs::exists(work_ / kManifest, code)) return false;
    const Json manifest = read_json(work_ / kManifest);
    return manifest.contains("shards") && !manifest["shards"].empty();
  }

  /// The manifest is the first file of the work: a folder without it that holds anything is somebody else's.
  void require_own_folder() const {
    std::error_code code;
    const bool is_own = fs::exists(work_ / kManifest, code);
    for (const auto& entry : fs::directory_iterator(work_, code)) {
      const std::string name = entry.path().filename().string();
      if (is_temporary(name)) {
        fs::remove(entry.path(), code);
      } else if (!is_own) {
        throw UserError("the folder for unfinished work holds something else", {.where = work_.string(),
                                                                                .found = fmt::format("{}, and no {}", name, kManifest),
                                                                                .fix = "move it away, or choose another `--output`"});
      }
    }
  }

  /// What an earlier call has left before its first shard was whole; that may have been of another format.
  void remove_beginning() const {
    std::error_code code;
    for (const char* name : {"data-00000.arrow", "data/train-00000.parquet", "data", kQuarantine}) fs::remove(work_ / name, code);
    if (is_single_file(options_)) fs::remove(work_ / shard_name(0, 0), code);
  }

  void create_folders() const {
    std::error_code code;
    fs::create_directories(options_.format == ShardFormat::kParquet && !is_single_file(options_) ? work_ / "data" : work_, code);
    if (code) throw_file_error("create", work_, code.value());
    if (position_.shards.empty()) write_manifest(0);
  }

  /// Goes on behind the last whole shard of an interrupted call.
  void restore() {
    if (!fs::exists(work_ / kManifest)) return quarantine_.restore({});
    const Json manifest = read_json(work_ / kManifest);
    PreprocessRecord position = read_record(manifest, work_ / kManifest);
    if (position.shards.empty()) {
      remove_beginning();
      return quarantine_.restore({});
    }
    require_same(manifest, work_ / kManifest);
    position_ = std::move(position);
    // A call that was interrupted while it finished may have given some shards their last names.
    for (size_t i = 0; i < position_.shards.size(); ++i) {
      const fs::path name = work_ / shard_name(i, 0);
      const fs::path last_name = is_single_file(options_) ? options_.output : work_ / shard_name(i, position_.shards.size());
      if (!fs::exists(name) && fs::exists(last_name)) fs::rename(last_name, name);
    }
    for_each_parallel(static_cast<int64_t>(position_.shards.size()), options_.workers, [&](int64_t i) {
      const auto number = static_cast<size_t>(i);
      const fs::path file = work_ / shard_name(number, 0);
      if (is_whole(file, position_.shards[number])) return;
      throw UserError("a shard of the interrupted work is damaged or missing",
                      {.where = file.string(), .found = "other bytes than were written", .fix = "begin anew with --fresh"});
    });
    kept_shards_ = static_cast<int64_t>(position_.shards.size());
    quarantine_.restore(position_.quarantine);
  }

  /// Texts, conversations or both: a look at every row until both have been met.
  RowColumns find_columns() const {
    std::atomic<bool> text = false, conversations = false;
    for_each_parallel(static_cast<int64_t>(rows_.size()), options_.workers, [&](int64_t i) {
      if (text && conversations) return;
      try {
        const Row row = dataset_.text_row(rows_[static_cast<size_t>(i)]);
        if (row.text) text = true;
        if (!row.conversations.empty()) conversations = true;
      } catch (const UserError&) {
        // told when its turn comes
      }
    });
    return {.text = text || !conversations, .conversations = conversations};
  }

  Prepared prepare(int64_t index) const {
    Prepared prepared;
    try {
      prepared.row = dataset_.row(index);
      if (!options_.any_text) check_text(prepared.row, options_.attachment_token);
      for (size_t i = 0; i < prepared.row.modalities.size(); ++i) {
        try {
          load(prepared.row.modalities[i], index);
        } catch (const UserError& error) {
          throw UserError(fmt::format("image {}: {}", i + 1, error.message()), {.found = error.details().found});
        }
      }
    } catch (const UserError& error) {
      prepared.row = {};
      prepared.error = error.message() + (error.details().found.empty() ? "" : ": " + error.details().found);
    }
    return prepared;
  }

  /// The attachment's bytes; of an image they must decode.
  void load(Attachment& attachment, int64_t index) const {
    if (attachment.bytes.empty())
      attachment.bytes = read_image_file(options_.image_folder.empty() ? dataset_.folder(index) : options_.image_folder, attachment.path);
    if (attachment.type == "image") decode_image(std::as_bytes(std::span(attachment.bytes)));
  }

  /// The rows from `begin` on, until there are enough of them or of their bytes.
  std::vector<Prepared> prepare_lot(int64_t begin) const {
    const int64_t most = std::min(kRowsPerWorker * options_.workers, std::ssize(rows_) - begin);
    std::vector<Prepared> lot(static_cast<size_t>(most));
    std::atomic<int64_t> bytes = 0, end = most;
    for_each_parallel(most, options_.workers, [&](int64_t i) {
      if (i > 0 && bytes >= options_.lot_bytes) {
        int64_t last = end;
        while (i < last && !end.compare_exchange_weak(last, i)) {
        }
        return;
      }
      Prepared& prepared = lot[static_cast<size_t>(i)];
      prepared = prepare(rows_[static_cast<size_t>(begin + i)]);
      bytes += bytes_of(prepared.row);
    });
    lot.resize(static_cast<size_t>(end));  // behind it another worker may have been faster: that row comes again
    return lot;
  }

  /// Takes the lots of rows through the workers; one lot is written while the next one is prepared.
  void write_shards() {
    const auto num_rows = static_cast<int64_t>(rows_.size());
    if (on_progress_) on_progress_(position_.next, num_rows);
    std::future<void> writing;
    for (int64_t begin = position_.next; begin < num_rows;) {
      if (stop_ && stop_()) break;
      std::vector<Prepared> prepared = prepare_lot(begin);
      const int64_t end = begin + std::ssize(prepared);
      if (writing.valid()) writing.get();
      writing = std::async(std::launch::async, [this, begin, lot = std::move(prepared)] { write(begin, lot); });
      begin = end;
    }
    if (writing.valid()) writing.get();
    if (stop_ && stop_()) throw Interrupted();
    if (writer_ != nullptr) close_shard(num_rows);
  }

  void write(int64_t begin, const std::vector<Prepared>& prepared) {
    for (size_t i = 0; i < prepared.size(); ++i) {
      const int64_t at = begin + static_cast<int64_t>(i), row = rows_[static_cast<size_t>(at)];
      quarantine_.seen(1);
      if (!prepared[i].error.empty()) {
        if (options_.on_bad == PreprocessOptions::OnBad::kFail)
          throw UserError("a row cannot be used", {.where = dataset_.place(row), .found = prepared[i].error, .fix = "mend or remove it"});
        quarantine_.add(row, dataset_.place(row), prepared[i].error);
        continue;
      }
      if (writer_ == nullptr) {
        writer_ = std::make_unique<ShardWriter>(work_ / shard_name(position_.shards.size(), 0), options_.format, position_.columns);
        bytes_in_shard_ = images_in_shard_ = 0;
      }
      writer_->add(prepared[i].row);
      bytes_in_shard_ += bytes_of(prepared[i].row);
      images_in_shard_ += static_cast<int64_t>(prepared[i].row.modalities.size());
      if (bytes_in_shard_ >= options_.shard_bytes && !is_single_file(options_)) close_shard(at + 1);
    }
    if (on_progress_) on_progress_(begin + static_cast<int64_t>(prepared.size()), static_cast<int64_t>(rows_.size()));
  }

  /// Ends the shard; rows before `next` are dealt with.
  void close_shard(int64_t next) {
    position_.shards.push_back({writer_->close(), images_in_shard_});
    writer_ = nullptr;
    position_.next = next;
    position_.quarantine = quarantine_.position();
    write_manifest(0);
  }

  void write_manifest(size_t total) const {
    Json manifest = {{"settings", settings_}};
    manifest.update(to_json(position_, shard_names(total)));
    write_file_atomic(work_ / kManifest, manifest.dump(2) + "\n");
  }

  void finish() {
    if (position_.shards.empty()) {
      throw UserError("no row can be used",
                      {.where = rows_.empty() ? "" : dataset_.place(rows_[0]), .found = quarantine_.last_error(), .fix = "mend the rows"});
    }
    position_.next = static_cast<int64_t>(rows_.size());
    position_.quarantine = quarantine_.position();
    if (is_single_file(options_)) return finish_file();
    const std::vector<std::string> names = shard_names(position_.shards.size());
    std::string content;
    write_manifest(0);
    for (size_t i = 0; i < names.size(); ++i) {
      fs::rename(work_ / shard_name(i, 0), work_ / names[i]);
      content += position_.shards[i].written.sha256;
    }
    if (options_.format == ShardFormat::kParquet) sync_folder(work_ / "data");
    if (options_.format == ShardFormat::kArrow) write_saved_folder_files(work_, position_.columns, names, sha256(content).substr(0, 16));
    write_manifest(names.size());
    remove_empty_quarantine();
    std::error_code code;
    fs::remove(options_.output, code);  // an empty folder
    fs::rename(work_, options_.output, code);
    if (code) throw_file_error("rename", work_, code.value());
    sync_parent();
  }

  /// The single file, then its manifest: whoever finds the manifest finds the file.
  void finish_file() {
    write_manifest(1);
    remove_empty_quarantine();
    const fs::path quarantine = work_ / kQuarantine;
    if (fs::exists(quarantine)) fs::rename(quarantine, options_.output.string() + "." + kQuarantine);
    fs::rename(work_ / shard_name(0, 0), options_.output);
    fs::rename(work_ / kManifest, final_manifest());
    std::error_code code;
    fs::remove(work_, code);
    sync_parent();
  }

  void remove_empty_quarantine() const {
    std::error_code code;
    if (fs::exists(work_ / kQuarantine, code) && fs::file_size(work_ / kQuarantine, code) == 0) fs::remove(work_ / kQuarantine, code);
  }

  void sync_parent() const { sync_folder(options_.output.has_parent_path() ? options_.output.parent_path() : "."); }

  const Dataset& dataset_;
  const PreprocessOptions& options_;
  const std::function<void(int64_t, int64_t)>& on_progress_;
  const std::function<bool()>& stop_;
  fs::path work_;
  Json settings_;
  std::vector<int64_t> rows_;
  Quarantine quarantine_;
  PreprocessRecord position_;
  int64_t kept_shards_ = 0;
  std::unique_ptr<ShardWriter> writer_;  // only the thread that writes touches these three
  int64_t bytes_in_shard_ = 0, images_in_shard_ = 0;
};

}  // namespace

fs::path partial_folder(const fs::path& output) {
  fs::path folder = output.lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();  // "out/" names "out"
  return folder.string() + ".partial";
}

PreprocessResult preprocess(const Dataset& dataset, const PreprocessOptions& options,
                            const std::function<void(int64_t, int64_t)>& on_progress, const std::function<bool()>& stop) {
  return Preprocessor(dataset, options, on_progress, stop).run();
}

}  // namespace multimeditron
