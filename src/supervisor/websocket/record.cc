// SPDX-License-Identifier: Apache-2.0
//
// Records: five bytes and a payload.
#include "src/supervisor/websocket/record.h"

#include <algorithm>

#include "src/base/limits.h"
#include "src/supervisor/websocket/frame.h"
#include "src/supervisor/websocket/utf8.h"

namespace insula::websocket {
namespace {

constexpr unsigned kGoesOn = 0x80;
constexpr std::size_t kCloseBytesMax = 2 + kControlBytesMax;
constexpr std::size_t kKeptBytesMax = 128;  // capacity between records

void append_head(Bytes& out, RecordKind kind, bool goes_on, std::size_t bytes) {
  out.push_back(static_cast<char>(static_cast<unsigned>(kind) | (goes_on ? kGoesOn : 0)));
  for (int shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(bytes >> shift & 0xff));
}

}  // namespace

void append_piece_record(Bytes& out, const io::MessagePiece& piece) {
  append_head(out, piece.is_text ? RecordKind::Text : RecordKind::Bytes, !piece.is_final, piece.bytes.size());
  out.append(piece.bytes);
}

void append_close_record(Bytes& out, std::uint16_t code, std::string_view reason) {
  append_head(out, RecordKind::Close, false, 2 + reason.size());
  out.push_back(static_cast<char>(code & 0xff));
  out.push_back(static_cast<char>(code >> 8));
  out.append(reason);
}

void append_broken_record(Bytes& out, std::string_view why) {
  append_head(out, RecordKind::Broken, false, why.size());
  out.append(why);
}

ReadRecord RecordReader::next(BytesView& input) {
  if (is_over_) {
    input = {};
    return {};
  }
  while (head_bytes_ < kRecordHeadBytes) {
    if (input.empty()) return {};
    head_[head_bytes_++] = input.front();
    input.remove_prefix(1);
    if (head_bytes_ < kRecordHeadBytes) continue;
    const auto first = static_cast<unsigned char>(head_[0]);
    const unsigned kind = first & ~kGoesOn;
    if (kind < 1 || kind > 4) return fail();
    kind_ = static_cast<RecordKind>(kind);
    goes_on_ = (first & kGoesOn) != 0;
    remaining_ = 0;
    for (std::size_t i = kRecordHeadBytes - 1; i > 0; --i) {
      remaining_ = remaining_ << 8 | static_cast<unsigned char>(head_[i]);
    }
    const bool is_message = kind_ == RecordKind::Text || kind_ == RecordKind::Bytes;
    if (is_message ? is_in_message_ && message_is_text_ != (kind_ == RecordKind::Text)
                   : goes_on_ || remaining_ > kCloseBytesMax) {
      return fail();
    }
    is_collected_ = remaining_ <= kSocketPieceBytesMax;
    collected_.clear();
    if (collected_.capacity() > kKeptBytesMax) Bytes().swap(collected_);
  }
  if (!is_collected_) {
    if (input.empty()) return {};
    const std::size_t count = std::min({input.size(), static_cast<std::size_t>(remaining_), kSocketPieceBytesMax});
    const BytesView bytes = input.substr(0, count);
    input.remove_prefix(count);
    remaining_ -= static_cast<std::uint32_t>(count);
    if (remaining_ == 0) head_bytes_ = 0;
    return take_piece(bytes);
  }
  if (collected_.empty() && input.size() >= remaining_ &&
      (kind_ == RecordKind::Text || kind_ == RecordKind::Bytes)) {
    const BytesView bytes = input.substr(0, remaining_);
    input.remove_prefix(remaining_);
    remaining_ = 0;
    head_bytes_ = 0;
    return take_piece(bytes);
  }
  const std::size_t count = std::min(input.size(), static_cast<std::size_t>(remaining_));
  collected_.append(input.substr(0, count));
  input.remove_prefix(count);
  remaining_ -= static_cast<std::uint32_t>(count);
  if (remaining_ > 0) return {};
  head_bytes_ = 0;
  return finish_short_record();
}

void RecordReader::rest() noexcept {
  if (head_bytes_ == 0 && collected_.capacity() > kKeptBytesMax) Bytes().swap(collected_);
}

ReadRecord RecordReader::take_piece(BytesView bytes) {
  ReadRecord record;
  record.kind = ReadRecord::Kind::Piece;
  message_is_text_ = kind_ == RecordKind::Text;
  record.piece.is_text = message_is_text_;
  record.piece.is_first = !is_in_message_;
  record.piece.is_final = remaining_ == 0 && !goes_on_;
  record.piece.bytes = bytes;
  is_in_message_ = !record.piece.is_final;
  return record;
}

ReadRecord RecordReader::finish_short_record() {
  if (kind_ == RecordKind::Text || kind_ == RecordKind::Bytes) return take_piece(collected_);
  ReadRecord record;
  record.piece.bytes = collected_;
  if (kind_ == RecordKind::Close) {
    if (collected_.size() < 2) return fail();
    record.kind = ReadRecord::Kind::Close;
    record.code = static_cast<std::uint16_t>(static_cast<unsigned char>(collected_[0]) |
                                             static_cast<unsigned char>(collected_[1]) << 8);
    record.piece.bytes = BytesView(collected_).substr(2);
    Utf8Check check;
    if (record.code < 1000 || record.code > 4999 || !check.add(record.piece.bytes) || !check.is_complete()) {
      return fail();
    }
  } else {
    record.kind = ReadRecord::Kind::Broken;
  }
  is_over_ = true;
  return record;
}

ReadRecord RecordReader::fail() noexcept {
  is_over_ = true;
  ReadRecord record;
  record.kind = ReadRecord::Kind::Malformed;
  return record;
}

}  // namespace insula::websocket
