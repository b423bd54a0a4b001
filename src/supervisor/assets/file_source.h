// SPDX-License-Identifier: Apache-2.0
//
// FileSource: a regular file as a ByteSource, read in chunks as its sink grants them.
#pragma once

#include <cstdint>
#include <memory>

#include "src/base/fd.h"
#include "src/io/byte_stream.h"

namespace insula::assets {

class FileSource final : public io::ByteSource, public std::enable_shared_from_this<FileSource> {
 public:
  // Gives exactly `length` bytes from the start of the file, or fails when the file has become shorter.
  FileSource(Fd file, std::uint64_t length) : file_(std::move(file)), length_(length) {}

  void attach(io::ByteSink& sink) override { sink_ = &sink; }
  void grant(std::size_t bytes) override;
  void stop() override { sink_ = nullptr; }

 private:
  void pump();
  bool read_chunk();

  Fd file_;
  const std::uint64_t length_;
  std::uint64_t offset_ = 0;
  std::size_t credit_ = 0;
  io::ByteSink* sink_ = nullptr;  // null before attach() and after the end
  bool is_pumping_ = false;
};

}  // namespace insula::assets
