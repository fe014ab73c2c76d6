/* Preloaded into a program under test: makes the n-th system call that touches files below a folder fail.
 *   FAULT_ROOT    the folder
 *   FAULT_AT      n, from 1
 *   FAULT_KIND    ENOSPC or EIO; EINTR and SHORT concern write alone
 *   FAULT_STICKY  1: all later calls of the kind fail as well, as on a disk that is full
 *   FAULT_MARK    a file that is created once a fault was met
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static atomic_long calls;

static const char* setting(const char* name) {
  const char* value = getenv(name);
  return value != NULL ? value : "";
}

static int is_kind(const char* kind) {
  return strcmp(setting("FAULT_KIND"), kind) == 0;
}

static int is_below_root(const char* path) {
  const char* root = setting("FAULT_ROOT");
  return *root != '\0' && strncmp(path, root, strlen(root)) == 0;
}

static int fd_is_below_root(int fd) {
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = readlink(link, path, sizeof path - 1);
  if (size < 0) return 0;
  path[size] = '\0';
  return is_below_root(path);
}

/* Counts a call; 1 where it is the one to fail. */
static int is_due(void) {
  const long at = atol(setting("FAULT_AT")), call = atomic_fetch_add(&calls, 1) + 1;
  if (call != at && !(call > at && *setting("FAULT_STICKY") == '1')) return 0;
  const long mark = syscall(SYS_openat, AT_FDCWD, setting("FAULT_MARK"), O_WRONLY | O_CREAT, 0600);
  if (mark >= 0) syscall(SYS_close, mark);
  return 1;
}

/* 1 where the call fails with an error of the disk. A full disk refuses only what needs space. */
static int fails(int needs_space) {
  if (is_kind("ENOSPC") && needs_space && is_due()) {
    errno = ENOSPC;
    return 1;
  }
  if (is_kind("EIO") && is_due()) {
    errno = EIO;
    return 1;
  }
  return 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int open_with_faults(const char* name, const char* path, int flags, mode_t mode) {
  if (is_below_root(path) && fails((flags & O_CREAT) != 0)) return -1;
  return ((int (*)(const char*, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_with_faults("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return open_with_faults("open64", path, flags, mode);
}

ssize_t write(int fd, const void* data, size_t size) {
  if (fd_is_below_root(fd)) {
    if (fails(1)) return -1;
    if (is_kind("EINTR") && is_due()) {
      errno = EINTR;
      return -1;
    }
    if (is_kind("SHORT") && size > 1 && is_due()) size /= 2;
  }
  return REAL(write)(fd, data, size);
}

int fsync(int fd) {
  return fd_is_below_root(fd) && fails(1) ? -1 : REAL(fsync)(fd);
}

int close(int fd) {
  const int counted = fd_is_below_root(fd);
  const int result = REAL(close)(fd); /* a close that fails has closed all the same */
  return counted && fails(0) ? -1 : result;
}

ssize_t read(int fd, void* data, size_t size) {
  return fd_is_below_root(fd) && fails(0) ? -1 : REAL(read)(fd, data, size);
}

int mkdir(const char* path, mode_t mode) {
  return is_below_root(path) && fails(1) ? -1 : REAL(mkdir)(path, mode);
}

int rename(const char* from, const char* to) {
  return is_below_root(to) && fails(1) ? -1 : REAL(rename)(from, to);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  return is_below_root(to) && fails(1) ? -1 : REAL(renameat2)(from_fd, from, to_fd, to, flags);
}
