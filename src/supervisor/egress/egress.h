// SPDX-License-Identifier: Apache-2.0
//
// Egress: the only way out to the network. One hop per call: redirects come back to the caller, who asks again.
//
// Before any packet leaves, the host name is resolved and every answer is checked against the address policy; the
// connection goes to the address that was checked (threat-model.md section 5, "egress reaches only allowed
// addresses").
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "src/base/bytes.h"
#include "src/base/error.h"
#include "src/io/byte_stream.h"

namespace insula::egress {

struct OutboundRequest {
  std::string method;
  std::string url;      // absolute, http or https
  Bytes headers;        // header block; framing, hop-by-hop and Host fields are set by egress itself
  Bytes body;           // complete body when has_body and no source
  io::ByteSourcePtr source;
  std::optional<std::uint64_t> length;  // of the source, when known
  bool has_body = false;
  // Asks for a WebSocket: when the answer is 101, `source` is what is sent behind the head, as it is, and the body of the
  // response is all that follows its head. The fields of the handshake are the caller's.
  bool is_upgrade = false;
  // On whose behalf, in the caller's words (a tenant's key). Kept connections are reused within one partition only, so
  // that nobody inherits what another has made of a connection (logins that servers tie to it, desynchronised answers).
  std::string partition;
  std::uint32_t hops = 0;  // how deep in calls of this node it is made; 0: it carries no mark of that (base/loop_mark.h)
};

struct InboundResponse {
  int status = 0;
  std::string reason;
  Bytes headers;             // header block; content encodings are not decoded
  io::ByteSourcePtr body;    // null: no body
  std::optional<std::uint64_t> length;
};

// Errors: Denied (address or scheme not allowed; message without the resolved address), Unavailable (no connection,
// connection lost), TimedOut, InvalidInput (URL, method or header), Corrupt (the far side's answer is malformed),
// Cancelled, Overloaded (too many connections or look-ups). A failing request body fails the fetch with its own error.
using FetchCallback = std::function<void(Result<InboundResponse>)>;

class Outbound {
 public:
  virtual ~Outbound() = default;
  // Destroying the handle cancels the exchange; the callback is then never called. Once the callback has been called
  // the handle has no power any more: the response body's source holds the exchange (stop() or drop it to cancel).
  class Handle {
   public:
    virtual ~Handle() = default;
  };
  virtual std::unique_ptr<Handle> fetch(OutboundRequest request, FetchCallback callback) = 0;
};

}  // namespace insula::egress
