// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of workflow instances: a lying runner makes instances, operates on them, and says anything at all about the runs
// it was given: steps, outcomes, pieces of streams, ends, in any order, with details that are no JSON or of the wrong types.
//
// What must hold whatever it says: nothing crashes, nothing leaks, each question gets one answer at most, a run comes with
// its capability and nothing else, and what is stored can be read back.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/durable/machine.h"
#include "src/durable/record.h"
#include "src/protocol/frames.h"
#include "src/supervisor/broker/world_test.h"
#include "tests/fuzz/piece.h"

namespace insula {
namespace {

constexpr const char* kOnBinding[] = {"create", "createBatch", "get", "status", "pause", "resume", "terminate", "restart",
                                      "delete", "deleteBatch", "sendEvent", "events", "nothing"};
constexpr const char* kOnRun[] = {"do", "sleep", "sleepUntil", "waitForEvent", "attempt", "delay", "chunk", "readStream",
                                  "rollback", "rollbackEnded", "idle", "end", "nothing"};
constexpr const char* kNames[] = {"a", "b", "step", ""};
constexpr const char* kHow[] = {"returned", "threw", "notSerialisable", "late", "else"};

class Liar {
 public:
  Liar(testing::FakeRunner& runner, protocol::CapabilityId flow) : runner_(runner), flow_(flow) {}

  void listen() {
    while (const auto received = runner_.next()) {
      std::visit([this](const auto& frame) { read(frame); }, received->frame);
    }
  }

  void speak(Piece& piece) {
    const std::uint8_t choice = piece.byte() % 16;
    if (choice < 5) return ask(flow_, kOnBinding[piece.byte() % std::size(kOnBinding)], piece);
    if (choice < 14) return ask(pick(runs_, piece), kOnRun[piece.byte() % std::size(kOnRun)], piece);
    if (choice == 14) return answer_run(piece);
    runner_.send(protocol::Cancel{pick(unanswered_, piece)});
  }

 private:
  using Numbers = std::vector<std::uint32_t>;
  static std::uint32_t pick(const Numbers& known, Piece& piece) {
    const std::uint8_t choice = piece.byte();
    return choice < 250 && !known.empty() ? known[known.size() - 1 - choice % known.size()] : piece.number();
  }
  static bool take(Numbers& from, std::uint32_t number) {
    const auto found = std::find(from.begin(), from.end(), number);
    if (found == from.end()) return false;
    from.erase(found);
    return true;
  }

  template <class Frame>
  void read(const Frame&) {}
  void read(const protocol::Return& result) { INSULA_CHECK(take(unanswered_, result.question)); }
  void read(const protocol::Invoke& invoke) {
    questions_.push_back(invoke.question);
    const auto* const event = std::get_if<protocol::EventCall>(&invoke.call);
    if (event == nullptr || event->name != "workflow") return;
    INSULA_CHECK(event->payload.capabilities.size() == 1);
    runs_.push_back(event->payload.capabilities[0].number);
  }

  // Mostly what makes sense.
  static std::string detail_of(Piece& piece) {
    const std::uint8_t kind = piece.byte();
    if (kind >= 250) return std::string(piece.text());
    if (kind >= 246) return "[1]";
    boost::json::object detail;
    const char* const name = kNames[piece.byte() % std::size(kNames)];
    const auto flags = piece.byte();
    detail["id"] = name;
    detail["name"] = name;
    detail["type"] = name;
    detail["call"] = piece.byte() % 6;
    detail["attempt"] = piece.byte() % 4;
    detail["how"] = kHow[piece.byte() % std::size(kHow)];
    detail["hasCallback"] = (flags & 1U) != 0;
    detail["rollback"] = (flags & 2U) != 0;
    detail["ok"] = (flags & 4U) != 0;
    detail["index"] = piece.byte() % 3;
    detail["answers"] = piece.byte() % 4;
    detail["value"] = piece.number();
    detail["length"] = static_cast<std::int64_t>(piece.number());
    detail["until"] = static_cast<double>(piece.number()) - 100;
    detail["timeout"] = (flags & 8U) != 0 ? boost::json::value("1 day") : boost::json::value(piece.number());
    detail["delay"] = (flags & 8U) != 0 ? boost::json::value("soon") : boost::json::value(piece.number());
    if ((flags & 16U) != 0) detail["stream"] = {{"value", 1}};
    if ((flags & 32U) != 0) {
      detail["config"] = {{"retries", {{"limit", piece.byte() % 3}, {"delay", piece.number()}, {"backoff", "linear"}}}};
    }
    if ((flags & 64U) != 0) detail["from"] = {{"name", name}, {"count", piece.byte()}, {"type", "do"}};
    detail["instances"] = {{{"id", name}, {"bytes", piece.byte()}}, {{"id", kNames[piece.byte() % std::size(kNames)]}}, 7};
    detail["ids"] = {name, 3, nullptr};
    // One field of another type.
    if ((flags & 128U) != 0) {
      const auto at = piece.byte() % detail.size();
      (detail.begin() + at)->value() = piece.byte() % 2 == 0 ? boost::json::value(nullptr) : boost::json::value({1, "x"});
    }
    return boost::json::serialize(detail);
  }

  void ask(protocol::CapabilityId whom, std::string_view operation, Piece& piece) {
    const std::string detail = detail_of(piece);
    protocol::Invoke invoke;
    invoke.question = ++newest_question_;
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = whom;
    invoke.call = protocol::EngineCall{operation, detail, {piece.text(), {}, {}}};
    unanswered_.push_back(invoke.question);
    runner_.send(invoke);
  }

  void answer_run(Piece& piece) {
    protocol::Return result;
    result.question = pick(questions_, piece);
    if (piece.byte() % 2 == 0) {
      protocol::ErrorInfo error;
      error.name = "Error";
      error.fault = piece.byte() % 2 == 0 ? "ERR_CPU_LIMIT" : "";
      result.outcome = error;
    } else {
      result.outcome = protocol::EngineResult{"{}", {}};
    }
    take(questions_, result.question);
    runner_.send(result);
  }

  testing::FakeRunner& runner_;
  const protocol::CapabilityId flow_;
  Numbers runs_, questions_, unanswered_;
  std::uint32_t newest_question_ = 0;
};

}  // namespace
}  // namespace insula

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace insula;
  Piece piece(data, size);
  testing::World world(fleet::Isolation::Shared, 1, true);
  Liar liar(world.runner(0), world.flow);
  for (int count = 0; count < 96 && !piece.is_empty(); ++count) {
    const std::uint8_t choice = piece.byte();
    if (choice >= 252) {
      world.clock.advance(std::chrono::hours(choice - 251));
      world.workflows->when_ready([](workflow::Engine& engine) { engine.tick(); });
    } else {
      liar.speak(piece);
    }
    world.settle();
    liar.listen();
  }
  const durable::Settings settings;
  for (const auto& [ref, instance] : world.flow_store.instances) {
    INSULA_CHECK(instance.row.status < durable::kStatusCount);
    durable::Machine machine(settings);
    const auto apply = [&](BytesView bytes) {
      while (!bytes.empty()) {
        const auto record = durable::decode(bytes);
        INSULA_CHECK(record.has_value());
        INSULA_CHECK(machine.apply(*record).has_value());
      }
    };
    apply(instance.row.head);
    for (const auto& [first, bytes] : instance.history) apply(bytes);
  }
  return 0;
}
