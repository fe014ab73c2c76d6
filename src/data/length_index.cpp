#include "data/length_index.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "data/parallel.h"

namespace multimeditron {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// An index file: a line with the format, the fingerprint, the number of rows and the SHA-256 of what follows, then 4 bytes a row.
constexpr const char* kFormat = "multimeditron lengths 1";
/// Rows that are counted again before a kept index is believed.
constexpr int64_t kProbes = 64;
constexpr int64_t kChunk = 256;

std::string header_of(const std::string& fingerprint, size_t num_rows, std::string_view content) {
  return fmt::format("{} {} {} {}\n", kFormat, fingerprint, num_rows, sha256(content));
}

std::string to_file(const std::string& fingerprint, const std::vector<int64_t>& lengths) {
  std::string content(lengths.size() * sizeof(int32_t), '\0');
  for (size_t row = 0; row < lengths.size(); ++row) {
    const auto length = static_cast<int32_t>(std::min<int64_t>(lengths[row], std::numeric_limits<int32_t>::max()));
    std::memcpy(content.data() + row * sizeof length, &length, sizeof length);
  }
  return header_of(fingerprint, lengths.size(), content) + content;
}

/// Nothing where `file` is not a whole index of that fingerprint and size.
std::optional<std::vector<int64_t>> from_file(std::string_view file, const std::string& fingerprint, size_t num_rows) {
  const size_t end = file.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view content = file.substr(end + 1);
  if (content.size() != num_rows * sizeof(int32_t)) return std::nullopt;
  if (file.substr(0, end + 1) != header_of(fingerprint, num_rows, content)) return std::nullopt;
  std::vector<int64_t> lengths(num_rows);
  for (size_t row = 0; row < num_rows; ++row) {
    int32_t length = 0;
    std::memcpy(&length, content.data() + row * sizeof length, sizeof length);
    lengths[row] = length;
  }
  return lengths;
}

/// The kept index, or nothing: none there, damaged, or of data that has changed without its fingerprint showing it.
std::optional<std::vector<int64_t>> read_kept(const SampleBuilder& builder, const fs::path& file, const std::string& fingerprint) {
  std::error_code code;
  if (!fs::exists(file, code)) return std::nullopt;
  const auto num_rows = static_cast<size_t>(builder.size());
  std::optional<std::vector<int64_t>> lengths;
  try {
    lengths = from_file(read_file(file), fingerprint, num_rows);
  } catch (const UserError&) {
    // a file that cannot be read is as good as a damaged one
  }
  if (!lengths) {
    note(fmt::format("{}: damaged; the lengths of the samples are counted anew", file.string()));
    return std::nullopt;
  }
  const int64_t probes = std::min<int64_t>(kProbes, builder.size());
  for (int64_t i = 0; i < probes; ++i) {
    const int64_t row = i * builder.size() / probes;
    if (builder.length(row) == (*lengths)[static_cast<size_t>(row)]) continue;
    note(fmt::format("{}: no longer what the data set says; the lengths of the samples are counted anew", file.string()));
    return std::nullopt;
  }
  return lengths;
}

/// The right to count, held by one process at a time; the system takes it back from one that dies.
class Turn {
 public:
  explicit Turn(const fs::path& file) : fd_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {}
  ~Turn() {
    if (fd_ >= 0) ::close(fd_);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  /// False while another process has it. A file system without locks gives it to everybody: they count the same.
  bool take() const { return fd_ < 0 || ::flock(fd_, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR); }

 private:
  int fd_;
};

LengthIndex kept_index(const SampleBuilder& builder, const LengthIndexOptions& options, const std::string& fingerprint) {
  LengthIndex index{.lengths = {}, .was_kept = false, .seconds = 0, .file = options.folder / (fingerprint + ".lengths")};
  std::error_code code;
  fs::create_directories(options.folder, code);
  const Turn turn(options.folder / (fingerprint + ".lock"));
  for (auto wait = std::chrono::milliseconds(5); !turn.take(); wait = std::min(wait * 2, std::chrono::milliseconds(500))) {
    if (wait == std::chrono::milliseconds(320))
      note(fmt::format("another process counts the lengths of the samples; waiting for {}", index.file.string()));
    if (options.progress) options.progress(0, builder.size());
    std::this_thread::sleep_for(wait);
  }
  if (auto kept = read_kept(builder, index.file, fingerprint)) {
    index.lengths = std::move(*kept);
    index.was_kept = true;
    return index;
  }
  index.lengths = sample_lengths(builder, options.num_threads, options.progress);
  try {
    write_file_atomic(index.file, to_file(fingerprint, index.lengths));
  } catch (const UserError& error) {
    note(
        fmt::format("{}: the lengths of the samples cannot be kept ({}); they are counted at each launch (MULTIMEDITRON_CACHE names "
                    "another folder)",
                    options.folder.string(), error.details().found.empty() ? error.message() : error.details().found));
    index.file.clear();
  }
  return index;
}

}  // namespace

LengthIndex length_index(const SampleBuilder& builder, const LengthIndexOptions& options) {
  const Clock::time_point start = Clock::now();
  LengthIndex index;
  if (options.folder.empty()) {
    index.lengths = sample_lengths(builder, options.num_threads, options.progress);
  } else {
    index = kept_index(builder, options, builder.length_fingerprint());
  }
  index.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return index;
}

std::vector<int64_t> sample_lengths(const SampleBuilder& builder, int num_threads,
                                    const std::function<void(int64_t done, int64_t total)>& progress) {
  const int64_t num_rows = builder.size();
  std::vector<int64_t> lengths(static_cast<size_t>(num_rows));
  std::atomic<int64_t> done = 0;
  // Neighbours go to one thread: it reads on in the same pages, and Parquet files in the same row group.
  for_each_parallel((num_rows + kChunk - 1) / kChunk, num_threads, [&](int64_t chunk) {
    const int64_t first = chunk * kChunk, end = std::min(first + kChunk, num_rows);
    for (int64_t row = first; row < end; ++row) lengths[static_cast<size_t>(row)] = builder.length(row);
    const int64_t now = done += end - first;
    if (progress) progress(now, num_rows);
  });
  return lengths;
}

}  // namespace multimeditron
