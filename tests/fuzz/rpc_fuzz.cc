// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of RPC and actors: lying runners against a whole supervisor below HTTP. They speak in well-formed frames, use
// mostly numbers that they were given (their own and each other's), and lie about some.
//
// What must hold whatever they say: nothing crashes, nothing leaks, each call gets one answer, a number that a runner
// gave is released to it at most once, what is finished or comes home was there, and an actor's files are in one
// runner at a time.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <type_traits>
#include <utility>
#include <vector>

#include "src/protocol/frames.h"
#include "tests/fuzz/lying_world.h"
#include "tests/fuzz/piece.h"

namespace insula {
namespace {

using protocol::CapabilityRef;

class Liar {
 public:
  explicit Liar(testing::FakeRunner& runner) : runner_(runner) {}

  void know(const protocol::Load& load) {
    workers_.push_back(load.worker);
    if (!load.is_tenant) static_workers_.push_back(load.worker);
    for (const protocol::Binding& binding : load.bindings) {
      if (binding.capability == 0) continue;
      (binding.kind == protocol::Binding::Kind::Loader ? loaders_ : imports_).push_back(binding.capability);
    }
    if (load.outbound != 0) imports_.push_back(load.outbound);
    imports_.insert(imports_.end(), load.tails.begin(), load.tails.end());
    read(load.code.env);
  }

  // Reads what has come, and holds the supervisor to its promises.
  void listen() {
    while (const auto received = runner_.next()) {
      std::visit([this](const auto& frame) { read(frame); }, received->frame);
    }
  }

  // Says one thing, when there is something to say.
  void speak(Piece& piece) {
    switch (piece.byte() % 16) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: return call(piece);
      case 5:
      case 6:
      case 7:
      case 8: return answer(piece);
      case 9: return end<protocol::Finish>(unfinished_, piece);
      case 10: return end<protocol::Release>(imports_, piece);
      case 11: return end<protocol::Cancel>(unanswered_, piece, true);
      case 12: return end<protocol::Finished>(continuing_, piece);
      case 13: return give_code(piece);
      case 14: return stream(piece);
      default:
        if (piece.byte() % 8 == 0 && !workers_.empty()) runner_.send(protocol::Evicted{pick(workers_, piece), "idle"});
    }
  }

  void die() {
    runner_.descriptors.clear();
    runner_.die();
  }

 private:
  using Numbers = std::vector<std::uint32_t>;

  // Mostly one of those that are known, which must be some.
  static std::uint32_t pick(const Numbers& known, Piece& piece) {
    const std::uint8_t choice = piece.byte();
    return choice < 250 ? known[choice % known.size()] : piece.number();
  }
  static bool take(Numbers& from, std::uint32_t number) {
    const auto found = std::find(from.begin(), from.end(), number);
    if (found == from.end()) return false;
    from.erase(found);
    return true;
  }

  // ---- What the supervisor says

