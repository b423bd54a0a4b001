// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of actors: lying runners call objects and facets, ask for alarms, deletes and clones, answer or not, keep the
// files or let them go, close what they like, and die.
//
// What must hold whatever they say: nothing crashes, nothing leaks, each call gets one answer, an actor is closed only if
// it is open, and a database is open in one runner at a time.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <sys/stat.h>

#include "src/protocol/frames.h"
#include "src/supervisor/websocket/record.h"
#include "tests/fuzz/lying_world.h"
#include "tests/fuzz/piece.h"

namespace insula {
namespace {

class Liar {
 public:
  explicit Liar(testing::FakeRunner& runner) : runner_(runner) {}

  void know(const protocol::Load& load) {
    workers_.push_back(load.worker);
    for (const protocol::Binding& binding : load.bindings) {
      if (binding.kind == protocol::Binding::Kind::Namespace) namespaces_.push_back(binding.capability);
      if (binding.kind == protocol::Binding::Kind::Loader) loaders_.push_back(binding.capability);
    }
  }

  void listen() {
    while (const auto received = runner_.next()) {
      std::visit([this](const auto& frame) { read(frame); }, received->frame);
    }
  }

  void speak(Piece& piece) {
    switch (piece.byte() % 13) {
      case 0:
      case 1: return call_object(piece);
      case 2:
      case 3: return call_facet(piece);
      case 4: return engine(piece);
      case 5: return answer(piece);
      case 6: return close(piece);
      case 7: return give_code(piece);
      case 8: return runner_.send(protocol::Evicted{pick(workers_, piece), "idle"});
      case 9: return keep_socket(piece);
      case 10: return say_to_socket(piece);
      case 11: return feed_socket(piece);
      default: return runner_.send(protocol::Cancel{pick(unanswered_, piece)});
    }
  }

  void die() {
    files_.clear();
    runner_.descriptors.clear();
    runner_.die();
  }

  // The databases that it has.
  void add_files(std::multiset<ino_t>& all) const {
    for (const auto& [actor, files] : files_) {
      struct stat info {};
      if (!files.empty() && ::fstat(files.front().get(), &info) == 0) all.insert(info.st_ino);
    }
  }

 private:
  using Numbers = std::vector<std::uint32_t>;

  static std::uint32_t pick(const Numbers& known, Piece& piece) {
    const std::uint8_t choice = piece.byte();
    return choice < 240 && !known.empty() ? known[choice % known.size()] : piece.number();
  }
  static bool take(Numbers& from, std::uint32_t number) {
    const auto found = std::find(from.begin(), from.end(), number);
    if (found == from.end()) return false;
    from.erase(found);
    return true;
  }

  template <class Frame>
  void read(const Frame&) {}
  void read(const protocol::Load& load) { know(load); }
  void read(const protocol::NeedCode& need) { requests_.push_back(need.request); }
  void read(const protocol::Invoke& invoke) { questions_.push_back(invoke.question); }
  void read(const protocol::Return& result) {
    INSULA_CHECK(take(unanswered_, result.question));
    if (const auto* const fetch = std::get_if<protocol::FetchResponse>(&result.outcome);
        fetch != nullptr && fetch->body.kind == protocol::Body::Kind::Stream) {
      outgoing_.push_back(fetch->body.stream);
    }
  }
  void read(const protocol::Sockets& sockets) { INSULA_CHECK(known_actors().contains(sockets.actor)); }
  void read(const protocol::SocketTell& tell) { INSULA_CHECK(known_actors().contains(tell.actor)); }
  void read(const protocol::OpenActor& open) {
    INSULA_CHECK(open.descriptors == protocol::kActorDescriptors);
    INSULA_CHECK(runner_.descriptors.size() >= open.descriptors);
    INSULA_CHECK(std::find(workers_.begin(), workers_.end(), open.worker) != workers_.end());
    INSULA_CHECK(open.depth <= actors::kActorDepthMax);
    auto& files = files_[open.actor];
    INSULA_CHECK(files.empty());
    for (std::uint32_t count = 0; count < open.descriptors; ++count) {
      files.push_back(std::move(runner_.descriptors.front()));
      runner_.descriptors.erase(runner_.descriptors.begin());
    }
    actors_.push_back(open.actor);
  }
  void read(const protocol::CloseActor& close) { INSULA_CHECK(known_actors().contains(close.actor)); }

