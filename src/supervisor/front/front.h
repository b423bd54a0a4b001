// SPDX-License-Identifier: Apache-2.0
//
// Front: HTTP exchanges become events of the dispatcher, their outcomes become responses.
//
//   http: connection ──Exchange──► [front] ──Event──► dispatch: Invoker
//
// Invariants
//   1. Every exchange is answered once, or cut; what a client reads of an error is an ErrorPage.
//   2. A client that goes away cancels its event.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "src/base/log.h"
#include "src/base/loop_mark.h"
#include "src/supervisor/dispatch/invoker.h"
#include "src/supervisor/front/error_page.h"
#include "src/supervisor/http/exchange.h"

namespace insula::front {

class Front final : public http::RequestHandler {
 public:
  // dispatcher: the Invoker's number of the Worker that gets all requests.
  // name: that Worker's, for the log. seed: a random number, of request ids. mark: this node's.
  Front(dispatch::Invoker& invoker, std::size_t dispatcher, std::string name, Log& log, std::uint64_t seed, LoopMark mark)
      : invoker_(invoker), dispatcher_(dispatcher), name_(std::move(name)), log_(log), ids_(seed), mark_(std::move(mark)) {}

  void handle(std::shared_ptr<http::Exchange> exchange) override;

 private:
  friend class HttpEvent;
  dispatch::Invoker& invoker_;
  const std::size_t dispatcher_;
  const std::string name_;
  Log& log_;
  RequestIds ids_;
  const LoopMark mark_;
};

}  // namespace insula::front
