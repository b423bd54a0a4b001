// SPDX-License-Identifier: Apache-2.0
//
// StorageFile: the little that an actor's database needs of a file. A test puts one below that fails and forgets.
//
// Each call returns 0 or an errno. sync() may be called by another thread while the others run; all others belong to
// the thread that is inside the actor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "src/base/error.h"
#include "src/base/fd.h"

namespace insula::runner::actors {

class StorageFile {
 public:
  virtual ~StorageFile() = default;
  // Reads up to `size` bytes; `got` is less than that only at the end of the file.
  virtual int read_at(char* into, std::size_t size, std::uint64_t offset, std::size_t& got) = 0;
  virtual int write_at(const char* from, std::size_t size, std::uint64_t offset) = 0;
  virtual int truncate(std::uint64_t size) = 0;
  virtual int size(std::uint64_t& bytes) = 0;
  virtual int sync() = 0;  // returns when all that was written before the call is on the disk
  // Gives the blocks of a range back, which then reads as zeros. Not every file system can.
  virtual int discard(std::uint64_t offset, std::uint64_t size) = 0;
};

// A file behind a descriptor, by pread, pwrite, ftruncate, lseek, fdatasync and fallocate; never by a name.
class DescriptorFile final : public StorageFile {
 public:
  explicit DescriptorFile(Fd fd) : fd_(static_cast<Fd&&>(fd)) {}

  int read_at(char* into, std::size_t size, std::uint64_t offset, std::size_t& got) override;
  int write_at(const char* from, std::size_t size, std::uint64_t offset) override;
  int truncate(std::uint64_t size) override;
  int size(std::uint64_t& bytes) override;
  int sync() override;
  int discard(std::uint64_t offset, std::uint64_t size) override;

 private:
  const Fd fd_;
};

// What a call that returned `error` did not do: LimitExceeded when the disk is full, else Unavailable.
Error file_error(int error, std::string_view what);

}  // namespace insula::runner::actors
