// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of RPC: lying runners against a whole supervisor below HTTP. They speak in well-formed frames, use mostly
// numbers that they were given (their own and each other's), and lie about some.
//
// What must hold whatever they say: nothing crashes, nothing leaks, each call gets one answer, a number that a runner
// gave is released to it at most once, and what is finished or comes home was there.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "src/protocol/frames.h"
#include "src/supervisor/broker/world_test.h"
#include "tests/fuzz/piece.h"

namespace insula {
namespace {

using protocol::CapabilityRef;

class Liar {
 public:
  explicit Liar(testing::FakeRunner& runner) : runner_(runner) {}

  void know(const protocol::Load& load) {
    workers_.push_back(load.worker);
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

  // Says one thing.
  void speak(Piece& piece) {
    switch (piece.byte() % 12) {
      case 0:
      case 1:
      case 2: return call(piece);
      case 3:
      case 4: return answer(piece);
      case 5: return runner_.send(protocol::Finish{pick(unfinished_, piece)});
      case 6: return runner_.send(protocol::Release{pick(imports_, piece)});
      case 7: return runner_.send(protocol::Cancel{pick(unanswered_, piece)});
      case 8: return runner_.send(protocol::Finished{pick(continuing_, piece), 0});
      case 9: return give_code(piece);
      case 10: return runner_.send(protocol::Evicted{pick(workers_, piece), "idle"});
      default: return stream(piece);
    }
  }

  void die() { runner_.die(); }

 private:
  using Numbers = std::vector<std::uint32_t>;

  static std::uint32_t pick(const Numbers& known, Piece& piece) {
    const std::uint8_t choice = piece.byte();
    return choice < 224 && !known.empty() ? known[choice % known.size()] : piece.number();
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
    (is_rpc ? rpc_questions_ : fetch_questions_).push_back(invoke.question);
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
  void read(const protocol::Release& release) { INSULA_CHECK(exports_.erase(release.capability) == 1); }
  void read(const protocol::Finish& finish) { INSULA_CHECK(take(kept_, finish.question)); }

  // ---- What it says

  protocol::Payload payload(Piece& piece, bool has_streams) {
    protocol::Payload made;
    made.bytes = piece.text();
    for (std::uint8_t count = piece.byte() % 4; count > 0; --count) {
      CapabilityRef& reference = made.capabilities.emplace_back();
      switch (piece.byte() % 4) {
        case 0:
          reference.number = piece.byte() < 224 ? ++newest_export_ : piece.number();
          exports_.insert(reference.number);
          break;
        case 1:
        case 2:
          reference.kind = CapabilityRef::Kind::ReceiverHosted;
          reference.number = pick(imports_, piece);
          break;
        default: {
          reference.kind = CapabilityRef::Kind::Entrypoint;
          protocol::Entrypoint entrypoint;
          entrypoint.worker = pick(workers_, piece);
          entrypoint.name = "Named";
          if (piece.byte() % 4 == 0 && depth_ < 6) {
            ++depth_;
            entrypoint.props = payload(piece, false);
            --depth_;
          }
          reference.entrypoint = std::make_shared<const protocol::Entrypoint>(std::move(entrypoint));
        }
      }
    }
    if (has_streams && piece.byte() % 3 == 0) made.streams.push_back(body(piece));
    return made;
  }

  protocol::Body body(Piece& piece) {
    protocol::Body made;
    made.kind = static_cast<protocol::Body::Kind>(piece.byte() % 4);
    if (made.kind == protocol::Body::Kind::Inline) made.bytes = piece.text();
    if (made.kind == protocol::Body::Kind::Stream) {
      made.stream = piece.byte() < 224 ? ++newest_stream_ : piece.number();
      writable_.push_back(made.stream);
    }
    if (made.kind == protocol::Body::Kind::HandedBack) made.stream = pick(readable_, piece);
    return made;
  }

  void call(Piece& piece) {
    protocol::Invoke invoke;
    invoke.question = piece.byte() < 240 ? ++newest_question_ : piece.number();
    invoke.parent = piece.byte() % 4 == 0 ? 0 : pick(parents_, piece);
    switch (piece.byte() % 4) {
      case 0:
        invoke.target.kind = protocol::Target::Kind::Dynamic;
        invoke.target.dynamic = {pick(loaders_, piece), piece.byte() % 2 == 0 ? "a" : "b", 0, 1};
        if (piece.byte() % 4 == 0) invoke.target.props = payload(piece, false);
        break;
      case 1:
        invoke.target.kind = protocol::Target::Kind::Promised;
        invoke.target.number = piece.byte() % 2 == 0 ? pick(unfinished_, piece) : pick(unanswered_, piece);
        break;
      default:
        invoke.target.kind = protocol::Target::Kind::Capability;
        invoke.target.number = pick(imports_, piece);
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
    }
    unanswered_.push_back(invoke.question);
    runner_.send(invoke);
  }

  void answer(Piece& piece) {
    protocol::Return result;
    const bool is_rpc = piece.byte() % 3 != 0;
    result.question = pick(is_rpc ? rpc_questions_ : fetch_questions_, piece);
    result.continues = piece.byte() % 4 == 0;
    if (piece.byte() % 4 == 0) {
      protocol::ErrorInfo error;
      error.name = "Error";
      error.undelivered = piece.byte() % 2 == 0;
      result.outcome = error;
    } else if (is_rpc) {
      result.outcome = protocol::RpcValue{payload(piece, true)};
    } else {
      protocol::FetchResponse response;
      response.body = body(piece);
      result.outcome = response;
    }
    if (take(rpc_questions_, result.question)) kept_.push_back(result.question);
    take(fetch_questions_, result.question);
    if (result.continues) continuing_.push_back(result.question);
    runner_.send(result);
  }

  void give_code(Piece& piece) {
    protocol::WorkerCode code;
    code.main_module = "a.js";
    code.modules = {{"a.js", protocol::ModuleKind::EsModule, "export default {}"}};
    code.env = payload(piece, false);
    code.outbound = static_cast<protocol::OutboundRule>(piece.byte() % 3);
    code.outbound_to = {CapabilityRef::Kind::ReceiverHosted, pick(imports_, piece), {}};
    for (std::uint8_t count = piece.byte() % 3; count > 0; --count) {
      code.tails.push_back({CapabilityRef::Kind::ReceiverHosted, pick(imports_, piece), {}});
    }
    const std::uint32_t request = pick(requests_, piece);
    take(requests_, request);
    runner_.send(protocol::Code{request, code});
  }

  void stream(Piece& piece) {
    switch (piece.byte() % 4) {
      case 0: return runner_.send(protocol::StreamCredit{pick(readable_, piece), piece.number() % 4096});
      case 1: return runner_.send(protocol::StreamStop{pick(readable_, piece)});
      case 2: return runner_.send(protocol::StreamEnd{pick(writable_, piece), {}});
      default: return runner_.send(protocol::StreamData{pick(writable_, piece), piece.text()});
    }
  }

  testing::FakeRunner& runner_;
  // Given to it.
  Numbers imports_, loaders_, workers_, parents_, readable_, requests_, fetch_questions_, rpc_questions_;
  // Its own.
  std::set<std::uint32_t> exports_, rpc_calls_;
  Numbers unanswered_, unfinished_, kept_, continuing_, writable_;
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
  testing::World world(piece.byte() % 4 == 0 ? fleet::Isolation::Shared : fleet::Isolation::Cordon);
  std::vector<std::unique_ptr<Liar>> liars;
  const auto settle = [&] {
    world.settle();
    world.greet_all();
    while (liars.size() < world.starter.started()) {
      liars.push_back(std::make_unique<Liar>(world.runner(liars.size())));
    }
    for (const auto& liar : liars) liar->listen();
  };
  std::vector<std::shared_ptr<testing::TestEvent>> events;
  settle();
  liars[0]->know(*world.platform_load);
  for (int count = 0; count < 128 && !piece.is_empty(); ++count) {
    const std::uint8_t choice = piece.byte();
    Liar& liar = *liars[choice % std::min<std::size_t>(liars.size(), 8)];
    if (choice >= 250) {
      liar.die();
    } else if (choice >= 235) {
      events.push_back(world.submit());
    } else {
      liar.speak(piece);
    }
    settle();
  }
  return 0;
}
