// SPDX-License-Identifier: Apache-2.0
//
// AddressPolicy: which network addresses a Worker's fetch may reach.
//
// The rule is an allow-list in spirit: an address is public unicast of which nobody says otherwise, or it is refused.
// IPv6 ranges that carry an IPv4 address inside (mapped, compatible, 6to4, Teredo, NAT64) are the usual way around a
// check for "127."; all are refused as such, except NAT64, which is judged by the address inside, because hosts with
// IPv6 only reach every IPv4 site through it.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace insula::egress {

enum class AddressClass : std::uint8_t {
  Public,
  Unspecified,
  Loopback,
  Private,      // RFC 1918, and unique local IPv6
  SharedSpace,  // RFC 6598, carrier-grade NAT
  LinkLocal,    // where the metadata services of clouds live
  Multicast,
  Broadcast,
  Documentation,
  Embedded,  // IPv4 inside IPv6: mapped, compatible, 6to4, Teredo
  Reserved,
};

AddressClass classify(const boost::asio::ip::address& address) noexcept;
std::string_view name_of(AddressClass address_class) noexcept;

class AddressPolicy {
 public:
  using Endpoint = boost::asio::ip::tcp::endpoint;

  // allow_private  also allows loopback, private and shared space: for development and trusted sets. Link-local
  //                stays closed, since nothing that lives there is meant for Workers.
  // own_listeners  our own doors, closed in any case; an unspecified address stands for every address of this host.
  AddressPolicy(bool allow_private, std::vector<Endpoint> own_listeners);

  // Why not, in a word for the operator's log ("loopback", "own listener"); empty when the endpoint is allowed.
  std::string_view refusal(const Endpoint& endpoint) const;

  bool allows_private() const noexcept { return allow_private_; }

 private:
  bool is_own_listener(const Endpoint& endpoint) const;

  const bool allow_private_;
  const std::vector<Endpoint> own_listeners_;
};

}  // namespace insula::egress
