// SPDX-License-Identifier: Apache-2.0
//
// History: records, their checks, and the way back.
#include "src/runner/actors/history.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <cstring>
#include <map>
#include <set>

#include "src/base/crash_point.h"
#include "src/runner/actors/actor_files.h"

namespace insula::runner::actors {
namespace {

constexpr std::uint64_t kHeaderMagic = 0x31545348534e49ff;  // "\xffINSHST1"
constexpr std::uint64_t kRecordMagic = 0x31434552534e49fe;  // "\xfeINSREC1"
constexpr std::uint64_t kSlotBytes = 512;
constexpr std::uint64_t kRecordsStart = 2 * kSlotBytes;
constexpr std::size_t kRecordWords = 13;
constexpr std::uint64_t kRecordBytes = kRecordWords * 8;
constexpr std::uint64_t kLogHeaderBytes = 32;
constexpr std::uint64_t kFrameBytes = 24 + kPageBytes;
constexpr std::uint64_t kUndoBytes = 8 + kPageBytes;
constexpr std::int64_t kMarkEveryMs = 1000;

using Words = std::array<std::uint64_t, kRecordWords>;

Error file_error(int error, const char* what) {
  return Error(ErrorCode::Unavailable, std::string("storage: cannot ") + what + " the history: " + std::strerror(error));
}

void put_word(std::string& into, std::uint64_t word) {
  char bytes[8];
  std::memcpy(bytes, &word, 8);
  into.append(bytes, 8);
}

std::uint64_t word_at(std::string_view bytes, std::size_t at) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data() + at, 8);
  return word;
}

// Against accidents, not against an enemy: who can write this file can write the database too.
std::uint64_t check_of(std::string_view bytes, std::uint64_t seed = 0) {
  std::uint64_t sum = seed ^ (bytes.size() * 0x9e3779b97f4a7c15);
  std::size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) sum = std::rotl((sum ^ word_at(bytes, at)) * 0xff51afd7ed558ccd, 29);
  for (; at < bytes.size(); ++at) sum = std::rotl((sum ^ static_cast<unsigned char>(bytes[at])) * 0xff51afd7ed558ccd, 29);
  return sum ^ (sum >> 32);
}

std::uint32_t big_endian(const char* at) {
  std::uint32_t number = 0;
  std::memcpy(&number, at, 4);
  return __builtin_bswap32(number);
}

void put_big_endian(char* at, std::uint32_t number) {
  number = __builtin_bswap32(number);
  std::memcpy(at, &number, 4);
}

// SQLite's checksum of its log, over little-endian words (https://www.sqlite.org/fileformat2.html#walcksm).
void log_check(std::string_view bytes, std::uint32_t sum[2]) {
  for (std::size_t at = 0; at + 8 <= bytes.size(); at += 8) {
    std::uint32_t pair[2];
    std::memcpy(pair, bytes.data() + at, 8);
    sum[0] += pair[0] + sum[1];
    sum[1] += pair[1] + sum[0];
  }
}

// The bytes of a log up to the last frame that belongs to it, and which pages it changes.
struct LogContent {
  std::uint64_t bytes = 0;  // up to the last commit
  std::uint64_t salts = 0;
  std::uint64_t pages_after = 0;
  std::set<std::uint32_t> pages;
};

LogContent content_of(std::string_view log) {
  LogContent content;
  if (log.size() < kLogHeaderBytes) return content;
  content.salts = word_at(log, 16);
  std::uint32_t sum[2] = {0, 0};
  log_check(log.substr(0, 24), sum);
  std::set<std::uint32_t> uncommitted;
  for (std::uint64_t at = kLogHeaderBytes; at + kFrameBytes <= log.size(); at += kFrameBytes) {
    const char* const frame = log.data() + at;
    if (word_at(log, at + 8) != content.salts) break;
    log_check(log.substr(at, 8), sum);
    log_check(log.substr(at + 24, kPageBytes), sum);
    if (big_endian(frame + 16) != sum[0] || big_endian(frame + 20) != sum[1]) break;
    uncommitted.insert(big_endian(frame));
    if (const std::uint32_t pages = big_endian(frame + 4); pages != 0) {
      content.bytes = at + kFrameBytes;
      content.pages_after = pages;
      content.pages.merge(uncommitted);
      uncommitted.clear();
    }
  }
  return content;
}

}  // namespace

std::string Bookmark::text() const {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%08x-%08x-00000000-%032x", generation, frame, 0U);
  return buffer;
}

