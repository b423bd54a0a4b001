// SPDX-License-Identifier: Apache-2.0
//
// ActorFiles: every step of a path is opened by itself and follows no link.
#include "src/supervisor/actors/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "src/base/crash_point.h"
#include "src/base/limits.h"

namespace insula::actors {
namespace {

constexpr std::array<std::string_view, 3> kEndings = {".sqlite", ".sqlite-wal", ".history"};
constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

std::string name_of(const ActorPath& path, std::string_view ending) {
  return path.number == 0 ? fmt::format("{}{}", path.id, ending) : fmt::format("{}.{}{}", path.id, path.number, ending);
}

// Opens a folder below another one. With `is_made`, makes it and has its name on the disk.
Fd open_folder(int parent, const char* name, bool is_made) {
  Fd folder(::openat(parent, name, kFolderFlags));
  if (folder || errno != ENOENT || !is_made) return folder;
  if (::mkdirat(parent, name, 0700) != 0 && errno != EEXIST) return Fd();
  if (::fsync(parent) != 0) return Fd();
  return Fd(::openat(parent, name, kFolderFlags));
}

Result<> copy_bytes(int from, int to) {
  if (::ioctl(to, FICLONE, from) == 0) return {};
  for (;;) {
    const ssize_t moved = ::copy_file_range(from, nullptr, to, nullptr, 64 * kMiB, 0);
    if (moved == 0) return {};
    if (moved > 0 || errno == EINTR) continue;
    if (errno != EXDEV && errno != EOPNOTSUPP && errno != EINVAL && errno != ENOSYS) {
      return Error(errno == ENOSPC ? ErrorCode::LimitExceeded : ErrorCode::Unavailable,
                   std::generic_category().message(errno));
    }
    break;
  }
  std::string buffer(256 * kKiB, '\0');
  for (;;) {
    const ssize_t got = ::read(from, buffer.data(), buffer.size());
    if (got == 0) return {};
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error(ErrorCode::Unavailable, std::generic_category().message(errno));
    for (ssize_t done = 0; done < got;) {
      const ssize_t put = ::write(to, buffer.data() + done, static_cast<std::size_t>(got - done));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) {
        return Error(errno == ENOSPC ? ErrorCode::LimitExceeded : ErrorCode::Unavailable,
                     std::generic_category().message(errno));
      }
      done += put;
    }
  }
}

}  // namespace

