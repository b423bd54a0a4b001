// SPDX-License-Identifier: Apache-2.0
//
// Fuzzer of the boundary: what a runner sends, from raw bytes and as mutated frames inside a live session.
//
// The input is cut into pieces. The first byte of each chooses: raw bytes on the wire, or a well-formed frame whose
// numbers, texts and kinds come from the piece. The supervisor's side must neither crash nor let a number through that
// it never gave out.
#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "src/protocol/frames.h"
#include "src/supervisor/fleet/session.h"
#include "tests/fuzz/piece.h"
#include "tests/support/fake_runner.h"

namespace insula {
namespace {

class Granted final : public fleet::Capability {
 public:
  void invoke(fleet::IncomingCall& call) override {
    // Half of the calls are answered at once, with the body that they came with; the others stay open.
    if (call.answer.question % 2 == 0) return;
    protocol::Return outcome;
    outcome.outcome = protocol::FetchResponse{};
    call.session.answer(call.answer.question, outcome, call.body);
  }
};

class Reader final : public io::ByteSink {
 public:
  void on_data(BytesView) override {}
  void on_end() override {}
  void on_failure(const Error&) override {}
};

class Nothing final : public io::ByteSource {
 public:
  void attach(io::ByteSink& sink) override { sink_ = &sink; }
  void grant(std::size_t bytes) override {
    if (sink_ == nullptr) return;
    sink_->on_data(Bytes(std::min<std::size_t>(bytes, 100), 'x'));
    if (bytes % 3 == 0) sink_->on_end();
  }
  void stop() override { sink_ = nullptr; }

 private:
  io::ByteSink* sink_ = nullptr;
};

class Asker final : public fleet::ReplySink {
 public:
  ~Asker() override {
    if (body_ != nullptr) body_->stop();
  }
  void on_return(const protocol::Return&, io::ByteSourcePtr body, fleet::Carried) override {
    INSULA_CHECK(++outcomes_ == 1);
    body_ = std::move(body);
    if (body_ == nullptr) return;
    body_->attach(reader_);
    body_->grant(1000);
  }
  void on_undelivered(const protocol::ErrorInfo&, io::ByteSourcePtr, std::vector<io::ByteSourcePtr>) override {
    INSULA_CHECK(++outcomes_ == 1);
  }
  void on_lost(const fleet::Loss&) override { INSULA_CHECK(++outcomes_ == 1); }

 private:
  int outcomes_ = 0;
  Reader reader_;
  io::ByteSourcePtr body_;
};

class Owner final : public fleet::WorkerOwner {
 public:
  std::string_view worker_name() const override { return "w"; }
  std::string_view dynamic_id() const override { return {}; }
  const std::string& tenant_key() const override { return key_; }
  void on_worker_gone(fleet::Session&, protocol::WorkerId, std::string_view) override {}

