// SPDX-License-Identifier: Apache-2.0
//
// AssetsDirectory: answers GET and HEAD with the files below one folder, and with nothing else.
//
//   runner --fetch on an assets capability--> broker --respond()--> [assets] --AssetResponse--> broker
//
// Invariants
//   1. No path leads out of the folder: the kernel resolves it beneath the folder's descriptor, no symbolic link is
//      followed, and "..", NUL and encoded slashes never reach it.
//   2. Names that begin with a dot are not served, except the standard folder /.well-known/ (RFC 8615).
//   3. An ETag is strong: two answers with the same one have the same bytes.
//
// Small files are kept in memory and checked with one stat() per request (SmallFileCache). Others are read
// synchronously on the caller's thread: regular files have no readiness to wait for, and what is served again and again
// is in the page cache. A folder on a network file system would stall the node; do not use one.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/base/fd.h"
#include "src/io/byte_stream.h"

namespace insula::assets {

struct AssetResponse {
  int status = 404;
  Bytes headers;             // header block (base/header_block.h)
  Bytes body;                // the whole body, when it is small
  io::ByteSourcePtr source;  // else its stream, of `length` bytes; null when there is none
  std::uint64_t length = 0;  // bytes of the body that follows: 0 for HEAD, 304 and so on
};

class SmallFileCache;

// How a path becomes a descriptor: in one system call where the kernel has it (5.6 and later), else step by step.
enum class Lookup : std::uint8_t { Automatic, StepByStep };

// Belongs to one thread.
class AssetsDirectory {
 public:
  AssetsDirectory(AssetsDirectory&&) noexcept;
  AssetsDirectory& operator=(AssetsDirectory&&) noexcept;
  ~AssetsDirectory();

  // Errors: NotFound, Denied, InvalidInput (no folder).
  static Result<AssetsDirectory> open(const std::filesystem::path& directory, Lookup lookup = Lookup::Automatic);

  // target   a path with an optional query, or a whole URL of which only the path counts: "/a/b.html?x".
  // headers  the request's header block; If-None-Match is honoured.
  //
  // 200 with a body; 304; 307 from a folder's name to its name with a slash, when it has an index.html; 400 for a path
  // that is malformed; 404; 405 for another method; 500 when the file is there but cannot be read.
  AssetResponse respond(std::string_view method, std::string_view target, BytesView headers) const;

 private:
  AssetsDirectory(Fd folder, bool has_openat2);
  Fd open_below(const std::string& path) const;
  AssetResponse find_and_serve(std::string_view target, bool is_head, BytesView headers) const;
  AssetResponse serve(const std::string& path, const struct stat& facts, Fd file, bool is_head,
                      BytesView headers) const;

  Fd folder_;
  bool has_openat2_;
  std::unique_ptr<SmallFileCache> cache_;
};

// "text/html; charset=utf-8" and so on, by the extension of a path.
std::string_view content_type_of(std::string_view path);

}  // namespace insula::assets