bool is_hex(std::string_view text, std::size_t digits) noexcept {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<ActorFiles> ActorFiles::open(const std::filesystem::path& data_directory) {
  const auto shown = data_directory / "objects";
  const Fd data(::open(data_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  Fd folder = data ? open_folder(data.get(), "objects", true) : Fd();
  if (folder) return ActorFiles(std::move(folder), shown);
  return Error(ErrorCode::Denied, fmt::format("data directory: {}: {}; choose another with --data", shown.string(),
                                              std::generic_category().message(errno)));
}

Error ActorFiles::problem(const ActorPath& path, int code) const {
  const std::string text = fmt::format("{}/{}/{}/{}: {}", shown_.string(), path.space, path.id.substr(0, 2),
                                       name_of(path, kEndings[0]), std::generic_category().message(code));
  switch (code) {
    case ENOENT: return Error(ErrorCode::NotFound, text);
    case EWOULDBLOCK: return Error(ErrorCode::Conflict, text);
    case ENOSPC:
    case EDQUOT: return Error(ErrorCode::LimitExceeded, text);
    case EACCES:
    case EPERM:
    case ELOOP: return Error(ErrorCode::Denied, text);
    default: return Error(ErrorCode::Unavailable, text);
  }
}

Result<Fd> ActorFiles::folder_of(const ActorPath& path, bool is_made) const {
  INSULA_CHECK(is_hex(path.space, 32) && is_hex(path.id, 64));
  const Fd space = open_folder(folder_.get(), path.space.c_str(), is_made);
  Fd folder = space ? open_folder(space.get(), path.id.substr(0, 2).c_str(), is_made) : Fd();
  if (!folder) return problem(path, errno);
  return folder;
}

Result<std::vector<Fd>> ActorFiles::open_three(const Fd& folder, const ActorPath& path, int flags) const {
  std::vector<Fd> files;
  for (const std::string_view ending : kEndings) {
    Fd file(::openat(folder.get(), name_of(path, ending).c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC | flags, 0600));
    if (!file) return problem(path, errno);
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return problem(path, EACCES);
    if (files.empty() && ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return problem(path, errno);
    files.push_back(std::move(file));
    if ((flags & O_CREAT) != 0) crash_point(CrashPoint::ObjectFileMade);
  }
  return files;
}

Result<std::vector<Fd>> ActorFiles::open_actor(const ActorPath& path) const {
  TRY(const Fd folder, folder_of(path, false));
  return open_three(folder, path, 0);
}

Result<std::vector<Fd>> ActorFiles::create_actor(const ActorPath& path) const {
  TRY(const Fd folder, folder_of(path, true));
  TRY(auto files, open_three(folder, path, O_CREAT));
  // The names must be on the disk before anything that is written to the files counts.
  if (::fsync(folder.get()) != 0) return problem(path, errno);
  crash_point(CrashPoint::ObjectFilesMade);
  return files;
}

Result<> ActorFiles::remove_actor(const ActorPath& path) const {
  auto folder = folder_of(path, false);
  if (!folder) {
    if (folder.error().code() == ErrorCode::NotFound) return {};
    return folder.error();
  }
  // The database goes last: what is left after a crash is found by its name.
  for (auto ending = kEndings.rbegin(); ending != kEndings.rend(); ++ending) {
    if (::unlinkat(folder->get(), name_of(path, *ending).c_str(), 0) != 0 && errno != ENOENT) return problem(path, errno);
    crash_point(CrashPoint::FacetFileRemoved);
  }
  if (::fsync(folder->get()) != 0) return problem(path, errno);
  return {};
}

Result<> ActorFiles::copy_actor(const ActorPath& from, const ActorPath& to) const {
  auto source = folder_of(from, false);
  if (!source) {
    // Known by name, never opened.
    if (source.error().code() == ErrorCode::NotFound) return {};
    return source.error();
  }
  TRY(const Fd target, folder_of(to, true));
  for (const std::string_view ending : {kEndings[1], kEndings[0]}) {
    const Fd in(::openat(source->get(), name_of(from, ending).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!in && errno == ENOENT) continue;
    if (!in) return problem(from, errno);
    const Fd out(::openat(target.get(), name_of(to, ending).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                          0600));
    if (!out) return problem(to, errno);
    TRY_VOID(copy_bytes(in.get(), out.get()));
    if (::fsync(out.get()) != 0) return problem(to, errno);
    crash_point(CrashPoint::FacetFileCopied);
  }
  if (::fsync(target.get()) != 0) return problem(to, errno);
  return {};
}

Result<> ActorFiles::remove_space(const std::string& space) const {
  INSULA_CHECK(is_hex(space, 32));
  std::error_code error;
  std::filesystem::remove_all(shown_ / space, error);
  if (error) return Error(ErrorCode::Unavailable, fmt::format("{}: {}", (shown_ / space).string(), error.message()));
  if (::fsync(folder_.get()) != 0) {
    return Error(ErrorCode::Unavailable, fmt::format("{}: {}", shown_.string(), std::generic_category().message(errno)));
  }
  return {};
}

ActorBytes ActorFiles::bytes_of(const ActorPath& path) const {
  const auto folder = folder_of(path, false);
  if (!folder) return {};
  const auto size_of = [&](std::string_view ending) -> std::uint64_t {
    struct stat info {};
    if (::fstatat(folder->get(), name_of(path, ending).c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    return static_cast<std::uint64_t>(info.st_size);
  };
  return {size_of(kEndings[0]) + size_of(kEndings[1]), size_of(kEndings[2])};
}

}  // namespace insula::actors
