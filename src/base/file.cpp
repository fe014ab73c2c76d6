#include "base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace multimeditron {
namespace {

void write_all(int fd, const std::filesystem::path& file, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = ::write(fd, data, size);
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_file_error("write", file, errno);
    }
    data += written;
    size -= static_cast<size_t>(written);
  }
}

int sync_descriptor(int fd) {
  int result;
  do {
    result = ::fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

/// Removes a file unless told that it is wanted.
class RemoveOnFailure {
 public:
  explicit RemoveOnFailure(const std::filesystem::path& file) : file_(file) {}
  ~RemoveOnFailure() {
    if (!kept_) ::unlink(file_.c_str());
  }
  void keep() { kept_ = true; }

 private:
  const std::filesystem::path& file_;
  bool kept_ = false;
};

bool is_below(const std::filesystem::path& path, const std::filesystem::path& base) {
  return std::mismatch(base.begin(), base.end(), path.begin(), path.end()).first == base.end();
}

/// `datasets--org--name/blobs` for a folder inside `datasets--org--name/snapshots`, else nothing: snapshots are made of links into it.
std::filesystem::path blobs_of_snapshot(const std::filesystem::path& folder) {
  for (std::filesystem::path parent = folder; parent.has_relative_path(); parent = parent.parent_path()) {
    if (parent.filename() == "snapshots") return parent.parent_path() / "blobs";
  }
  return {};
}

/// Without links and `..`. Throws UserError: links in a circle, a name that is too long.
std::filesystem::path resolved(const std::filesystem::path& path) {
  std::error_code code;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(path, code);
  if (code) throw_file_error("find", path, code.value());
  return whole;
}

}  // namespace

std::filesystem::path path_below(const std::filesystem::path& base, const std::string& path) {
  const std::filesystem::path whole_base = resolved(std::filesystem::absolute(base.empty() ? std::filesystem::path(".") : base));
  const std::filesystem::path target = resolved(whole_base / path);  // an absolute `path` replaces the base
  const std::filesystem::path blobs = blobs_of_snapshot(whole_base);
  if (is_below(target, whole_base) ||
      (!blobs.empty() && is_below(target, blobs) && is_below((whole_base / path).lexically_normal(), whole_base))) {
    return whole_base / path;
  }
  const bool is_by_link = is_below((whole_base / path).lexically_normal(), whole_base);
  throw UserError(
      "an image's path leaves its folder",
      {.where = path,
       .found = fmt::format("not below {}{}", whole_base.string(),
                            is_by_link ? ", a link leads out of it: name a folder above both, or copy the file" : ""),
       .fix = "set the loader's `base_path` to a folder above the images and all that links lead to, or copy the images below it"});
}

void throw_file_error(const char* action, const std::filesystem::path& file, int error) {
  std::string fix;
  if (error == ENOSPC || error == EDQUOT) fix = "free some space or choose another folder; what was saved before is untouched";
  if (error == EACCES || error == EROFS || error == EPERM) fix = "check the permissions, or choose another folder";
  if (error == ENOENT || error == ENOTDIR) fix = "check the path";
  if (error == EIO) fix = "the disk or its connection is at fault: look at the system's log, then try again";
  if (error == EMFILE || error == ENFILE) fix = "raise the limit of open files (`ulimit -n`)";
  throw UserError(fmt::format("cannot {} a file", action), {.where = file.string(), .found = std::strerror(error), .fix = fix});
}

void read_blocks(const std::filesystem::path& file, const std::function<void(std::span<const std::byte>)>& block) {
  const Descriptor descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  if (descriptor.fd < 0) throw_file_error("open", file, errno);
  ::posix_fadvise(descriptor.fd, 0, 0, POSIX_FADV_SEQUENTIAL);
  struct stat status {};
  const bool is_small = ::fstat(descriptor.fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size < (1 << 20);
  std::vector<std::byte> buffer(is_small ? static_cast<size_t>(status.st_size) + 1 : size_t{1} << 20);
  for (;;) {
    const ssize_t size = ::read(descriptor.fd, buffer.data(), buffer.size());
    if (size == 0) return;
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) throw_file_error("read", file, errno);
    block(std::span(buffer.data(), static_cast<size_t>(size)));
  }
}

std::string read_file(const std::filesystem::path& file) {
  std::error_code code;
  if (std::filesystem::is_directory(file, code))
    throw UserError("a file was expected", {.where = file.string(), .found = "a folder", .fix = "name a file inside it"});
  std::string content;
  read_blocks(file, [&](std::span<const std::byte> block) { content.append(reinterpret_cast<const char*>(block.data()), block.size()); });
  return content;
}

std::string read_regular_file(const std::filesystem::path& file, const std::function<void(std::span<const std::byte>)>& look,
                              size_t look_size) {
  const auto check = [&](const struct stat& status) {
    if (S_ISREG(status.st_mode)) return;
    const char* kind = S_ISDIR(status.st_mode)    ? "a folder"
                       : S_ISFIFO(status.st_mode) ? "a pipe"
                       : S_ISSOCK(status.st_mode) ? "a socket"
                                                  : "a device";
    throw UserError("an ordinary file was expected", {.where = file.string(), .found = kind, .fix = "name a file"});
  };
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) throw_file_error("open", file, errno);
  check(status);
  // Should it have become a pipe meanwhile: opened without waiting, looked at again, and closed.
  const Descriptor descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
  if (descriptor.fd < 0) throw_file_error("open", file, errno);
  if (::fstat(descriptor.fd, &status) != 0) throw_file_error("open", file, errno);
  check(status);
  constexpr off_t kMostBytes = off_t{4} << 30;  // no image is larger, but a sparse file may say so
  if (status.st_size > kMostBytes) {
    throw UserError("too large a file",
                    {.where = file.string(), .found = fmt::format("{} bytes; at most {} are read", status.st_size, kMostBytes)});
  }
  std::string content;
  const auto read_to = [&](size_t end) {
    size_t done = content.size();
    content.resize(end);
    while (done < end) {
      const ssize_t size = ::read(descriptor.fd, content.data() + done, end - done);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) throw_file_error("read", file, errno);
      if (size == 0) break;  // it has become shorter meanwhile
      done += static_cast<size_t>(size);
    }
    content.resize(done);
  };
  const auto whole = static_cast<size_t>(status.st_size);
  if (look && whole > look_size) {
    read_to(look_size);
    look(std::as_bytes(std::span(content)));
  }
  read_to(whole);
  return content;
}

