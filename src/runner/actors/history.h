// SPDX-License-Identifier: Apache-2.0
//
// History: what an actor's database was, at each of its commits, for 30 days.
//
// A generation is the life of the log between two checkpoints. Before a checkpoint overwrites the database file, one
// record per generation goes into the history file: the pages that the checkpoint will overwrite (undo) and the log itself
// (redo). So a turn costs nothing, and every commit can be brought back: undo from the newest generation down to the
// wanted one, then redo up to the wanted frame. The result is written as one transaction into the empty log: a restore
// happens whole or not at all, is history itself, and can be undone.
//
// A bookmark names a commit by its generation and the number of frames in the log after it:
//   "gggggggg-ffffffff-00000000-00000000000000000000000000000000", in hex; they compare as texts in order of time.
//   Frame 0 is the state before the generation's first commit, frame ffffffff the one after its last.
//
// File (numbers are little-endian 64-bit words)
//   0     header slot  magic, number, start, end, generation, check; the valid slot with the higher number counts
//   512   header slot
//   1024  records      from `start` to `end`: 12 words, then undo, redo, marks
//           words   magic, check of the previous record, generation, payload bytes, first ms, last ms,
//                   undo pages, database pages before, redo bytes, marks, salts of the log, check of the payload; check
//           undo    page number (word), page (4096 bytes)
//           redo    the log file's bytes
//           marks   frames (word), ms (word)
//
// `end` is synced before the database file is overwritten: a record that is not behind `end` was never needed. A record
// that should be there and is not whole means that the file was damaged: the history begins anew then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/runner/actors/storage_file.h"

namespace insula::runner::actors {

inline constexpr std::int64_t kHistoryMsMax = std::int64_t{30} * 24 * 3600 * 1000;
inline constexpr std::uint32_t kFrameLast = 0xffffffff;

struct Bookmark {
  std::uint32_t generation = 0;
  std::uint32_t frame = 0;

  std::string text() const;
  static std::optional<Bookmark> parse(std::string_view text);
};

class History {
 public:
  // bytes_max: older records go when there are more bytes.
  History(std::unique_ptr<StorageFile> file, std::uint64_t bytes_max) : file_(std::move(file)), bytes_max_(bytes_max) {}

  Result<> open(std::int64_t now_ms);

  // Keeps the generation whose log is about to be moved into the database, and syncs. A generation that is there already
  // (the checkpoint after it was interrupted) is left as it is: the database may be half overwritten by now.
  Result<> archive(StorageFile& database, StorageFile& log, std::int64_t now_ms);

  // After a commit at `now_ms` that left `frames` in the log.
  void note_commit(std::uint32_t frames, std::int64_t now_ms);

  Bookmark current(std::uint32_t frames) const noexcept { return {generation_, frames}; }
  // The last commit that is not younger than `unix_ms`; the oldest state that is kept if there is none.
  Result<Bookmark> at_time(std::int64_t unix_ms) const;
  // NotFound when it is not kept (any more), InvalidInput when it never was.
  Result<> check(Bookmark bookmark, std::uint32_t frames) const;

  // Forgets everything, for good, because a generation could not be kept: what is older cannot be reached without it.
  Result<> give_up(std::int64_t now_ms);

  // Writes the transaction that makes `database` what it was at `bookmark` into the empty `log`, and syncs it. All
  // generations must be archived. Returns the frames written.
  Result<std::uint32_t> restore(Bookmark bookmark, StorageFile& log);

 private:
  struct Mark {
    std::uint32_t frames;
    std::int64_t ms;
  };
  struct Record {
    std::uint64_t offset;  // of its payload
    std::uint64_t bytes;   // of its payload
    std::uint32_t generation;
    std::int64_t last_ms;
    std::uint64_t undo_pages;
    std::uint64_t pages_before;
    std::uint64_t redo_bytes;
    std::uint64_t salts;
    std::uint64_t payload_check;
    std::uint64_t check;
    std::vector<Mark> marks;
  };

  void begin_anew(std::uint32_t generation, std::int64_t now_ms);
  Result<> write_header();
  Result<bool> read_record(std::uint64_t offset, std::uint64_t end);
  Result<> forget_old(std::int64_t now_ms);
  Result<std::string> read(std::uint64_t offset, std::uint64_t bytes) const;

  const std::unique_ptr<StorageFile> file_;
  const std::uint64_t bytes_max_;
  std::vector<Record> records_;  // contiguous generations, oldest first
  std::uint64_t start_ = 0;
  std::uint64_t end_ = 0;
  std::uint64_t header_number_ = 0;
  std::uint32_t generation_ = 1;  // of the log as it is now
  std::int64_t first_ms_ = 0;
  std::vector<Mark> marks_;       // of that generation
};

}  // namespace insula::runner::actors