std::optional<Bookmark> Bookmark::parse(std::string_view text) {
  Bookmark bookmark;
  if (text.size() != 59) return std::nullopt;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%8x-%8x-", &bookmark.generation, &bookmark.frame) != 2) return std::nullopt;
  if (bookmark.text() != text) return std::nullopt;
  return bookmark;
}

Result<std::string> History::read(std::uint64_t offset, std::uint64_t bytes) const {
  std::string out(static_cast<std::size_t>(bytes), '\0');
  std::size_t got = 0;
  if (const int error = file_->read_at(out.data(), out.size(), offset, got)) return file_error(error, "read");
  out.resize(got);
  return out;
}

Result<> History::open(std::int64_t now_ms) {
  first_ms_ = now_ms;
  TRY(const std::string slots, read(0, kRecordsStart));
  std::uint64_t file_end = 0;
  std::uint32_t generation = 1;
  for (std::size_t at = 0; at + kSlotBytes <= slots.size(); at += kSlotBytes) {
    const std::string_view slot = std::string_view(slots).substr(at, 48);
    if (word_at(slot, 0) != kHeaderMagic || word_at(slot, 40) != check_of(slot.substr(0, 40))) continue;
    if (word_at(slot, 8) <= header_number_) continue;
    header_number_ = word_at(slot, 8);
    start_ = word_at(slot, 16);
    file_end = word_at(slot, 24);
    generation = static_cast<std::uint32_t>(word_at(slot, 32));
  }
  if (header_number_ == 0) {
    begin_anew(1, now_ms);
    return {};
  }
  generation_ = generation;
  end_ = start_;
  while (end_ < file_end) {
    TRY(const bool is_good, read_record(end_, file_end));
    if (!is_good) return give_up(now_ms);
  }
  return {};
}

Result<bool> History::read_record(std::uint64_t offset, std::uint64_t end) {
  TRY(const std::string head, read(offset, kRecordBytes));
  if (head.size() < kRecordBytes) return false;
  Words words{};
  std::memcpy(words.data(), head.data(), kRecordBytes);
  if (words[0] != kRecordMagic || words[12] != check_of(std::string_view(head).substr(0, kRecordBytes - 8))) return false;
  if (!records_.empty() && (words[1] != records_.back().check || words[2] != records_.back().generation + 1)) return false;
  Record record{offset + kRecordBytes, words[3], static_cast<std::uint32_t>(words[2]),
                static_cast<std::int64_t>(words[5]), words[6], words[7], words[8], words[10], words[11], words[12], {}};
  if (record.bytes > end || record.offset + record.bytes > end || words[9] > end ||
      record.bytes != record.undo_pages * kUndoBytes + record.redo_bytes + words[9] * 16) {
    return false;
  }
  // Only the newest is read whole: the file may be large, and a restore checks what it uses.
  const std::uint64_t marks_bytes = words[9] * 16;
  const bool is_newest = record.offset + record.bytes == end;
  const std::uint64_t from = is_newest ? 0 : record.bytes - marks_bytes;
  TRY(const std::string payload, read(record.offset + from, record.bytes - from));
  if (payload.size() != record.bytes - from) return false;
  if (is_newest && check_of(payload) != words[11]) return false;
  for (std::size_t at = payload.size() - marks_bytes; at < payload.size(); at += 16) {
    record.marks.push_back(
        {static_cast<std::uint32_t>(word_at(payload, at)), static_cast<std::int64_t>(word_at(payload, at + 8))});
  }
  end_ = record.offset + record.bytes;
  records_.push_back(std::move(record));
  return true;
}

void History::begin_anew(std::uint32_t generation, std::int64_t now_ms) {
  records_.clear();
  marks_.clear();
  generation_ = generation;
  first_ms_ = now_ms;
  start_ = end_ = kRecordsStart;
}

Result<> History::give_up(std::int64_t now_ms) {
  // Cut first, which gives a full disk room for the header; a crash between leaves a header without its records, and
  // that ends here again.
  begin_anew(generation_ + 1, now_ms);
  if (const int error = file_->truncate(kRecordsStart)) return file_error(error, "cut");
  crash_point(CrashPoint::ActorHistoryCut);
  return write_header();
}

Result<> History::write_header() {
  ++header_number_;
  std::string slot;
  for (const std::uint64_t word : {kHeaderMagic, header_number_, start_, end_, std::uint64_t{generation_}}) put_word(slot, word);
  put_word(slot, check_of(slot));
  slot.resize(kSlotBytes);
  const std::uint64_t offset = header_number_ % 2 * kSlotBytes;
  if (const int error = file_->write_at(slot.data(), slot.size(), offset)) return file_error(error, "write");
  crash_point(CrashPoint::ActorHistoryHeaded);
  if (const int error = file_->sync()) return file_error(error, "sync");
  return {};
}

