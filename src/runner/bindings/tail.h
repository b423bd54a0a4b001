// SPDX-License-Identifier: Apache-2.0
//
// Tail: what is told of an invocation when it is over, to those who were named as tails of its Worker.
//
// The text is made here and not by built-ins, because an isolate that was stopped at a limit can make none.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "src/runner/isolate/events.h"

namespace insula::runner {

class TailRecord {
 public:
  TailRecord(const Call& call, std::string_view entrypoint, std::size_t bytes_max);

  // `message`: JSON of the list of arguments.
  void add_log(std::string_view level, std::string_view message);
  void add_exception(std::string_view name, std::string_view message, std::string_view stack);
  // What the log says of an error that nobody handled: "Uncaught NAME: MESSAGE", and the stack in the lines below.
  void add_uncaught(std::string_view line);
  void set_answer(const Outcome& outcome);
  // What the runtime itself made of the invocation; nothing that comes after changes it.
  void set_fault(std::string_view fault, std::string_view message);

  // The list of one event, as JSON.
  std::string finish(std::string_view script, std::uint64_t cpu_nanos) const;

 private:
  bool take(std::size_t bytes);

  bool is_fetch_ = false;
  double started_millis_ = 0;
  std::uint64_t started_nanos_ = 0;
  std::string entrypoint_;
  std::string event_;  // without its end
  std::string logs_;
  std::string exceptions_;
  std::string last_exception_;  // its message
  std::string_view outcome_ = "ok";
  bool is_fault_ = false;
  bool is_truncated_ = false;
  std::size_t bytes_left_;
  std::uint16_t status_ = 0;
};

}  // namespace insula::runner
