// SPDX-License-Identifier: Apache-2.0
//
// ActorFiles: the two files of one actor's database, as SQLite's file layer sees them.
//
// SQLite names files, we have descriptors: the layer "insula-actor" knows two names, kDatabaseName and kLogName, and
// they mean the files of the ActorFiles that the calling thread has entered (an Entered on its stack). No other name can
// be opened, temporary files included, so no SQL reaches anything else. Time in SQL is the time given on entering.
//
// Which syncs SQLite asks for, and which are done (the connection runs with synchronous=NORMAL):
//   log, before a checkpoint            done: no page goes to the database file before the log has it for good
//   database, at a checkpoint's end     done: the log is not written over before the database file has its pages
//   log, after the header of a new run  only when old frames may still be in the file. When the file is known to be empty
//                                       on the disk, no mixture of old and new frames can come out of a crash.
//   log, at a commit                    never asked for with NORMAL: the owner does it, for many commits at once
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/runner/actors/storage_file.h"
#include "src/sql/heap.h"

namespace insula::runner::actors {

inline constexpr const char* kVfsName = "insula-actor";
inline constexpr const char* kDatabaseName = "actor";
inline constexpr const char* kLogName = "actor-wal";
inline constexpr std::uint32_t kPageBytes = 4096;

class ActorFiles {
 public:
  // log_bytes_max: writes of the log beyond it fail with SQLITE_FULL.
  ActorFiles(std::unique_ptr<StorageFile> database, std::unique_ptr<StorageFile> log, std::uint64_t log_bytes_max,
             std::size_t heap_bytes_max);

  StorageFile& database() noexcept { return *database_; }
  StorageFile& log() noexcept { return *log_; }
  sql::HeapBudget& heap() noexcept { return heap_; }

  std::uint64_t log_bytes_max() const noexcept { return log_bytes_max_; }

  // Milliseconds since 1970 that SQL sees.
  std::int64_t now_ms = 0;
  // Set while a checkpoint runs: syncs of the log are real then.
  bool in_checkpoint = false;
  // The log is empty on the disk, not only in the kernel's memory.
  bool log_was_empty = false;
  // A frame that is appended to the log is written as its header and then its page: kept until the page comes, the two
  // are one write. Inside the log SQLite also writes headers alone, so those are never kept.
  static constexpr std::size_t kFrameHeaderBytes = 24;
  struct Frame {
    std::uint64_t offset = 0;
    bool has_header = false;
    std::array<char, kFrameHeaderBytes + kPageBytes> bytes{};
  };
  Frame frame;
  std::uint64_t log_end = 0;  // the log's size, as far as this connection has written or found it
  // The first errno that a file gave; 0: none. Kept for messages, SQLite's codes are coarser.
  int first_errno = 0;

 private:
  const std::unique_ptr<StorageFile> database_;
  const std::unique_ptr<StorageFile> log_;
  const std::uint64_t log_bytes_max_;
  sql::HeapBudget heap_;
};

// Makes `files` those of the calling thread, and its heap the one that SQLite's memory is counted on, until it goes.
class Entered {
 public:
  explicit Entered(ActorFiles& files) noexcept;
  ~Entered();
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  ActorFiles* const before_;
  const sql::HeapScope heap_;
};

// Registers the layer; any thread, any number of times.
void register_actor_vfs();

}  // namespace insula::runner::actors
