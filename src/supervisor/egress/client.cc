// SPDX-License-Identifier: Apache-2.0
//
// Egress: sets up TLS, starts hops, sweeps the pool.
#include "src/supervisor/egress/client.h"

#include <utility>
#include <vector>

#include <openssl/ssl.h>

#include "src/supervisor/egress/hop.h"

namespace insula::egress {
namespace {

constexpr std::chrono::seconds kSweepEvery{10};

class HopHandle final : public Outbound::Handle {
 public:
  explicit HopHandle(std::shared_ptr<Hop> hop) : hop_(std::move(hop)) {}
  ~HopHandle() override { hop_->cancel(); }
  HopHandle(const HopHandle&) = delete;
  HopHandle& operator=(const HopHandle&) = delete;

 private:
  const std::shared_ptr<Hop> hop_;
};

Result<> prepare_tls(boost::asio::ssl::context& tls, const std::string& ca_pem) {
  SSL_CTX* context = tls.native_handle();
  boost::system::error_code error;
  tls.set_verify_mode(boost::asio::ssl::verify_peer, error);
  if (error || ::SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
    return Error(ErrorCode::Internal, "egress: TLS could not be set up");
  }
  // Idle connections are many; their buffers are given back.
  ::SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  static constexpr unsigned char kProtocols[] = "\x08http/1.1";
  ::SSL_CTX_set_alpn_protos(context, kProtocols, sizeof kProtocols - 1);
  if (ca_pem.empty()) {
    tls.set_default_verify_paths(error);
    if (error) return Error(ErrorCode::Internal, "egress: the system's certificate store could not be read");
    return {};
  }
  tls.add_certificate_authority(boost::asio::buffer(ca_pem), error);
  if (error) return Error(ErrorCode::InvalidInput, "egress: ca_pem holds no valid PEM certificate");
  return {};
}

}  // namespace

Result<std::unique_ptr<Egress>> Egress::create(io::Executor executor, EgressOptions options, Log& log,
                                               const Clock& clock, std::unique_ptr<Resolver> resolver) {
  if (resolver == nullptr) resolver = std::make_unique<SystemResolver>(executor, options.allow_private);
  auto services = std::make_shared<Services>(executor, std::move(options), std::move(resolver), log, clock);
  TRY_VOID(prepare_tls(services->tls, services->options.ca_pem));
  return std::unique_ptr<Egress>(new Egress(std::move(services)));
}

Egress::Egress(std::shared_ptr<Services> services)
    : services_(std::move(services)), sweep_timer_(services_->executor) {
  sweep_later();
}

Egress::~Egress() {
  services_->is_closed = true;
  sweep_timer_.cancel();
  std::vector<std::shared_ptr<Hop>> hops;
  hops.reserve(services_->hops.size());
  for (Hop* hop : services_->hops) {
    if (auto held = hop->weak_from_this().lock()) hops.push_back(std::move(held));
  }
  for (const auto& hop : hops) hop->abandon();
  services_->pool->clear();
  // Its threads post to the executor, which may be gone before the last late handler is.
  services_->names.close();
}

std::unique_ptr<Outbound::Handle> Egress::fetch(OutboundRequest request, FetchCallback callback) {
  auto hop = std::make_shared<Hop>(services_, std::move(request), std::move(callback));
  hop->start();
  return std::make_unique<HopHandle>(std::move(hop));
}

void Egress::sweep_later() {
  sweep_timer_.expires_after(kSweepEvery);
  sweep_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    services_->pool->sweep();
    sweep_later();
  });
}

}  // namespace insula::egress