 private:
  const std::string key_;
};

class Peer final : public fleet::SessionEvents, public fleet::SessionHandler {
 public:
  void on_hello(fleet::Session&, const protocol::Hello&) override {}
  void on_pong(fleet::Session&, std::uint32_t) override {}
  void on_usage(fleet::Session&, const protocol::Usage&) override {}
  void on_session_end(fleet::Session& session, const Error&) override { session.close({}); }
  void on_dynamic_invoke(fleet::IncomingCall& call, const std::shared_ptr<fleet::Capability>&) override {
    call.session.answer_error(call.answer.question, fleet::error_of(Fault::LoadFailed));
  }
  void on_preload(fleet::Session&, const protocol::Dynamic&, const std::shared_ptr<fleet::Capability>&) override {}
  std::shared_ptr<fleet::Capability> make_entrypoint(fleet::WorkerOwner&, std::string_view, BytesView,
                                                     fleet::Carried) override {
    return nullptr;
  }
  void on_log(fleet::Session&, const std::shared_ptr<fleet::WorkerOwner>&, const protocol::LogLine&) override {}
};

protocol::Body body_from(Piece& piece) {
  protocol::Body body;
  body.kind = static_cast<protocol::Body::Kind>(piece.byte() % 4);
  body.stream = piece.number();
  body.bytes = piece.text();
  body.length = static_cast<std::int64_t>(piece.number()) - 1;
  return body;
}

protocol::Frame frame_from(Piece& piece) {
  switch (piece.byte() % 15) {
    case 0: {
      protocol::Invoke invoke;
      invoke.question = piece.number();
      invoke.parent = piece.number();
      invoke.target.kind = static_cast<protocol::Target::Kind>(piece.byte() % 3);
      invoke.target.number = piece.number();
      invoke.target.dynamic = {piece.number(), {}, piece.number(), piece.number()};
      protocol::FetchRequest fetch;
      fetch.method = "GET";
      fetch.url = "http://a/";
      fetch.headers = piece.text();
      fetch.body = body_from(piece);
      invoke.call = fetch;
      return invoke;
    }
    case 1: {
      protocol::Return outcome;
      outcome.question = piece.number();
      outcome.continues = piece.byte() % 2 == 1;
      if (piece.byte() % 2 == 1) {
        protocol::ErrorInfo error;
        error.undelivered = piece.byte() % 2 == 1;
        outcome.outcome = error;
      } else {
        protocol::FetchResponse response;
        response.headers = piece.text();
        response.body = body_from(piece);
        outcome.outcome = response;
      }
      return outcome;
    }
    case 2: return protocol::Finished{piece.number(), 0};
    case 3: return protocol::Cancel{piece.number()};
    case 4: return protocol::StreamData{piece.number(), piece.text()};
    case 5: return protocol::StreamEnd{piece.number(), {}};
    case 6: return protocol::StreamCredit{piece.number(), piece.number()};
    case 7: return protocol::StreamStop{piece.number()};
    case 8: return protocol::Evicted{piece.number(), "idle"};
    case 9: return protocol::Preload{{piece.number(), {}, piece.number(), piece.number()}, piece.number()};
    case 10: return protocol::Code{piece.number(), protocol::ErrorInfo{}};
    case 11: return protocol::LogLine{piece.number(), piece.number(), "log", "x", false};
    case 12: return protocol::Release{piece.number()};
    case 13: return protocol::Splice{piece.number(), piece.number()};
    case 14:
      return protocol::SocketSay{piece.number(), piece.number(), static_cast<protocol::SocketSay::Kind>(piece.byte() % 6),
                                 piece.text(), piece.text(), piece.number()};
    default: return protocol::Pong{piece.number()};
  }
}

void settle(boost::asio::io_context& io) {
  io.restart();
  while (io.poll() > 0) io.restart();
}

void decode_alone(const std::uint8_t* data, std::size_t size) {
  protocol::FrameReader reader;
  while (size > 0) {
    const auto space = reader.space(16);
    const std::size_t part = std::min(size, space.size);
    std::memcpy(space.data, data, part);
    reader.commit(part);
    data += part;
    size -= part;
    while (true) {
      const auto bytes = reader.next();
      if (!bytes) return;
      if (bytes->empty()) break;
      (void)protocol::decode_frame(*bytes);
    }
  }
}

}  // namespace
}  // namespace insula

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace insula;
  decode_alone(data, size);

  boost::asio::io_context io(1);
  testing::FakeStarter starter;
  auto started = starter.start();
  if (!started) return 0;
  Peer peer;
  auto session = std::make_shared<fleet::Session>(io, std::move(started->socket), peer, peer);
  session->start();
  testing::FakeRunner& runner = starter.runner(0);
  runner.hello();
  const auto worker = session->add_worker(std::make_shared<Owner>());
  session->mint(worker, std::make_shared<Granted>());
  const auto ask = [&](const io::ByteSourcePtr& body) {
    protocol::Invoke invoke;
    invoke.target.number = worker;
    invoke.call = protocol::FetchRequest{"GET", "http://a/", {}, {}, {}};
    session->ask(invoke, body, std::make_shared<Asker>());
  };
  ask(nullptr);
  ask(std::make_shared<Nothing>());

  Piece piece(data, size);
  for (int count = 0; count < 64 && !piece.is_empty() && session->is_open(); ++count) {
    const std::uint8_t choice = piece.byte();
    if (choice == 255) {
      runner.send_raw(piece.text());
    } else if (choice == 254) {
      ask(nullptr);
    } else {
      runner.send(frame_from(piece));
    }
    settle(io);
    while (runner.next()) {
    }
  }
  session->close({});
  settle(io);
  return 0;
}