Result<> History::archive(StorageFile& database, StorageFile& log, std::int64_t now_ms) {
  std::uint64_t log_bytes = 0;
  std::uint64_t database_bytes = 0;
  if (const int error = log.size(log_bytes)) return file_error(error, "archive");
  if (const int error = database.size(database_bytes)) return file_error(error, "archive");
  if (log_bytes > bytes_max_ / 2) return give_up(now_ms);
  std::string redo(static_cast<std::size_t>(log_bytes), '\0');
  std::size_t got = 0;
  if (const int error = log.read_at(redo.data(), redo.size(), 0, got)) return file_error(error, "archive");
  const LogContent content = content_of(redo);
  if (content.bytes == 0) return {};
  if (!records_.empty() && records_.back().salts == content.salts) return {};
  redo.resize(static_cast<std::size_t>(content.bytes));

  // What the checkpoint overwrites, and what it cuts off when the database has become smaller.
  const std::uint64_t pages_before = database_bytes / kPageBytes;
  std::set<std::uint32_t> lost = content.pages;
  for (std::uint64_t page = content.pages_after + 1; page <= pages_before; ++page) {
    lost.insert(static_cast<std::uint32_t>(page));
  }
  std::string payload;
  std::uint64_t undo_pages = 0;
  std::string image(kPageBytes, '\0');
  for (const std::uint32_t page : lost) {
    if (page > pages_before) continue;
    if (const int error = database.read_at(image.data(), kPageBytes, std::uint64_t{page - 1} * kPageBytes, got)) {
      return file_error(error, "archive");
    }
    put_word(payload, page);
    payload += image;
    ++undo_pages;
  }
  payload += redo;
  if (marks_.empty()) marks_.push_back({static_cast<std::uint32_t>((redo.size() - kLogHeaderBytes) / kFrameBytes), now_ms});
  for (const Mark& mark : marks_) {
    put_word(payload, mark.frames);
    put_word(payload, static_cast<std::uint64_t>(mark.ms));
  }
  const std::uint64_t payload_check = check_of(payload);
  std::string head;
  for (const std::uint64_t word :
       {kRecordMagic, records_.empty() ? std::uint64_t{0} : records_.back().check, std::uint64_t{generation_},
        std::uint64_t{payload.size()}, static_cast<std::uint64_t>(first_ms_), static_cast<std::uint64_t>(now_ms),
        undo_pages, pages_before, std::uint64_t{redo.size()}, std::uint64_t{marks_.size()}, content.salts,
        payload_check}) {
    put_word(head, word);
  }
  const std::uint64_t check = check_of(head);
  put_word(head, check);

  if (const int error = file_->write_at(head.data(), head.size(), end_)) return file_error(error, "write");
  if (const int error = file_->write_at(payload.data(), payload.size(), end_ + kRecordBytes)) {
    return file_error(error, "write");
  }
  crash_point(CrashPoint::ActorHistoryWritten);
  if (const int error = file_->sync()) return file_error(error, "sync");
  crash_point(CrashPoint::ActorHistorySynced);
  records_.push_back({end_ + kRecordBytes, payload.size(), generation_, now_ms, undo_pages, pages_before, redo.size(),
                      content.salts, payload_check, check, std::move(marks_)});
  end_ += kRecordBytes + payload.size();
  marks_.clear();
  ++generation_;
  first_ms_ = now_ms;
  return forget_old(now_ms);
}

Result<> History::forget_old(std::int64_t now_ms) {
  const std::uint64_t before = start_;
  while (records_.size() > 1 &&
         (end_ - start_ > bytes_max_ || records_.front().last_ms < now_ms - kHistoryMsMax)) {
    start_ = records_.front().offset + records_.front().bytes;
    records_.erase(records_.begin());
  }
  TRY_VOID(write_header());
  // Offsets only grow; the blocks before the start go back to the file system. Where it cannot, the file is larger.
  if (start_ > before) static_cast<void>(file_->discard(before, start_ - before));
  return {};
}

void History::note_commit(std::uint32_t frames, std::int64_t now_ms) {
  if (!marks_.empty() && now_ms - marks_.back().ms < kMarkEveryMs) {
    marks_.back().frames = frames;
    return;
  }
  marks_.push_back({frames, now_ms});
}

