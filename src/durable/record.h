// SPDX-License-Identifier: Apache-2.0
//
// Record: one durable fact of one instance's history. An instance's state is the fold of its records, nothing else.
//
// On disk, all numbers little-endian, `var` the usual 7-bits-a-byte varint, `text` a var length and its bytes:
//
//   +--------+------+------------+--------------+-----------------------------+
//   | format | type | var length | body: length | CRC-32C of all before: 4    |
//   | 1 byte | 1    | of body    | bytes        |                             |
//   +--------+------+------------+--------------+-----------------------------+
//   body   = var mask, var at_ms, then the fields named by the bits of mask, in the order of enum Field (record.cc)
//   value  = var flags (1: stored, 2: stream), then text | var number, var size
//   failure= text name, text message, text thrown
//   config = var retries, duration delay, var backoff, duration timeout, var flags (1: delay function, 2: sensitive)
//   duration = var ms, text
//
// A history is records one after the other. A reader refuses a format above its own: no guess about newer records.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/durable/words.h"

namespace insula::durable {

inline constexpr std::uint8_t kRecordFormat = 1;
inline constexpr std::uint64_t kRecordBytesMax = std::uint64_t{4} << 20;

enum class RecordType : std::uint8_t {  // stable numbers: they are on disk
  Created = 1,           // value: params
  RunStarted = 2,        // epoch, text: code version
  RunContinued = 3,      // a run that was kept while it waited goes on
  RunLost = 4,           // epoch; number 1: counts as a crash
  Waiting = 5,
  PauseRequested = 6,
  Paused = 7,
  Resumed = 8,
  StepStarted = 9,       // kind, name, count, text: duration or event type, due, config, flag: has rollback, config2
  AttemptStarted = 10,   // step, attempt
  AttemptFailed = 11,    // step, attempt, failure, due (absent: the delay function is still to be asked)
  RetryScheduled = 12,   // step, due
  StepCompleted = 13,    // step, attempt, value
  StepFailed = 14,       // step, attempt, failure
  SleepEnded = 15,       // step
  EventStored = 16,      // number: event id, text: type, value
  WaitEnded = 17,        // step, number: event id
  WaitTimedOut = 18,     // step, failure
  Completed = 19,        // value: output
  RollbackStarted = 20,  // failure, number: final status
  RollbackAttemptStarted = 21,  // step, attempt
  RollbackAttemptFailed = 22,   // step, attempt, failure, due
  RollbackStepCompleted = 23,   // step
  RollbackStepFailed = 24,      // step, failure
  Finished = 25,         // number: status, failure
  Restarted = 26,        // number: records before, count2: events before; all history before it is void
  RestartedFrom = 27,    // step: it and all later ones are void
};
inline constexpr std::uint8_t kRecordTypeMax = 27;

struct Record {
  RecordType type = RecordType::Created;
  TimeMs at = 0;
  std::uint32_t step = 0;
  std::uint32_t attempt = 0;
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  std::uint64_t count = 0;
  TimeMs due = 0;
  StepKind kind = StepKind::Do;
  bool flag = false;
  std::string name;
  std::string text;
  Value value;
  bool has_value = false;
  Failure failure;
  bool has_failure = false;
  StepConfig config;
  bool has_config = false;
  StepConfig rollback_config;
  bool has_rollback_config = false;

  bool operator==(const Record&) const = default;
};

// Appends the record's bytes to `out`.
void encode(const Record& record, Bytes& out);

// Reads the record at the start of `bytes` and removes it from them. Errors: Corrupt, Unsupported (a newer format).
Result<Record> decode(BytesView& bytes);

}  // namespace insula::durable
