#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace multimeditron {

/// Throws the UserError for a system call that was refused: what was tried ("write"), on which file, the system's reason, and what helps
/// against it. `error`: an errno value.
[[noreturn]] void throw_file_error(const char* action, const std::filesystem::path& file, int error);

/// Hands the file's content over in blocks, in order. Unlike a mapping it survives a file that shrinks meanwhile, and a bad sector is an
/// error that can be reported. Throws UserError.
void read_blocks(const std::filesystem::path& file, const std::function<void(std::span<const std::byte>)>& block);

/// The whole file. Throws UserError where it is missing or unreadable.
std::string read_file(const std::filesystem::path& file);

/// The whole of an ordinary file. Throws UserError for a folder, a pipe, a socket or a device, none of which is opened: it would block,
/// never end or do something. `look`: is shown the first `look_size` bytes of a longer file, and may throw before memory is taken for the
/// rest, so that a file of gigabytes that is none of what is wanted costs nothing.
std::string read_regular_file(const std::filesystem::path& file, const std::function<void(std::span<const std::byte>)>& look = {},
                              size_t look_size = 1 << 16);

/// `base` / `path`, where an image that data name is looked for. Refused with a UserError where that is not below `base`, links followed
/// (those of a hub snapshot into its own blobs are fine).
std::filesystem::path path_below(const std::filesystem::path& base, const std::string& path);

/// Writes a temporary file beside `file`, fsyncs it and renames it into place: `file` is the old one or the new one, never a part. Throws
/// UserError (full disk, no permission); the temporary file is then removed.
void write_file_atomic(const std::filesystem::path& file, std::string_view content);

/// fsync of a file somebody else has written, and of a folder's entries, so that a rename inside it survives a power loss.
void sync_file(const std::filesystem::path& file);
void sync_folder(const std::filesystem::path& folder);

/// A file mapped read-only into memory for as long as the object lives.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// Writes sequentially to a new file with a large buffer; every call throws UserError where the system refuses (full disk, quota,
/// permission).
class FileWriter {
 public:
  explicit FileWriter(const std::filesystem::path& file);
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  /// Flushes, fsyncs and closes. Without it the file is left as it is and closed silently by the destructor.
  void close();

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::string buffer_;
};

}  // namespace multimeditron
