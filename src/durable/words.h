// SPDX-License-Identifier: Apache-2.0
//
// The words of a workflow instance: status, values, failures, steps and their configuration.
//
// Values are opaque: what a tenant's code returned, sent or was given is bytes here and is never parsed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/durable/duration.h"

namespace insula::durable {

using TimeMs = std::int64_t;  // milliseconds since 1970, by the clock of record, which never goes back
inline constexpr TimeMs kNever = std::numeric_limits<TimeMs>::max();

enum class Status : std::uint8_t {
  Queued,
  Running,
  Waiting,
  WaitingForPause,
  Paused,
  Errored,
  Terminated,
  Complete,
};
inline constexpr std::uint8_t kStatusCount = 8;

constexpr bool is_final(Status status) noexcept { return status >= Status::Errored; }
std::string_view name_of(Status status) noexcept;  // "waitingForPause", as the API shows it

// Small values live in the journal; larger ones are rows of their own, named by their number within the instance, so
// that an instance in memory is small however much it has stored.
struct Value {
  Bytes bytes;               // empty when stored
  std::uint64_t number = 0;  // of the stored value; 0: inline
  std::uint64_t size = 0;    // of the whole value
  bool is_stream = false;    // stored chunk by chunk, read back as a stream

  bool is_stored() const noexcept { return number != 0; }
  static Value inline_of(Bytes bytes) {
    const auto size = bytes.size();
    return Value{std::move(bytes), 0, size, false};
  }
  bool operator==(const Value&) const = default;
};

// A stream is kept in pieces, in rows whose numbers follow each other; all but the last piece are of this size.
inline constexpr std::uint64_t kStreamPieceBytes = std::uint64_t{256} << 10;
inline constexpr std::uint64_t kStreamPiecesMax = 4'096;  // 1 GiB: what an instance may store in all
constexpr std::uint64_t rows_of(const Value& value) noexcept {
  if (!value.is_stream) return 1;
  return value.size == 0 ? 1 : (value.size + kStreamPieceBytes - 1) / kStreamPieceBytes;
}

// What was thrown. `thrown` is the serialised error itself, for code that catches it; name and message are for
// decisions, status and logs.
struct Failure {
  std::string name;
  std::string message;
  Bytes thrown;

  bool operator==(const Failure&) const = default;
};

enum class StepKind : std::uint8_t { Do, Sleep, Wait };
std::string_view name_of(StepKind kind) noexcept;  // "do", "sleep", "waitForEvent"

enum class Backoff : std::uint8_t { Constant, Linear, Exponential };
std::string_view name_of(Backoff backoff) noexcept;

inline constexpr std::uint32_t kRetriesUnlimited = std::numeric_limits<std::uint32_t>::max();

struct StepConfig {
  std::uint32_t retries = 5;  // attempts are one more
  Duration delay{1'000, {}};
  Backoff backoff = Backoff::Exponential;
  Duration timeout{600'000, "10 minutes"};  // of one attempt
  bool has_delay_function = false;
  bool is_sensitive = false;  // the output is shown as "[REDACTED]"

  bool operator==(const StepConfig&) const = default;
};

// A step's configuration as the author wrote it, typed but not checked.
struct RawDuration {
  enum class Form : std::uint8_t { Absent, Number, Text, Function };
  Form form = Form::Absent;
  double number = 0;
  std::string text;
};
struct RawConfig {
  bool has_retries = false;
  bool has_limit = false;
  double limit = 0;
  RawDuration delay;
  std::string backoff;  // empty: absent
  RawDuration timeout;
  bool is_sensitive = false;
  std::string problem;  // what could not even be typed: an unknown key, a wrong kind of value; empty: nothing
};

// Bounds of one instance (spec/workflows.md, section 9).
struct Settings {
  StepConfig defaults;
  std::uint32_t steps_max = 10'000;
  std::uint64_t storage_bytes_max = std::uint64_t{1} << 30;
  std::size_t value_bytes_max = std::size_t{1} << 20;
  std::size_t inline_bytes_max = 1'024;
  TimeMs linger_ms = 1'000;        // a run with nothing to do is kept this long before it hibernates
  TimeMs wait_timeout_ms = kDayMs;
  TimeMs delay_function_ms = 5'000;
  TimeMs replay_stall_ms = 60'000;  // a replay that asks for nothing this long is stuck
  std::uint32_t losses_max = 20;    // runs lost in a row without progress
  bool keeps_non_retryable_error = false;
};

inline constexpr std::size_t kStepNameBytesMax = 256;
inline constexpr std::size_t kEventTypeBytesMax = 100;
inline constexpr std::size_t kInstanceIdBytesMax = 100;
inline constexpr std::size_t kFailureMessageBytesMax = 16'384;

// Ids a caller may choose: ^[a-zA-Z0-9_][a-zA-Z0-9-_]*$, at most 100 characters.
bool is_instance_id(std::string_view id) noexcept;
// The same pattern, at most 64.
bool is_workflow_name(std::string_view name) noexcept;
bool is_event_type(std::string_view type) noexcept;
bool is_step_name(std::string_view name) noexcept;

// Checks and completes a step's configuration. Errors: InvalidInput, the message says what is wrong.
Result<StepConfig> resolve_config(const RawConfig& raw, const StepConfig& defaults);

}  // namespace insula::durable
