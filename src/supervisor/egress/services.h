// SPDX-License-Identifier: Apache-2.0
//
// Services: what all hops of one Egress share. Hops hold it, so that handlers that end late find it in place.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/base/loop_mark.h"
#include "src/io/executor.h"
#include "src/supervisor/egress/address_policy.h"
#include "src/supervisor/egress/name_cache.h"
#include "src/supervisor/egress/pool.h"

namespace insula::egress {

class Hop;

struct EgressOptions {
  bool allow_private = false;                                // see AddressPolicy
  std::vector<boost::asio::ip::tcp::endpoint> own_listeners;  // never reachable
  std::string ca_pem;  // certificates to trust instead of the system's store; empty: the system's
  std::chrono::milliseconds connect_timeout{10000};  // look-up, connection and TLS handshake together
  std::chrono::milliseconds head_timeout{60000};     // from the end of the request to the head of the response
  std::chrono::milliseconds idle_timeout{60000};     // between two pieces of a body, either way
  std::size_t connections_max = 2048;                // open at once, idle ones included
  Pool::Limits pool;
  LoopMark mark;  // of this node
};

struct Services {
  Services(io::Executor home, EgressOptions given, std::unique_ptr<Resolver> resolver, Log& log_to,
           const Clock& the_clock)
      : executor(std::move(home)),
        options(std::move(given)),
        policy(options.allow_private, options.own_listeners),
        names(std::move(resolver), the_clock),
        pool(std::make_shared<Pool>(the_clock, options.pool)),
        tls(boost::asio::ssl::context::tls_client),
        log(log_to),
        clock(the_clock) {}

  const io::Executor executor;
  const EgressOptions options;
  const AddressPolicy policy;
  NameCache names;
  const std::shared_ptr<Pool> pool;
  boost::asio::ssl::context tls;
  Log& log;
  const Clock& clock;

  const std::shared_ptr<std::size_t> open_connections = std::make_shared<std::size_t>(0);
  std::unordered_set<Hop*> hops;  // alive and not done
  bool is_closed = false;         // the Egress is gone: nobody is called any more

  // The record of refusals is for a person; a tenant must not be able to flood it.
  Monotonic refusals_since{};
  std::uint32_t refusals_logged = 0;
  std::uint64_t refusals_unlogged = 0;
};

}  // namespace insula::egress