  std::set<std::uint32_t> known_actors() const {
    std::set<std::uint32_t> all(actors_.begin(), actors_.end());
    all.insert(closed_.begin(), closed_.end());
    return all;
  }

  void send_call(protocol::Invoke& invoke, Piece& piece) {
    invoke.question = ++newest_question_;
    if (piece.byte() % 2 == 0) {
      invoke.call = protocol::FetchRequest{"GET", "http://a/", {}, {}, {}};
    } else {
      invoke.call = protocol::RpcCall{{"m"}, {}, true};
    }
    unanswered_.push_back(invoke.question);
    runner_.send(invoke);
  }

  void call_object(Piece& piece) {
    const std::string id(64, static_cast<char>('a' + piece.byte() % 3));
    protocol::Invoke invoke;
    invoke.target.kind = protocol::Target::Kind::Capability;
    invoke.target.number = pick(namespaces_, piece);
    invoke.target.object = id;
    send_call(invoke, piece);
  }

  void call_facet(Piece& piece) {
    const std::string name(1, static_cast<char>('a' + piece.byte() % 2));
    protocol::Invoke invoke;
    invoke.target.facet = {pick(actors_, piece), name, {}, {}, 0};
    if (invoke.target.facet.parent == 0) return;
    invoke.target.entrypoint = "Class";
    if (piece.byte() % 2 == 0) {
      invoke.target.kind = protocol::Target::Kind::Own;
      invoke.target.number = pick(workers_, piece);
    } else {
      invoke.target.kind = protocol::Target::Kind::Dynamic;
      invoke.target.dynamic = {pick(loaders_, piece), "tenant", 0, 1};
    }
    send_call(invoke, piece);
  }

  void engine(Piece& piece) {
    struct Asked {
      std::string_view operation;
      std::string_view detail;
    };
    constexpr Asked kAsked[] = {{"alarm", R"({"at":1})"},
                                {"alarm", R"({"at":null})"},
                                {"facet.abort", R"({"name":"a","reason":"r"})"},
                                {"facet.delete", R"({"name":"a"})"},
                                {"facet.clone", R"({"from":"a","to":"b"})"},
                                {"facet.clone", R"({"from":"b","to":"a"})"},
                                {"facet.clone", R"({"from":"a","to":"a"})"},
                                {"facet.deleteAll", "{}"},
                                {"facet.usage", R"({"name":"b"})"},
                                {"nothing", "[]"},
                                {"alarm", "{"}};
    const Asked& asked = kAsked[piece.byte() % std::size(kAsked)];
    protocol::Invoke invoke;
    invoke.question = ++newest_question_;
    invoke.target.kind = protocol::Target::Kind::OwnActor;
    invoke.target.actor = pick(actors_, piece);
    invoke.call = protocol::EngineCall{asked.operation, asked.detail, {}};
    unanswered_.push_back(invoke.question);
    runner_.send(invoke);
  }

  // A WebSocket for an actor, whose client is a stream of this runner.
  void keep_socket(Piece& piece) {
    constexpr std::string_view kAbout[] = {R"({"socket":1,"tags":[]})", R"({"socket":2,"tags":["a","b"]})",
                                           R"({"socket":3,"tags":[""]})", R"({"socket":0,"tags":[]})",
                                           R"({"socket":4,"tags":[1]})", R"({"socket":5})", "[", ""};
    protocol::Invoke invoke;
    invoke.question = ++newest_question_;
    invoke.target.kind = protocol::Target::Kind::OwnActor;
    invoke.target.actor = pick(actors_, piece);
    protocol::FetchRequest fetch;
    fetch.method = "GET";
    fetch.url = "socket:";
    fetch.cf = kAbout[piece.byte() % std::size(kAbout)];
    if (piece.byte() % 8 != 0) {
      fetch.body.kind = protocol::Body::Kind::Stream;
      fetch.body.stream = ++newest_stream_;
      streams_.push_back(newest_stream_);
    }
    invoke.call = fetch;
    unanswered_.push_back(invoke.question);
    runner_.send(invoke);
  }

