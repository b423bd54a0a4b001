// SPDX-License-Identifier: Apache-2.0
//
// DescriptorFile: system calls, repeated where they were interrupted or did only a part.
#include "src/runner/actors/storage_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace insula::runner::actors {

int DescriptorFile::read_at(char* into, std::size_t size, std::uint64_t offset, std::size_t& got) {
  got = 0;
  while (got < size) {
    const ssize_t part = ::pread(fd_.get(), into + got, size - got, static_cast<off_t>(offset + got));
    if (part == 0) return 0;
    if (part > 0) {
      got += static_cast<std::size_t>(part);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int DescriptorFile::write_at(const char* from, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t part = ::pwrite(fd_.get(), from + done, size - done, static_cast<off_t>(offset + done));
    if (part > 0) {
      done += static_cast<std::size_t>(part);
    } else if (part == 0) {
      return EIO;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

int DescriptorFile::truncate(std::uint64_t size) {
  for (;;) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int DescriptorFile::size(std::uint64_t& bytes) {
  // Not fstat(): the C library asks for it by a call that could also name files, which a runner may not.
  const off_t end = ::lseek(fd_.get(), 0, SEEK_END);
  if (end < 0) return errno;
  bytes = static_cast<std::uint64_t>(end);
  return 0;
}

int DescriptorFile::sync() {
  // Not repeated on EIO: the kernel has dropped the pages that it could not write, and a second call would succeed.
  for (;;) {
    if (::fdatasync(fd_.get()) == 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int DescriptorFile::discard(std::uint64_t offset, std::uint64_t size) {
  for (;;) {
    if (::fallocate(fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(size)) == 0) {
      return 0;
    }
    if (errno != EINTR) return errno;
  }
}

Error file_error(int error, std::string_view what) {
  return Error(error == ENOSPC || error == EDQUOT ? ErrorCode::LimitExceeded : ErrorCode::Unavailable,
               "storage: " + std::string(what) + ": " + std::strerror(error));
}

}  // namespace insula::runner::actors
