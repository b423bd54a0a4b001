// SPDX-License-Identifier: Apache-2.0
//
// Snapshot: the file around V8's blob, checked once so that a damaged or foreign one is refused with plain words.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>

#include "src/base/fd.h"
#include "src/engine/engine.h"

namespace insula::engine {
namespace {

constexpr char kMagic[8] = {'I', 'N', 'S', 'U', 'L', 'A', 'S', 'N'};
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kVersionBytes = 32;

struct Header {
  char magic[8];
  std::uint32_t format;
  std::uint32_t version_bytes;
  std::uint32_t crc;
  std::uint32_t table_hash;
  std::uint64_t blob_bytes;
  char version[kVersionBytes];
};
static_assert(sizeof(Header) == 64);

std::uint32_t crc_of(const char* data, std::size_t size) {
  return static_cast<std::uint32_t>(
      crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(data), static_cast<uInt>(size)));
}

Error damaged(const std::string& why) {
  return Error(ErrorCode::Corrupt, "snapshot: " + why + "; run `make build` to make it again");
}

}  // namespace

Result<Snapshot> Snapshot::map(int fd, std::uint32_t table_hash) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return damaged("cannot be read");
  const auto size = static_cast<std::size_t>(info.st_size);
  if (size <= sizeof(Header)) return damaged("file is too short");
  void* memory = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (memory == MAP_FAILED) return damaged("cannot be mapped");
  Header header;
  std::memcpy(&header, memory, sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0) return damaged("file is not a snapshot of Insula");
  if (header.format != kFormat) return damaged("file is of another version of Insula");
  const std::string version = Engine::version();
  if (std::string_view(header.version, strnlen(header.version, kVersionBytes)) != version) {
    return damaged("made by engine " + std::string(header.version, strnlen(header.version, kVersionBytes)) +
                   ", but this is engine " + version);
  }
  if (header.table_hash != table_hash) return damaged("made by another build of the runner");
  if (header.blob_bytes != size - sizeof(Header)) return damaged("file has not the length that its header names");
  const char* blob = static_cast<const char*>(memory) + sizeof(Header);
  if (crc_of(blob, header.blob_bytes) != header.crc) return damaged("checksum does not match");
  Snapshot snapshot;
  snapshot.blob_ = {blob, static_cast<int>(header.blob_bytes)};
  return snapshot;
}

Result<void> Snapshot::write(const std::string& path, const v8::StartupData& blob, std::uint32_t table_hash) {
  Header header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.format = kFormat;
  const std::string version = Engine::version();
  header.version_bytes = static_cast<std::uint32_t>(version.size());
  INSULA_CHECK(version.size() < kVersionBytes);
  std::memcpy(header.version, version.data(), version.size());
  header.blob_bytes = static_cast<std::uint64_t>(blob.raw_size);
  header.crc = crc_of(blob.data, header.blob_bytes);
  header.table_hash = table_hash;
  std::string content(reinterpret_cast<const char*>(&header), sizeof header);
  content.append(blob.data, header.blob_bytes);
  const std::string temporary = path + ".new";
  const Fd file(open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) return Error(ErrorCode::Unavailable, "snapshot: cannot write " + path + ": " + std::strerror(errno));
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t written = ::write(file.get(), content.data() + done, content.size() - done);
    if (written <= 0) return Error(ErrorCode::Unavailable, "snapshot: cannot write " + path);
    done += static_cast<std::size_t>(written);
  }
  if (rename(temporary.c_str(), path.c_str()) != 0) {
    return Error(ErrorCode::Unavailable, "snapshot: cannot rename to " + path);
  }
  return {};
}

}  // namespace insula::engine
