// SPDX-License-Identifier: Apache-2.0
//
// Exchange: one HTTP request and its response, as the rooms above http see it.
//
//   client ──► [http connection] ──Exchange──► front
//
// The connection calls RequestHandler::handle() once the head is parsed; the handler answers at any later time with
// one of the respond() calls or abort(). Everything happens on the connection's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "src/base/bytes.h"
#include "src/io/byte_stream.h"

namespace insula::http {

class Takeover;

// Views stay valid until the exchange is answered completely.
struct RequestHead {
  std::string_view method;     // as sent, a token: "GET"
  std::string_view target;     // origin form, as sent: "/path?query"
  std::string_view authority;  // validated Host, lower case, with port when given: "acme.localhost:8787"
  BytesView headers;           // header block (base/header_block.h), hop-by-hop fields removed
  std::string_view client_address;  // "127.0.0.1"
  bool is_secure = false;
  bool wants_websocket = false;  // GET, Connection: upgrade, Upgrade: websocket, no body; `headers` then has `upgrade`
};

struct RequestBody {
  BytesView complete;         // the whole body, when it had arrived with the head and is small
  io::ByteSourcePtr source;   // otherwise the stream, or null for no body
  std::optional<std::uint64_t> length;  // declared length of the stream
  bool has_body = false;
};

struct ResponseHead {
  int status = 200;
  std::string_view reason;  // empty: the standard phrase
  BytesView headers;        // header block; framing and hop-by-hop fields in it are ignored
};

class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual const RequestHead& head() const = 0;
  virtual RequestBody& body() = 0;

  // Answers with a complete body. Copies what it needs before returning.
  virtual void respond(const ResponseHead& head, BytesView body) = 0;
  // Answers with a stream; length given: Content-Length, else chunked. A failing stream cuts the connection.
  virtual void respond(const ResponseHead& head, io::ByteSourcePtr body,
                       std::optional<std::uint64_t> length) = 0;
  // Answers a request that wants_websocket with 101, and hands the connection over. The fields are the caller's with
  // our own Connection and Upgrade; head.status is 101. on_gone() only: the client has gone already, or the fields
  // cannot be sent.
  virtual void upgrade(const ResponseHead& head, std::shared_ptr<Takeover> takeover) = 0;
  // Cuts the connection.
  virtual void abort() = 0;

  // Called once, when the client goes away before the response is complete; at once, when it has gone already. May be
  // replaced; null clears it. A client that has closed its sending half counts as gone.
  virtual void on_cancelled(std::function<void()> callback) = 0;
};

class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  virtual void handle(std::shared_ptr<Exchange> exchange) = 0;
};

}  // namespace insula::http
