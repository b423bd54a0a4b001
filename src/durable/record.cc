// SPDX-License-Identifier: Apache-2.0
//
// Record: the encoding drawn in the header. Decoding trusts nothing: every length is checked against what is left.
#include "src/durable/record.h"

#include <cstring>

#include "src/base/checksum.h"

namespace insula::durable {
namespace {

enum Field : std::uint32_t {
  kStep = 1U << 0,
  kAttempt = 1U << 1,
  kEpoch = 1U << 2,
  kNumber = 1U << 3,
  kCount = 1U << 4,
  kDue = 1U << 5,
  kKind = 1U << 6,
  kFlag = 1U << 7,
  kName = 1U << 8,
  kText = 1U << 9,
  kValue = 1U << 10,
  kFailure = 1U << 11,
  kConfig = 1U << 12,
  kRollbackConfig = 1U << 13,
  kFieldsEnd = 1U << 14,
};

void put_var(std::uint64_t value, Bytes& out) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void put_text(std::string_view text, Bytes& out) {
  put_var(text.size(), out);
  out.append(text);
}

void put_duration(const Duration& duration, Bytes& out) {
  put_var(static_cast<std::uint64_t>(duration.ms), out);
  put_text(duration.text, out);
}

void put_config(const StepConfig& config, Bytes& out) {
  put_var(config.retries, out);
  put_duration(config.delay, out);
  put_var(static_cast<std::uint64_t>(config.backoff), out);
  put_duration(config.timeout, out);
  put_var((config.has_delay_function ? 1U : 0U) | (config.is_sensitive ? 2U : 0U), out);
}

void put_value(const Value& value, Bytes& out) {
  put_var((value.is_stored() ? 1U : 0U) | (value.is_stream ? 2U : 0U), out);
  if (value.is_stored()) {
    put_var(value.number, out);
    put_var(value.size, out);
  } else {
    put_text(value.bytes, out);
  }
}

std::uint32_t fields_of(const Record& record) {
  std::uint32_t mask = 0;
  if (record.step != 0) mask |= kStep;
  if (record.attempt != 0) mask |= kAttempt;
  if (record.epoch != 0) mask |= kEpoch;
  if (record.number != 0) mask |= kNumber;
  if (record.count != 0) mask |= kCount;
  if (record.due != 0) mask |= kDue;
  if (record.kind != StepKind::Do) mask |= kKind;
  if (record.flag) mask |= kFlag;
  if (!record.name.empty()) mask |= kName;
  if (!record.text.empty()) mask |= kText;
  if (record.has_value) mask |= kValue;
  if (record.has_failure) mask |= kFailure;
  if (record.has_config) mask |= kConfig;
  if (record.has_rollback_config) mask |= kRollbackConfig;
  return mask;
}

// Reads fields one after the other; after the first problem everything reads as zero and ok() is false.
class Reader {
 public:
  explicit Reader(BytesView bytes) : left_(bytes) {}

  bool ok() const noexcept { return ok_; }
  bool at_end() const noexcept { return left_.empty(); }
  BytesView left() const noexcept { return left_; }

  std::uint64_t var() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) return fail();
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      if (shift == 63 && byte > 1) return fail();
      value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    return fail();
  }
  std::uint64_t var_below(std::uint64_t end) {
    const auto value = var();
    return value < end ? value : fail();
  }
  std::string text() {
    const auto size = var();
    if (size > left_.size()) {
      fail();
      return {};
    }
    std::string taken(left_.substr(0, size));
    left_.remove_prefix(size);
    return taken;
  }
  TimeMs time() { return static_cast<TimeMs>(var_below(static_cast<std::uint64_t>(kNever) + 1)); }
  Duration duration() {
    Duration read;
    read.ms = time();
    read.text = text();
    return read;
  }
  StepConfig config() {
    StepConfig read;
    read.retries = static_cast<std::uint32_t>(var_below(std::uint64_t{1} << 32));
    read.delay = duration();
    read.backoff = static_cast<Backoff>(var_below(3));
    read.timeout = duration();
    const auto flags = var_below(4);
    read.has_delay_function = (flags & 1) != 0;
    read.is_sensitive = (flags & 2) != 0;
    return read;
  }
  Value value() {
    Value read;
    const auto flags = var_below(4);
    read.is_stream = (flags & 2) != 0;
    if ((flags & 1) != 0) {
      read.number = var();
      if (read.number == 0) fail();
      read.size = var();
    } else {
      read.bytes = text();
      read.size = read.bytes.size();
    }
    return read;
  }
  Failure failure() {
    Failure read;
    read.name = text();
    read.message = text();
    read.thrown = text();
    return read;
  }

