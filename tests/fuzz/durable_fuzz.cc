// SPDX-License-Identifier: Apache-2.0
//
// Workflow histories, fed with any bytes: reading them back is an error or a state, never a crash; and whatever state
// it is, the machine takes events in it.
//
// The first byte chooses: raw bytes as a history, or records with right checksums and wrong contents.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "src/base/checksum.h"
#include "src/base/error.h"
#include "src/durable/machine.h"
#include "src/durable/timeline.h"

namespace {

using namespace insula;
using namespace insula::durable;

void feed(BytesView bytes) {
  const Settings settings;
  Machine machine(settings);
  Timeline timeline;
  while (!bytes.empty()) {
    const auto record = decode(bytes);
    if (!record) return;
    Bytes again;
    encode(*record, again);
    BytesView view = again;
    const auto same = decode(view);
    INSULA_CHECK(same.has_value() && *same == *record);
    if (!machine.apply(*record)) return;
    timeline.next(*record);
  }
  if (machine.records() == 0) return;
  TimeMs now = machine.created_at();
  const auto tell = [&](Happening what) {
    const auto due = machine.next_due();
    if (due != kNever && due > now) now = due;
    machine.handle(Event{now, std::move(what)});
  };
  tell(Recovered{});
  tell(TimerFired{});
  tell(SlotGranted{"v"});
  StepAsked asked;
  asked.epoch = machine.epoch();
  asked.call = 1;
  asked.name = "a";
  tell(asked);
  AttemptEnded ended;
  ended.epoch = machine.epoch();
  ended.call = 1;
  ended.attempt = 1;
  tell(ended);
  tell(EventSent{"x", "payload"});
  tell(PauseAsked{});
  tell(ResumeAsked{});
  tell(TerminateAsked{true});
  tell(RestartAsked{RestartFrom{StepKind::Do, "a", 1}});
  tell(SlotGranted{"v"});
  tell(RunThrew{machine.epoch(), {"Error", "e", {}}});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  Bytes input(size - 1, '\0');
  std::memcpy(input.data(), data + 1, size - 1);
  if (data[0] % 2 == 0) {
    feed(input);
    return 0;
  }
  // type, length, body, again and again.
  Bytes history;
  BytesView left = input;
  while (left.size() >= 2) {
    const auto type = left[0];
    const auto length = std::min<std::size_t>(static_cast<unsigned char>(left[1]) & 0x7f, left.size() - 2);
    Bytes record;
    record.push_back(static_cast<char>(kRecordFormat));
    record.push_back(type);
    record.push_back(static_cast<char>(length));
    record.append(left.substr(2, length));
    left.remove_prefix(2 + length);
    const auto crc = crc32c(record);
    char tail[4];
    std::memcpy(tail, &crc, 4);
    record.append(tail, 4);
    history += record;
  }
  feed(history);
  return 0;
}
