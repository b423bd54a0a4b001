// SPDX-License-Identifier: Apache-2.0
//
// DataLock: flock() on a file of its own. The kernel lets go of it when the process ends, however it ends.
#include "src/supervisor/data_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace insula::supervisor {
namespace {

Error refused(const std::filesystem::path& path, int code) {
  return Error(ErrorCode::Denied, fmt::format("data directory: {}: {}; choose another with --data", path.string(),
                                              std::generic_category().message(code)));
}

}  // namespace

Result<Fd> lock_data(const std::filesystem::path& directory) {
  std::error_code error;
  if (!std::filesystem::exists(directory, error)) {
    std::filesystem::create_directories(directory.parent_path(), error);
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return refused(directory, errno);
  }
  const auto path = directory / "lock";
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return refused(path, errno);
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return refused(path, errno);
    return Error(ErrorCode::Conflict,
                 fmt::format("data directory: {} is in use by another insula; stop it, or choose another with --data",
                             directory.string()));
  }
  return file;
}

}  // namespace insula::supervisor