Result<Bookmark> History::at_time(std::int64_t unix_ms) const {
  const auto last_of = [&](const std::vector<Mark>& marks) -> const Mark* {
    const Mark* found = nullptr;
    for (const Mark& mark : marks) {
      if (mark.ms <= unix_ms) found = &mark;
    }
    return found;
  };
  if (const Mark* const mark = last_of(marks_)) return Bookmark{generation_, mark->frames};
  for (auto record = records_.rbegin(); record != records_.rend(); ++record) {
    if (const Mark* const mark = last_of(record->marks)) return Bookmark{record->generation, mark->frames};
  }
  return Bookmark{records_.empty() ? generation_ : records_.front().generation, 0};
}

Result<> History::check(Bookmark bookmark, std::uint32_t frames) const {
  const std::uint32_t oldest = records_.empty() ? generation_ : records_.front().generation;
  if (bookmark.generation > generation_ ||
      (bookmark.generation == generation_ && bookmark.frame != kFrameLast && bookmark.frame > frames)) {
    return Error(ErrorCode::InvalidInput, "storage: the bookmark is not one of this object");
  }
  if (bookmark.generation < oldest) {
    return Error(ErrorCode::NotFound, "storage: the bookmark is older than what is kept (30 days, or the history's size)");
  }
  return {};
}

Result<std::uint32_t> History::restore(Bookmark bookmark, StorageFile& log) {
  TRY_VOID(check(bookmark, 0));
  std::map<std::uint32_t, std::string> pages;
  std::uint64_t page_count = 0;
  for (auto record = records_.rbegin(); record != records_.rend() && record->generation >= bookmark.generation; ++record) {
    TRY(const std::string payload, read(record->offset, record->bytes));
    const std::uint64_t undo_end = record->undo_pages * kUndoBytes;
    if (payload.size() != record->bytes || check_of(payload) != record->payload_check) {
      return Error(ErrorCode::Corrupt, "storage: the history file is damaged");
    }
    for (std::uint64_t at = 0; at < undo_end; at += kUndoBytes) {
      pages[static_cast<std::uint32_t>(word_at(payload, at))] = payload.substr(at + 8, kPageBytes);
    }
    page_count = record->pages_before;
    if (record->generation != bookmark.generation) continue;
    std::map<std::uint32_t, std::string> changed;
    std::uint32_t frame = 0;
    for (std::uint64_t at = undo_end + kLogHeaderBytes; at + kFrameBytes <= undo_end + record->redo_bytes;
         at += kFrameBytes) {
      if (++frame > bookmark.frame) break;
      changed[big_endian(payload.data() + at)] = payload.substr(at + 24, kPageBytes);
      const std::uint32_t size = big_endian(payload.data() + at + 4);
      if (size == 0) continue;
      for (auto& [number, image] : changed) pages[number] = std::move(image);
      changed.clear();
      page_count = size;
    }
  }
  pages.erase(pages.upper_bound(static_cast<std::uint32_t>(page_count)), pages.end());
  if (pages.empty()) return 0;

  // A log with one transaction, as SQLite would have written it.
  std::string bytes(kLogHeaderBytes, '\0');
  put_big_endian(bytes.data(), 0x377f0682);  // checksums over little-endian words
  put_big_endian(bytes.data() + 4, 3007000);
  put_big_endian(bytes.data() + 8, kPageBytes);
  put_big_endian(bytes.data() + 16, generation_);  // any salts will do that are not those of the generation before
  put_big_endian(bytes.data() + 20, static_cast<std::uint32_t>(records_.back().check));
  std::uint32_t sum[2] = {0, 0};
  log_check(std::string_view(bytes).substr(0, 24), sum);
  put_big_endian(bytes.data() + 24, sum[0]);
  put_big_endian(bytes.data() + 28, sum[1]);
  const std::string salts = bytes.substr(16, 8);
  std::size_t left = pages.size();
  for (const auto& [number, image] : pages) {
    std::string frame(24, '\0');
    put_big_endian(frame.data(), number);
    put_big_endian(frame.data() + 4, --left == 0 ? static_cast<std::uint32_t>(page_count) : 0);
    std::memcpy(frame.data() + 8, salts.data(), 8);
    log_check(std::string_view(frame).substr(0, 8), sum);
    log_check(image, sum);
    put_big_endian(frame.data() + 16, sum[0]);
    put_big_endian(frame.data() + 20, sum[1]);
    bytes += frame + image;
  }
  if (const int error = log.write_at(bytes.data(), bytes.size(), 0)) return file_error(error, "restore from");
  if (const int error = log.sync()) return file_error(error, "restore from");
  return static_cast<std::uint32_t>(pages.size());
}

}  // namespace insula::runner::actors