void write_file_atomic(const std::filesystem::path& file, std::string_view content) {
  const std::filesystem::path temporary = file.string() + fmt::format(".tmp-{}", ::getpid());
  RemoveOnFailure guard(temporary);
  FileWriter writer(temporary);
  writer.write(content);
  writer.close();
  if (::rename(temporary.c_str(), file.c_str()) != 0) throw_file_error("replace", file, errno);
  guard.keep();
  sync_folder(file.has_parent_path() ? file.parent_path() : ".");
}

void sync_file(const std::filesystem::path& file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_file_error("open", file, errno);
  const int error = sync_descriptor(fd);
  ::close(fd);
  if (error != 0) throw_file_error("sync", file, error);
}

void sync_folder(const std::filesystem::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) throw_file_error("open", folder, errno);
  const int error = sync_descriptor(fd);
  ::close(fd);
  if (error != 0 && error != EINVAL) throw_file_error("sync", folder, error);  // EINVAL: some file systems do not sync folders
}

MappedFile::MappedFile(const std::filesystem::path& file) : path_(file) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe would wait for its writer
  if (fd < 0) throw_file_error("open", file, errno);
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    throw UserError("a file was expected", {.where = file.string(),
                                            .found = S_ISDIR(status.st_mode) ? "a folder" : "something that is not a plain file",
                                            .fix = "name a file"});
  }
  size_ = static_cast<size_t>(status.st_size);
  if (size_ > 0) {
    void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    const int error = errno;
    ::close(fd);
    if (address == MAP_FAILED) throw_file_error("map", file, error);
    data_ = static_cast<const std::byte*>(address);
  } else {
    ::close(fd);
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept : path_(std::move(other.path_)), data_(other.data_), size_(other.size_) {
  other.data_ = nullptr;
  other.size_ = 0;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

FileWriter::FileWriter(const std::filesystem::path& file) : path_(file) {
  fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw_file_error("create", file, errno);
  buffer_.reserve(1 << 20);
}

FileWriter::~FileWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void FileWriter::write(std::span<const std::byte> bytes) {
  const char* data = reinterpret_cast<const char*>(bytes.data());
  if (buffer_.size() + bytes.size() < buffer_.capacity()) {
    buffer_.append(data, bytes.size());
    return;
  }
  write_all(fd_, path_, buffer_.data(), buffer_.size());
  buffer_.clear();
  if (bytes.size() >= buffer_.capacity()) {
    write_all(fd_, path_, data, bytes.size());
  } else {
    buffer_.append(data, bytes.size());
  }
}

void FileWriter::close() {
  write_all(fd_, path_, buffer_.data(), buffer_.size());
  buffer_.clear();
  if (const int error = sync_descriptor(fd_); error != 0) throw_file_error("sync", path_, error);
  const int fd = fd_;
  fd_ = -1;
  if (::close(fd) != 0) throw_file_error("close", path_, errno);
}

Json read_json(const std::filesystem::path& file) {
  const std::string content = read_file(file);
  try {
    return Json::parse(content);
  } catch (const Json::out_of_range&) {
    throw UserError("this file is not valid JSON",
                    {.where = file.string(), .found = "a number beyond what a double holds", .fix = "restore the file from its source"});
  } catch (const Json::parse_error& error) {
    size_t line = 1, column = 1;
    for (size_t i = 0; i + 1 < error.byte && i < content.size(); ++i) {
      column = content[i] == '\n' ? 1 : column + 1;
      line += content[i] == '\n';
    }
    throw UserError("this file is not valid JSON", {.where = fmt::format("{}:{}:{}", file.string(), line, column),
                                                    .found = content.empty() ? "an empty file" : "a syntax error",
                                                    .fix = "restore the file from its source"});
  }
}

}  // namespace multimeditron
