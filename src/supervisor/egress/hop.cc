// SPDX-License-Identifier: Apache-2.0
//
// Hop: from the URL to an open connection to a checked address.
#include "src/supervisor/egress/hop.h"

#include <algorithm>
#include <utility>

#include <boost/asio/post.hpp>

namespace insula::egress {
namespace {

// A connection that has rested longer may have been closed by the server without our knowledge yet. A request that
// must not be sent twice does not take that risk.
constexpr std::chrono::milliseconds kFreshFor{2000};
constexpr std::chrono::hours kAnyRest{1};
constexpr std::size_t kEndpointsTriedMax = 6;
constexpr std::uint32_t kRefusalsLoggedPerSecond = 20;

}  // namespace

Hop::Hop(std::shared_ptr<Services> services, OutboundRequest request, FetchCallback callback)
    : services_(std::move(services)),
      request_(std::move(request)),
      callback_(std::move(callback)),
      timer_(services_->executor) {
  services_->hops.insert(this);
}

Hop::~Hop() { release(); }

void Hop::start() {
  if (auto prepared = prepare(); !prepared) {
    fail(std::move(prepared).error());
    return;
  }
  expect_within(services_->options.connect_timeout, "egress: the server could not be reached in time");
  resolve();
}

Result<> Hop::prepare() {
  TRY(url_, parse_url(request_.url));
  if (request_.hops > 0) request_.headers = services_->options.mark.marked(request_.headers, request_.hops);
  TRY(auto head, write_request_head(url_, request_));
  head_ = std::make_shared<const RequestHead>(std::move(head));
  request_body_ = std::make_shared<const Bytes>(request_.has_body ? std::move(request_.body) : Bytes());
  request_.headers.clear();
  return {};
}

void Hop::resolve() {
  if (url_.address) {
    on_addresses(Addresses{*url_.address});
    return;
  }
  if (is_localhost_name(url_.host) && !services_->policy.allows_private()) {
    fail(refuse("localhost name", nullptr));
    return;
  }
  services_->names.resolve(url_.host, request_.partition, [weak = weak_from_this()](Result<Addresses> addresses) {
    const auto self = weak.lock();
    if (self != nullptr && !self->is_done_) self->on_addresses(std::move(addresses));
  });
}

void Hop::on_addresses(Result<Addresses> addresses) {
  if (!addresses) {
    fail(std::move(addresses).error());
    return;
  }
  // One forbidden answer condemns all: a name that mixes them is an attempt to be checked on one and used on another.
  endpoints_.clear();
  for (const auto& address : *addresses) {
    const Connection::Endpoint endpoint(address, url_.port);
    if (const auto reason = services_->policy.refusal(endpoint); !reason.empty()) {
      fail(refuse(reason, &address));
      return;
    }
    endpoints_.push_back(endpoint);
  }
  acquire();
}

// The tenant learns nothing of the address; the operator's log has it.
Error Hop::refuse(std::string_view reason, const boost::asio::ip::address* address) {
  const auto now = services_->clock.now();
  if (now - services_->refusals_since >= std::chrono::seconds(1)) {
    services_->refusals_since = now;
    services_->refusals_logged = 0;
  }
  if (services_->refusals_logged < kRefusalsLoggedPerSecond) {
    ++services_->refusals_logged;
    const std::string text = address != nullptr ? address->to_string() : std::string();
    services_->log.warn("egress.refused", {{"host", url_.host},
                                           {"port", url_.port},
                                           {"address", text},
                                           {"reason", reason},
                                           {"unlogged_before", std::exchange(services_->refusals_unlogged, 0)}});
  } else {
    ++services_->refusals_unlogged;
  }
  return Error(ErrorCode::Denied, "egress: requests to this address are not allowed");
}

void Hop::acquire() {
  const Origin origin{url_.is_secure, url_.host, url_.port, request_.partition};
  const bool may_be_repeated = head_->is_idempotent && request_.source == nullptr;
  const auto is_checked = [this](const Connection::Endpoint& endpoint) {
    return std::find(endpoints_.begin(), endpoints_.end(), endpoint) != endpoints_.end();
  };
  if (!head_->is_connection_bound) {
    connection_ = services_->pool->take(origin, may_be_repeated ? kAnyRest : kFreshFor, is_checked);
  }
  if (connection_ != nullptr) {
    is_reused_ = true;
    exchange();
    return;
  }
  connect();
}

void Hop::connect() {
  is_reused_ = false;
  const auto& options = services_->options;
  if (*services_->open_connections >= options.connections_max && !services_->pool->close_one()) {
    fail(Error(ErrorCode::Overloaded, "egress: too many connections are open"));
    return;
  }
  const Origin origin{url_.is_secure, url_.host, url_.port, request_.partition};
  connection_ = std::make_shared<Connection>(services_->executor, origin, services_->open_connections);
  auto endpoints = endpoints_;
  if (endpoints.size() > kEndpointsTriedMax) endpoints.resize(kEndpointsTriedMax);
  connection_->open(std::move(endpoints), options.connect_timeout, url_.is_secure ? &services_->tls : nullptr,
                    [weak = weak_from_this()](Result<> opened) {
                      const auto self = weak.lock();
                      if (self != nullptr && !self->is_done_) self->on_opened(std::move(opened));
                    });
}

void Hop::on_opened(Result<> opened) {
  if (!opened) {
    fail(std::move(opened).error());
    return;
  }
  exchange();
}

// Before the answer only. Posted, so that nobody is called inside fetch().
void Hop::fail(Error error) {
  const auto self = shared_from_this();
  is_answered_ = true;
  release();
  boost::asio::post(services_->executor, [self, error = std::move(error)] {
    auto callback = std::exchange(self->callback_, nullptr);
    if (callback && !self->services_->is_closed) callback(error);
  });
}

void Hop::abandon() {
  const auto self = shared_from_this();
  const auto dropped = std::exchange(callback_, nullptr);
  sink_ = nullptr;
  release();
}

void Hop::cancel() {
  if (callback_) abandon();
}

// Lets go of everything that costs something. The connection is closed unless complete() has taken it away.
void Hop::release() {
  if (std::exchange(is_done_, true)) return;
  services_->hops.erase(this);
  expect_nothing();
  timer_.cancel();
  if (upload_ != nullptr) {
    std::exchange(upload_, nullptr)->abandon();
  } else if (request_.source != nullptr) {
    request_.source->stop();
  }
  // The handle may keep us for long; what is large goes now.
  request_.source.reset();
  request_body_.reset();
  if (connection_ != nullptr) std::exchange(connection_, nullptr)->close();
}

void Hop::expect_within(std::chrono::milliseconds limit, const char* what) {
  expect_until(std::chrono::steady_clock::now() + limit, what);
}

void Hop::expect_until(std::chrono::steady_clock::time_point until, const char* what) {
  awaited_ = what;
  awaited_until_ = until;
  if (!is_timer_running_) {
    watch_the_clock();
  } else if (awaited_until_ < timer_.expiry()) {
    timer_.cancel();  // its handler starts it anew
  }
}

// The timer is moved only when it runs out, not at every byte that arrives.
void Hop::watch_the_clock() {
  is_timer_running_ = true;
  timer_.expires_at(awaited_until_);
  timer_.async_wait([weak = weak_from_this()](const boost::system::error_code&) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->is_timer_running_ = false;
    if (self->is_done_ || self->awaited_ == nullptr) return;
    if (std::chrono::steady_clock::now() < self->awaited_until_) {
      self->watch_the_clock();
      return;
    }
    self->lose(Error(ErrorCode::TimedOut, self->awaited_));
  });
}

}  // namespace insula::egress