  template <class Frame>
  void read(const Frame&) {}
  void read(const protocol::Payload& payload) {
    for (const CapabilityRef& reference : payload.capabilities) {
      INSULA_CHECK(reference.kind != CapabilityRef::Kind::Entrypoint);
      if (reference.kind == CapabilityRef::Kind::SenderHosted) {
        imports_.push_back(reference.number);
      } else {
        INSULA_CHECK(exports_.contains(reference.number));
      }
    }
    for (const protocol::Body& body : payload.streams) read(body);
  }
  void read(const protocol::Body& body) {
    if (body.kind == protocol::Body::Kind::Stream) readable_.push_back(body.stream);
  }
  void read(const protocol::Load& load) { know(load); }
  void read(const protocol::Local& local) { read(local.props); }
  void read(const protocol::NeedCode& need) { requests_.push_back(need.request); }
  void read(const protocol::Invoke& invoke) {
    INSULA_CHECK(invoke.target.kind != protocol::Target::Kind::Capability || exports_.contains(invoke.target.number));
    const bool is_rpc = std::holds_alternative<protocol::RpcCall>(invoke.call);
    const bool is_event = std::holds_alternative<protocol::EventCall>(invoke.call);
    (is_rpc ? rpc_questions_ : is_event ? event_questions_ : fetch_questions_).push_back(invoke.question);
    parents_.push_back(invoke.question);
    read(invoke.target.props);
    if (const auto* const rpc = std::get_if<protocol::RpcCall>(&invoke.call)) read(rpc->arguments);
    if (const auto* const fetch = std::get_if<protocol::FetchRequest>(&invoke.call)) read(fetch->body);
  }
  void read(const protocol::Return& result) {
    INSULA_CHECK(take(unanswered_, result.question));
    if (rpc_calls_.contains(result.question)) unfinished_.push_back(result.question);
    if (const auto* const value = std::get_if<protocol::RpcValue>(&result.outcome)) read(value->payload);
    if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&result.outcome)) read(fetch->body);
  }
  void read(const protocol::OpenActor& open) {
    INSULA_CHECK(open.descriptors == protocol::kActorDescriptors);
    INSULA_CHECK(std::find(workers_.begin(), workers_.end(), open.worker) != workers_.end());
    actors_.push_back(open.actor);
    read(open.props);
  }
  void read(const protocol::CloseActor& close) {
    INSULA_CHECK(std::find(actors_.begin(), actors_.end(), close.actor) != actors_.end());
  }
  void read(const protocol::StreamCredit& credit) { credits_[credit.stream] += credit.bytes; }
  void read(const protocol::Release& release) { INSULA_CHECK(exports_.erase(release.capability) == 1); }
  void read(const protocol::Finish& finish) { INSULA_CHECK(take(kept_, finish.question)); }

  // ---- What it says

  // Something is over, and said once.
  template <class Frame>
  void end(Numbers& known, Piece& piece, bool is_kept = false) {
    if (known.empty()) return;
    Frame frame;
    const std::uint32_t number = pick(known, piece);
    if (!is_kept) take(known, number);
    if constexpr (std::is_same_v<Frame, protocol::Release>) {
      frame.capability = number;
    } else {
      frame.question = number;
    }
    if constexpr (std::is_same_v<Frame, protocol::Finish>) take(promising_, number);
    runner_.send(frame);
  }

  protocol::Payload payload(Piece& piece, bool has_streams) {
    protocol::Payload made;
    made.bytes = piece.text();
    for (std::uint8_t count = piece.byte() % 4; count > 0; --count) {
      CapabilityRef reference;
      const std::uint8_t kind = piece.byte() % 4;
      if (kind == 0) {
        reference.number = piece.byte() < 250 ? ++newest_export_ : piece.number();
        exports_.insert(reference.number);
      } else if (kind < 3 && !imports_.empty()) {
        reference.kind = CapabilityRef::Kind::ReceiverHosted;
        reference.number = pick(imports_, piece);
      } else if (kind == 3 && !static_workers_.empty()) {
        reference.kind = CapabilityRef::Kind::Entrypoint;
        protocol::Entrypoint entrypoint;
        entrypoint.worker = pick(static_workers_, piece);
        entrypoint.name = "Named";
        if (piece.byte() % 4 == 0 && depth_ < 5) {
          ++depth_;
          entrypoint.props = payload(piece, false);
          --depth_;
        }
        reference.entrypoint = std::make_shared<const protocol::Entrypoint>(std::move(entrypoint));
      } else {
        continue;
      }
      made.capabilities.push_back(std::move(reference));
    }
    if (has_streams && piece.byte() % 3 == 0) made.streams.push_back(body(piece));
    return made;
  }

  protocol::Body body(Piece& piece) {
    protocol::Body made;
    switch (piece.byte() % 4) {
      case 1:
        made.kind = protocol::Body::Kind::Inline;
        made.bytes = piece.text();
        break;
      case 2:
        made.kind = protocol::Body::Kind::Stream;
        made.stream = piece.byte() < 250 ? ++newest_stream_ : piece.number();
        writable_.push_back(made.stream);
        break;
      case 3:
        if (readable_.empty()) break;
        made.kind = protocol::Body::Kind::HandedBack;
        made.stream = pick(readable_, piece);
        take(readable_, made.stream);
        break;
      default: break;
    }
    return made;
  }

  void call(Piece& piece) {
    protocol::Invoke invoke;
    invoke.question = piece.byte() < 250 ? ++newest_question_ : piece.number();
    if (piece.byte() % 4 != 0 && !parents_.empty()) invoke.parent = pick(parents_, piece);
    const std::uint8_t kind = piece.byte() % 4;
    if (kind == 0 && !loaders_.empty()) {
      invoke.target.kind = protocol::Target::Kind::Dynamic;
      invoke.target.dynamic = {pick(loaders_, piece), piece.byte() % 2 == 0 ? "a" : "b", 0, 1};
      if (piece.byte() % 4 == 0) invoke.target.props = payload(piece, false);
    } else if (kind == 1 && !promising_.empty()) {
      invoke.target.kind = protocol::Target::Kind::Promised;
      invoke.target.number = pick(promising_, piece);
    } else if (kind == 2 && !static_workers_.empty()) {
      invoke.target.kind = protocol::Target::Kind::Own;
      invoke.target.number = pick(static_workers_, piece);
      invoke.target.entrypoint = "Named";
      invoke.target.props = payload(piece, false);
    } else if (!imports_.empty()) {
      invoke.target.kind = protocol::Target::Kind::Capability;
      invoke.target.number = pick(imports_, piece);
    } else {
      return;
    }
    switch (piece.byte() % 4) {
      case 0: {
        protocol::FetchRequest fetch{"GET", "http://a/", {}, {}, {}};
        fetch.body = body(piece);
        invoke.call = fetch;
        break;
      }
      case 1: invoke.call = protocol::EventCall{"tail", "[]", {}}; break;
      default:
        invoke.call = protocol::RpcCall{{"m"}, payload(piece, true), true};
        rpc_calls_.insert(invoke.question);
        promising_.push_back(invoke.question);
    }
    unanswered_.push_back(invoke.question);
    runner_.send(invoke);
  }

  void answer(Piece& piece) {
    protocol::Return result;
    const std::uint8_t kind = piece.byte() % 3;
    Numbers& questions = kind == 0 ? fetch_questions_ : kind == 1 ? rpc_questions_ : event_questions_;
    if (questions.empty()) return;
    result.question = pick(questions, piece);
    result.continues = piece.byte() % 4 == 0;
    if (piece.byte() % 4 == 0) {
      protocol::ErrorInfo error;
      error.name = "Error";
      error.undelivered = piece.byte() % 2 == 0;
      result.outcome = error;
    } else if (kind != 0) {
      result.outcome = protocol::RpcValue{payload(piece, true)};
    } else {
      protocol::FetchResponse response;
      response.body = body(piece);
      result.outcome = response;
    }
    if (take(rpc_questions_, result.question)) kept_.push_back(result.question);
    take(fetch_questions_, result.question);
    take(event_questions_, result.question);
    if (result.continues) continuing_.push_back(result.question);
    runner_.send(result);
  }

  void give_code(Piece& piece) {
    if (requests_.empty()) return;
    protocol::WorkerCode code;
    code.main_module = "a.js";
    code.modules = {{"a.js", protocol::ModuleKind::EsModule, "export default {}"}};
    code.env = payload(piece, false);
    if (!imports_.empty()) {
      code.outbound = static_cast<protocol::OutboundRule>(piece.byte() % 3);
      code.outbound_to = {CapabilityRef::Kind::ReceiverHosted, pick(imports_, piece), {}};
      for (std::uint8_t count = piece.byte() % 3; count > 0; --count) {
        code.tails.push_back({CapabilityRef::Kind::ReceiverHosted, pick(imports_, piece), {}});
      }
    }
    const std::uint32_t request = pick(requests_, piece);
    take(requests_, request);
    runner_.send(protocol::Code{request, code});
  }

  void stream(Piece& piece) {
    const std::uint8_t kind = piece.byte() % 4;
    Numbers& known = kind < 2 ? readable_ : writable_;
    if (known.empty()) return;
    const std::uint32_t number = pick(known, piece);
    switch (kind) {
      case 0:
        // No more than the window, in all likelihood.
        return runner_.send(protocol::StreamCredit{number, piece.number() % 4096});
      case 1: return runner_.send(protocol::StreamStop{number});
      case 2:
        take(writable_, number);
        return runner_.send(protocol::StreamEnd{number, {}});
      default: {
        std::uint64_t& credit = credits_[number];
        const BytesView text = piece.text();
        const BytesView bytes = piece.byte() < 250 ? text.substr(0, credit) : text;
        credit -= std::min<std::uint64_t>(credit, bytes.size());
        return runner_.send(protocol::StreamData{number, bytes});
      }
    }
  }

  testing::FakeRunner& runner_;
  // Given to it.
  Numbers imports_, loaders_, workers_, static_workers_, actors_, parents_, readable_, requests_;
  Numbers fetch_questions_, rpc_questions_, event_questions_;
  std::map<std::uint32_t, std::uint64_t> credits_;  // by stream
  // Its own.
  std::set<std::uint32_t> exports_, rpc_calls_;
  Numbers unanswered_, promising_, unfinished_, kept_, continuing_, writable_;
  std::uint32_t newest_export_ = 0;
  std::uint32_t newest_question_ = 0;
  std::uint32_t newest_stream_ = 0;
  int depth_ = 0;
};

}  // namespace
}  // namespace insula

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace insula;
  Piece piece(data, size);
  LyingWorld<Liar> lying(piece);
  std::vector<std::shared_ptr<testing::TestEvent>> events;
  for (int count = 0; count < 128 && !piece.is_empty(); ++count) {
    const std::uint8_t choice = piece.byte();
    Liar& liar = lying.chosen(choice, 8);
    if (choice >= 250) {
      liar.die();
    } else if (choice >= 235) {
      events.push_back(lying.world.submit());
    } else {
      liar.speak(piece);
    }
    lying.settle();
  }
  return 0;
}
