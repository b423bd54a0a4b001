// SPDX-License-Identifier: Apache-2.0
//
// Server: the HTTP/1.1 server of the supervisor. Listens, limits and times out; each client is a Connection.
//
//   Server server(context.get_executor(), limits, clock, log, handler);
//   TRY(const std::uint16_t port, server.listen("127.0.0.1", 8080));
//
// Everything happens on the executor's thread: create, call and destroy it there, and not from inside the handler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "src/base/clock.h"
#include "src/base/error.h"
#include "src/base/limits.h"
#include "src/base/log.h"
#include "src/io/executor.h"
#include "src/supervisor/http/exchange.h"

namespace insula::http {

class ServerCore;

// What has happened since the start. Each only grows.
struct ServerCounters {
  std::uint64_t connections_accepted = 0;
  std::uint64_t connections_refused = 0;  // too many in total or from one address
  std::uint64_t requests = 0;             // handed to the handler
  std::uint64_t requests_refused = 0;     // answered by the server: malformed, too long, not supported
  std::uint64_t requests_cancelled = 0;   // the client went away first
  std::uint64_t responses_bad = 0;        // a handler's head that cannot be sent
  std::uint64_t responses_cut = 0;        // a stream that failed, or was not as long as announced
  std::uint64_t timeouts = 0;
};

class Server {
 public:
  // The references must outlive the server.
  Server(io::Executor executor, const HttpLimits& limits, const Clock& clock, Log& log, RequestHandler& handler);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // host: an address or a name of this machine; port 0: the kernel chooses. May be called several times. Returns the
  // port. Errors: InvalidInput (no such host), Unavailable (in use, not permitted).
  Result<std::uint16_t> listen(std::string_view host, std::uint16_t port);

  void stop_accepting();

  // Stops accepting, closes idle connections and each other one after the response it waits for; what is left after
  // `grace` is cut. on_empty is called once, from the executor, when no connection is left.
  void drain(milliseconds grace, std::function<void()> on_empty);

  // Stops accepting and cuts every connection; pending exchanges are cancelled.
  void close();

  // Closes what has timed out. A timer of the server calls it; a test with a ManualClock calls it itself.
  void check_timeouts();

  std::size_t connection_count() const noexcept;
  const ServerCounters& counters() const noexcept;

 private:
  std::unique_ptr<ServerCore> core_;
};

}  // namespace insula::http