  static Bytes records(Piece& piece) {
    Bytes bytes;
    for (int count = piece.byte() % 4; count >= 0; --count) {
      switch (piece.byte() % 7) {
        case 0: websocket::append_close_record(bytes, static_cast<std::uint16_t>(piece.number()), piece.text()); break;
        case 1: websocket::append_broken_record(bytes, piece.text()); break;
        case 2: bytes += piece.text(); break;
        default: {
          const std::uint8_t kind = piece.byte();
          websocket::append_piece_record(bytes, {kind % 2 == 0, true, kind % 3 != 0, piece.text()});
        }
      }
    }
    return bytes;
  }

  void say_to_socket(Piece& piece) {
    protocol::SocketSay say;
    say.actor = pick(actors_, piece);
    say.socket = piece.byte() % 8;
    say.kind = static_cast<protocol::SocketSay::Kind>(piece.byte() % 6);
    const Bytes bytes = say.kind == protocol::SocketSay::Kind::Records ? records(piece) : Bytes(piece.text());
    say.bytes = bytes;
    say.more = piece.text();
    say.number = piece.number();
    runner_.send(say);
  }

  // What the client of such a socket says, and how its streams end.
  void feed_socket(Piece& piece) {
    const std::uint32_t stream = pick(streams_, piece);
    switch (piece.byte() % 8) {
      case 0: return runner_.send(protocol::StreamEnd{stream, {}});
      case 1: return runner_.send(protocol::StreamStop{pick(outgoing_, piece)});
      case 2: return runner_.send(protocol::StreamCredit{pick(outgoing_, piece), piece.byte()});
      default: {
        const Bytes bytes = records(piece);
        return runner_.send(protocol::StreamData{stream, bytes});
      }
    }
  }

  void answer(Piece& piece) {
    protocol::Return result;
    result.question = pick(questions_, piece);
    const std::uint8_t kind = piece.byte() % 4;
    if (kind < 2) {
      protocol::ErrorInfo error;
      error.name = "Error";
      error.undelivered = kind == 0;
      result.outcome = error;
    } else if (kind == 2) {
      result.outcome = protocol::RpcValue{};
    } else {
      result.outcome = protocol::FetchResponse{};
    }
    take(questions_, result.question);
    runner_.send(result);
  }

  void close(Piece& piece) {
    const std::uint32_t actor = pick(actors_, piece);
    // Who keeps the files keeps everybody else from opening the actor.
    if (piece.byte() % 4 != 0) files_.erase(actor);
    if (take(actors_, actor)) closed_.insert(actor);
    runner_.send(protocol::ActorClosed{actor, piece.byte() % 2 == 0 ? "" : "reason", piece.byte() % 2 == 0});
  }

  void give_code(Piece& piece) {
    const std::uint32_t request = pick(requests_, piece);
    take(requests_, request);
    protocol::WorkerCode code;
    code.main_module = "a.js";
    code.modules = {{"a.js", protocol::ModuleKind::EsModule, "export class Class {}"}};
    runner_.send(protocol::Code{request, code});
  }

  testing::FakeRunner& runner_;
  Numbers namespaces_, loaders_, workers_, actors_, requests_, questions_;
  std::set<std::uint32_t> closed_;
  std::map<std::uint32_t, std::vector<Fd>> files_;
  Numbers unanswered_;
  Numbers streams_, outgoing_;
  std::uint32_t newest_question_ = 0;
  std::uint32_t newest_stream_ = 0;
};

}  // namespace
}  // namespace insula

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace insula;
  Piece piece(data, size);
  LyingWorld<Liar> lying(piece);
  for (int count = 0; count < 64 && !piece.is_empty(); ++count) {
    const std::uint8_t choice = piece.byte();
    Liar& liar = lying.chosen(choice, 4);
    if (choice >= 250) {
      liar.die();
    } else if (choice >= 240) {
      lying.world.clock.advance(std::chrono::seconds(choice));
      lying.world.broker.tick();
    } else {
      liar.speak(piece);
    }
    lying.settle();
    std::multiset<ino_t> databases;
    for (const auto& other : lying.liars) other->add_files(databases);
    INSULA_CHECK(std::set<ino_t>(databases.begin(), databases.end()).size() == databases.size());
  }
  return 0;
}
