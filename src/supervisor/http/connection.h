// SPDX-License-Identifier: Apache-2.0
//
// Connection: one client. Reads requests, hands each over as an Exchange, writes the answers in order.
//
//   client ──► Poller ──on_ready──► [Connection] ──Exchange──► front
//                                        ▲────respond(), on_data()────
//
// Invariants
//   1. One exchange at a time: the next request is not looked at before the response to this one is on its way.
//      Pipelined requests wait in the kernel's buffer, or in the bytes that came along with this one.
//   2. Bytes are read and parsed, and the connection is torn down, only in pump(), which never runs inside a callback
//      of the handler: whatever a callback wants of that is noted and schedules a turn.
//   3. No memory grows with what the client sends or fails to read: input is read when it can be used, output of
//      streams is bounded by the credit given to their source.
//   4. An exchange ends once: answered, or cancelled (then on_cancelled() ran). After that its calls do nothing.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "src/base/fd.h"
#include "src/supervisor/http/address_table.h"
#include "src/supervisor/http/body_decoder.h"
#include "src/supervisor/http/connection_exchange.h"
#include "src/supervisor/http/head_parser.h"
#include "src/supervisor/http/poller.h"
#include "src/supervisor/http/request_body.h"
#include "src/supervisor/http/response_head.h"
#include "src/supervisor/http/takeover.h"

namespace insula::http {

class ServerCore;

class Connection final : public Poller::Watcher, public io::ByteSink, public RequestBodySource::Feeder, public Wire {
 public:
  Connection(ServerCore& server, Fd socket, AddressKey address, std::string address_text);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // From the server.
  void on_ready(std::uint32_t events) override;
  void pump();                     // does whatever can be done now
  void check_timeouts(Monotonic now);
  void start_draining();           // closes at once when idle, else with the response
  void cut();                      // closes at once; a pending exchange is cancelled
  int descriptor() const noexcept { return socket_.get(); }
  const AddressKey& address() const noexcept { return address_; }
  std::size_t index = 0;           // the server's: its place in the table
  bool is_scheduled = false;       // the server's: waits for a turn

  // From the exchange in hand.
  void respond(const ResponseHead& head, BytesView body);
  void respond(const ResponseHead& head, io::ByteSourcePtr body, std::optional<std::uint64_t> length);
  void upgrade(const ResponseHead& head, std::shared_ptr<Takeover> takeover);
  void abort();

  // From whoever has taken the connection over.
  void write(BytesView bytes) override;
  std::size_t unwritten_bytes() const noexcept override { return unsent_bytes(); }
  void resume() override;
  void finish() override;
  void abandon() override;
  Monotonic now() const noexcept override;

  // From the source of a streamed response.
  void on_data(BytesView bytes) override;
  void on_end() override;
  void on_failure(const Error& error) override;

  // From the source of the request's body.
  void on_body_granted() override;
  void on_body_stopped() override;

 private:
  // An unread request body up to this is read and dropped, so that the connection can be used again.
  static constexpr std::uint64_t kDrainBytesMax = 256 * kKiB;

  // Capacity of a buffer that a connection keeps after an upgrade: such are many, and quiet for most of their lives.
  static constexpr std::size_t kQuietBytesMax = 256;

  enum class Phase : std::uint8_t {
    Head,      // waits for a request, or reads its head
    Exchange,  // a request is handed over: its body, its response, or both are under way
    Upgraded,  // answered with 101: the bytes are another's
    Closing,   // the last response waits for the socket
    Linger,    // our side is shut; reads and drops, so that the client gets the response and not a reset
    Closed,
  };
  enum class Response : std::uint8_t { Awaited, Streaming, Done };
  enum class Step : std::uint8_t { Continue, NeedInput, Wait };
  enum class Fill : std::uint8_t { Got, Nothing, End };

  // connection.cc: turns, heads, input, endings. connection_body.cc: *_body*.
  bool ends_now();  // tears down if a callback, the socket or the peer has ended the connection
  Step step();
  Step step_head();
  Step step_body();
  Step discard_body(std::uint64_t bytes_max);
  Fill fill();
  void keep_leftover();
  void on_end_of_input();
  void begin_exchange();
  void prepare_body();
  bool take_small_chunked_body();
  void drain_body();
  void refuse_body(int status, std::string_view reason);
  void finish_exchange();
  void finish_closing();
  void tear_down(const Error& why);
  void cancel_exchange(const Error& why);

  // connection_upgrade.cc
  Step step_upgraded();
  void end_takeover(const Error& why);

  // connection_write.cc: writing.
  struct Plan {
    Framing framing;
    bool sends_body = true;
  };
  Plan plan_response(int status, std::optional<std::uint64_t> length);
  bool append_head(const ResponseHead& head, const Framing& framing);
  void respond_bad();
  void respond_error(int status, std::string_view reason);
  void complete_response();
  void fail_stream();
  void grant_response();
  void write_pieces(BytesView first, BytesView second, BytesView third);
  void flush();
  std::size_t unsent_bytes() const noexcept { return output_.size() - output_sent_; }

  ServerCore& server_;
  Fd socket_;
  const AddressKey address_;
  const std::string address_text_;

  Phase phase_ = Phase::Head;
  Response response_ = Response::Done;
  bool is_pumping_ = false;
  bool is_corked_ = false;       // output is collected; whoever corked flushes
  bool is_readable_ = false;     // the socket may have bytes that we have not read (edge-triggered)
  bool is_write_blocked_ = false;
  bool is_peer_finished_ = false;  // the client will send no more
  bool is_broken_ = false;       // the socket failed
  bool must_cut_ = false;        // the handler or a stream ended the connection
  bool closes_after_ = false;    // no further request after this response
  bool lingers_ = false;         // bytes of the client may be in flight that we do not want
  bool is_head_request_ = false;
  bool is_http_1_0_ = false;
  bool is_reading_head_ = false;  // some bytes of it have come
  bool keeps_alive_ = false;
  bool expects_continue_ = false;
  bool is_body_done_ = true;
  bool is_body_discarded_ = false;  // read, but nobody wants it
  bool is_body_drained_ = false;    // the same after the response: bounded in bytes and time
  bool is_granting_ = false;
  std::uint32_t requests_this_turn_ = 0;
  std::size_t bytes_this_turn_ = 0;

  Monotonic read_deadline_ = Monotonic::max();
  Monotonic write_deadline_ = Monotonic::max();

  // Input: in_ is what is not consumed yet, a view into input_ or, within pump(), into the server's scratch buffer.
  BytesView in_;
  Bytes input_;
  HeadParser parser_;
  BodyDecoder decoder_;
  std::uint64_t discarded_bytes_ = 0;
  std::shared_ptr<RequestBodySource> body_source_;
  std::shared_ptr<ConnectionExchange> exchange_;  // reused when the handler has let go of it

  std::shared_ptr<Takeover> takeover_;

  // Output.
  Bytes output_;
  std::size_t output_sent_ = 0;
  io::ByteSourcePtr response_source_;
  io::ByteSourcePtr finished_source_;  // destroyed later: it may be the caller
  Framing::Kind response_framing_ = Framing::Kind::None;
  std::uint64_t response_remaining_ = 0;
  std::size_t granted_bytes_ = 0;  // given to the response's source and not used yet
};

}  // namespace insula::http
