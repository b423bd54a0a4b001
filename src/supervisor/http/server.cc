// SPDX-License-Identifier: Apache-2.0
//
// Server: the door; everything behind it is in ServerCore.
#include "src/supervisor/http/server.h"

#include <utility>

#include "src/supervisor/http/server_core.h"

namespace insula::http {

Server::Server(io::Executor executor, const HttpLimits& limits, const Clock& clock, Log& log, RequestHandler& handler)
    : core_(std::make_unique<ServerCore>(std::move(executor), limits, clock, log, handler)) {}

Server::~Server() = default;

Result<std::uint16_t> Server::listen(std::string_view host, std::uint16_t port) { return core_->listen(host, port); }
void Server::stop_accepting() { core_->stop_accepting(); }
void Server::drain(milliseconds grace, std::function<void()> on_empty) { core_->drain(grace, std::move(on_empty)); }
void Server::close() { core_->close(); }
void Server::check_timeouts() { core_->check_timeouts(); }
std::size_t Server::connection_count() const noexcept { return core_->connection_count(); }
const ServerCounters& Server::counters() const noexcept { return core_->counters(); }

}  // namespace insula::http