 private:
  std::uint64_t fail() {
    ok_ = false;
    left_ = {};
    return 0;
  }

  BytesView left_;
  bool ok_ = true;
};

Error corrupt(std::string_view what) {
  return Error(ErrorCode::Corrupt, "workflow history: a record is damaged (" + std::string(what) + ")");
}

}  // namespace

void encode(const Record& record, Bytes& out) {
  Bytes body;
  const auto mask = fields_of(record);
  put_var(mask, body);
  put_var(static_cast<std::uint64_t>(record.at), body);
  if ((mask & kStep) != 0) put_var(record.step, body);
  if ((mask & kAttempt) != 0) put_var(record.attempt, body);
  if ((mask & kEpoch) != 0) put_var(record.epoch, body);
  if ((mask & kNumber) != 0) put_var(record.number, body);
  if ((mask & kCount) != 0) put_var(record.count, body);
  if ((mask & kDue) != 0) put_var(static_cast<std::uint64_t>(record.due), body);
  if ((mask & kKind) != 0) put_var(static_cast<std::uint64_t>(record.kind), body);
  if ((mask & kName) != 0) put_text(record.name, body);
  if ((mask & kText) != 0) put_text(record.text, body);
  if ((mask & kValue) != 0) put_value(record.value, body);
  if ((mask & kFailure) != 0) {
    put_text(record.failure.name, body);
    put_text(record.failure.message, body);
    put_text(record.failure.thrown, body);
  }
  if ((mask & kConfig) != 0) put_config(record.config, body);
  if ((mask & kRollbackConfig) != 0) put_config(record.rollback_config, body);

  const auto start = out.size();
  out.push_back(static_cast<char>(kRecordFormat));
  out.push_back(static_cast<char>(record.type));
  put_var(body.size(), out);
  out.append(body);
  const auto crc = crc32c(BytesView(out).substr(start));
  char tail[4];
  std::memcpy(tail, &crc, 4);
  out.append(tail, 4);
}

Result<Record> decode(BytesView& bytes) {
  if (bytes.size() < 2) return corrupt("it is cut short");
  const auto format = static_cast<std::uint8_t>(bytes[0]);
  if (format > kRecordFormat) {
    return Error(ErrorCode::Unsupported, "workflow history: a record has format " + std::to_string(format) +
                                             ", this version reads up to " + std::to_string(kRecordFormat) +
                                             "; start the version that wrote it");
  }
  const auto type = static_cast<std::uint8_t>(bytes[1]);
  if (format == 0 || type == 0 || type > kRecordTypeMax) return corrupt("unknown kind");
  Reader head(bytes.substr(2));
  const auto length = head.var();
  if (!head.ok() || length > kRecordBytesMax || head.left().size() < length + 4) return corrupt("bad length");
  const auto body = head.left().substr(0, length);
  const auto covered = bytes.size() - head.left().size() + length;
  std::uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + covered, 4);
  if (crc != crc32c(bytes.substr(0, covered))) return corrupt("its checksum does not match");

  Reader in(body);
  Record record;
  record.type = static_cast<RecordType>(type);
  const auto mask = in.var_below(kFieldsEnd);
  record.at = in.time();
  if ((mask & kStep) != 0) record.step = static_cast<std::uint32_t>(in.var_below(std::uint64_t{1} << 32));
  if ((mask & kAttempt) != 0) record.attempt = static_cast<std::uint32_t>(in.var_below(std::uint64_t{1} << 32));
  if ((mask & kEpoch) != 0) record.epoch = in.var();
  if ((mask & kNumber) != 0) record.number = in.var();
  if ((mask & kCount) != 0) record.count = in.var();
  if ((mask & kDue) != 0) record.due = in.time();
  if ((mask & kKind) != 0) record.kind = static_cast<StepKind>(in.var_below(3));
  record.flag = (mask & kFlag) != 0;
  if ((mask & kName) != 0) record.name = in.text();
  if ((mask & kText) != 0) record.text = in.text();
  if ((mask & kValue) != 0) record.value = in.value();
  record.has_value = (mask & kValue) != 0;
  if ((mask & kFailure) != 0) record.failure = in.failure();
  record.has_failure = (mask & kFailure) != 0;
  if ((mask & kConfig) != 0) record.config = in.config();
  record.has_config = (mask & kConfig) != 0;
  if ((mask & kRollbackConfig) != 0) record.rollback_config = in.config();
  record.has_rollback_config = (mask & kRollbackConfig) != 0;
  if (!in.ok() || !in.at_end()) return corrupt("its fields do not fit");
  bytes.remove_prefix(covered + 4);
  return record;
}

}  // namespace insula::durable
