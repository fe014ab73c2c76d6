#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "checkpoint/folder.h"

namespace multimeditron {
namespace {

std::string this_process() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("process {} on {}", ::getpid(), host.data());
}

}  // namespace

RunLock::RunLock(const std::filesystem::path& output_dir) {
  std::error_code code;
  std::filesystem::create_directories(output_dir, code);
  if (code) throw_file_error("create", output_dir, code.value());
  const std::filesystem::path file = output_dir / ".lock";
  fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) throw_file_error("create", file, errno);
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) {
    // For the message that another run shows; the lock itself is the kernel's and goes with the process, however that ends.
    const std::string owner = this_process() + "\n";
    if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, owner.data(), owner.size(), 0) < 0)
      warn(fmt::format("cannot write to {}", file.string()));
    return;
  }
  const int error = errno;
  std::array<char, 512> owner{};
  const ssize_t size = ::pread(fd_, owner.data(), owner.size() - 1, 0);
  ::close(fd_);
  fd_ = -1;
  if (error == EWOULDBLOCK) {
    const std::string text(owner.data(), size > 0 ? static_cast<size_t>(size) : 0);
    throw UserError("another run is using this output folder", {.where = output_dir.string(),
                                                                .found = text.empty() ? "a locked .lock" : text.substr(0, text.find('\n')),
                                                                .fix = "wait for it or stop it, or choose another output folder"});
  }
  warn(fmt::format("{}: this file system has no locks ({}); see to it that no other run uses the folder", output_dir.string(),
                   std::strerror(error)));
}

RunLock::~RunLock() {
  if (fd_ >= 0) ::close(fd_);
}

void write_run_state(const std::filesystem::path& output_dir, const std::string& state) {
  write_file_atomic(output_dir / "STATE", state + "\n");
}

std::string read_run_state(const std::filesystem::path& output_dir) {
  std::error_code code;
  if (!std::filesystem::exists(output_dir / "STATE", code)) return "";
  const std::string text = read_file(output_dir / "STATE");
  return text.substr(0, text.find('\n'));
}

}  // namespace multimeditron
