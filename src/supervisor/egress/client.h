// SPDX-License-Identifier: Apache-2.0
//
// Egress: the Outbound that goes to the network, over HTTP/1.1 with or without TLS.
//
// Belongs to one thread, the executor's. Destroying it ends all exchanges without calling anybody.
#pragma once

#include <memory>

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/io/executor.h"
#include "src/supervisor/egress/egress.h"
#include "src/supervisor/egress/resolver.h"
#include "src/supervisor/egress/services.h"

namespace insula::egress {

class Egress final : public Outbound {
 public:
  // resolver  null: the operating system's.
  // Errors    InvalidInput (ca_pem holds no certificate), Internal (TLS could not be set up).
  static Result<std::unique_ptr<Egress>> create(io::Executor executor, EgressOptions options, Log& log,
                                                const Clock& clock, std::unique_ptr<Resolver> resolver = nullptr);
  ~Egress() override;
  Egress(const Egress&) = delete;
  Egress& operator=(const Egress&) = delete;

  std::unique_ptr<Handle> fetch(OutboundRequest request, FetchCallback callback) override;

  std::size_t idle_connections() const noexcept { return services_->pool->idle(); }
  std::size_t open_connections() const noexcept { return *services_->open_connections; }

 private:
  explicit Egress(std::shared_ptr<Services> services);
  void sweep_later();

  const std::shared_ptr<Services> services_;
  Timer sweep_timer_;
};

}  // namespace insula::egress
