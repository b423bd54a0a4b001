// SPDX-License-Identifier: Apache-2.0
//
// AddressPolicy: the tables of special-purpose addresses (IANA registries for IPv4 and IPv6, 2025) and their use.
#include "src/supervisor/egress/address_policy.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>
#include <utility>

namespace insula::egress {
namespace {

namespace ip = boost::asio::ip;

struct Range4 {
  std::uint32_t network;
  int prefix_bits;
  AddressClass address_class;
};

constexpr std::uint32_t quad(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return (a << 24) | (b << 16) | (c << 8) | d;
}

// The first match decides.
constexpr auto kRanges4 = std::to_array<Range4>({
    {quad(0, 0, 0, 0), 8, AddressClass::Unspecified},
    {quad(10, 0, 0, 0), 8, AddressClass::Private},
    {quad(100, 64, 0, 0), 10, AddressClass::SharedSpace},
    {quad(127, 0, 0, 0), 8, AddressClass::Loopback},
    {quad(169, 254, 0, 0), 16, AddressClass::LinkLocal},
    {quad(172, 16, 0, 0), 12, AddressClass::Private},
    {quad(192, 0, 0, 0), 24, AddressClass::Reserved},  // protocol assignments
    {quad(192, 0, 2, 0), 24, AddressClass::Documentation},
    {quad(192, 88, 99, 0), 24, AddressClass::Embedded},  // 6to4 relays
    {quad(192, 168, 0, 0), 16, AddressClass::Private},
    {quad(198, 18, 0, 0), 15, AddressClass::Reserved},  // benchmarks
    {quad(198, 51, 100, 0), 24, AddressClass::Documentation},
    {quad(203, 0, 113, 0), 24, AddressClass::Documentation},
    {quad(224, 0, 0, 0), 4, AddressClass::Multicast},
    {quad(255, 255, 255, 255), 32, AddressClass::Broadcast},
    {quad(240, 0, 0, 0), 4, AddressClass::Reserved},
});

struct Range6 {
  std::array<std::uint8_t, 16> network;
  int prefix_bits;
  AddressClass address_class;
};

constexpr auto kRanges6 = std::to_array<Range6>({
    {{}, 128, AddressClass::Unspecified},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, AddressClass::Loopback},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, AddressClass::Embedded},     // ::ffff:0:0/96, mapped
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 96, AddressClass::Embedded},     // ::ffff:0:0:0/96, translated
    {{}, 96, AddressClass::Embedded},                                             // ::/96, compatible
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48, AddressClass::Embedded},           // NAT64 of local use
    {{0xfe, 0x80}, 10, AddressClass::LinkLocal},
    {{0xfe, 0xc0}, 10, AddressClass::Private},  // site-local
    {{0xfc}, 7, AddressClass::Private},
    {{0xff}, 8, AddressClass::Multicast},
    {{0x20, 0x01, 0x00, 0x00}, 32, AddressClass::Embedded},       // Teredo
    {{0x20, 0x01, 0x0d, 0xb8}, 32, AddressClass::Documentation},
    {{0x20, 0x01, 0x00}, 23, AddressClass::Reserved},             // the other protocol assignments
    {{0x20, 0x02}, 16, AddressClass::Embedded},                   // 6to4
    {{0x3f, 0xff, 0x00}, 20, AddressClass::Documentation},
});

constexpr std::array<std::uint8_t, 12> kNat64Prefix{0x00, 0x64, 0xff, 0x9b};

bool has_prefix(const std::uint8_t* bytes, const std::uint8_t* network, int prefix_bits) noexcept {
  const auto whole = static_cast<std::size_t>(prefix_bits / 8);
  if (std::memcmp(bytes, network, whole) != 0) return false;
  const int rest = prefix_bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (bytes[whole] & mask) == (network[whole] & mask);
}

AddressClass classify4(std::uint32_t address) noexcept {
  for (const auto& range : kRanges4) {
    const std::uint32_t mask = ~std::uint32_t{0} << (32 - range.prefix_bits);
    if ((address & mask) == range.network) return range.address_class;
  }
  return AddressClass::Public;
}

AddressClass classify6(const ip::address_v6& address) noexcept {
  const auto bytes = address.to_bytes();
  if (has_prefix(bytes.data(), kNat64Prefix.data(), 96)) {
    return classify4(quad(bytes[12], bytes[13], bytes[14], bytes[15]));
  }
  for (const auto& range : kRanges6) {
    if (has_prefix(bytes.data(), range.network.data(), range.prefix_bits)) return range.address_class;
  }
  // Only 2000::/3 is given out as global unicast; the rest of the space has no honest use today.
  return (bytes[0] & 0xe0) == 0x20 ? AddressClass::Public : AddressClass::Reserved;
}

bool is_this_host(const ip::address& address) {
  if (address.is_loopback()) return true;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return true;  // unknown: closed
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family == AF_INET && address.is_v4()) {
      sockaddr_in found{};
      std::memcpy(&found, entry->ifa_addr, sizeof found);
      if (ntohl(found.sin_addr.s_addr) == address.to_v4().to_uint()) return true;
    }
    if (entry->ifa_addr->sa_family == AF_INET6 && address.is_v6()) {
      sockaddr_in6 found{};
      std::memcpy(&found, entry->ifa_addr, sizeof found);
      if (std::memcmp(&found.sin6_addr, address.to_v6().to_bytes().data(), 16) == 0) return true;
    }
  }
  return false;
}

bool is_open_to_trusted(AddressClass address_class) noexcept {
  return address_class == AddressClass::Loopback || address_class == AddressClass::Private ||
         address_class == AddressClass::SharedSpace;
}

}  // namespace

AddressClass classify(const ip::address& address) noexcept {
  return address.is_v4() ? classify4(address.to_v4().to_uint()) : classify6(address.to_v6());
}

std::string_view name_of(AddressClass address_class) noexcept {
  switch (address_class) {
    case AddressClass::Public: return "public";
    case AddressClass::Unspecified: return "unspecified";
    case AddressClass::Loopback: return "loopback";
    case AddressClass::Private: return "private";
    case AddressClass::SharedSpace: return "shared address space";
    case AddressClass::LinkLocal: return "link-local";
    case AddressClass::Multicast: return "multicast";
    case AddressClass::Broadcast: return "broadcast";
    case AddressClass::Documentation: return "documentation";
    case AddressClass::Embedded: return "IPv4 inside IPv6";
    case AddressClass::Reserved: return "reserved";
  }
  return "unknown";
}

AddressPolicy::AddressPolicy(bool allow_private, std::vector<Endpoint> own_listeners)
    : allow_private_(allow_private), own_listeners_(std::move(own_listeners)) {}

std::string_view AddressPolicy::refusal(const Endpoint& endpoint) const {
  const AddressClass address_class = classify(endpoint.address());
  if (address_class != AddressClass::Public && !(allow_private_ && is_open_to_trusted(address_class))) {
    return name_of(address_class);
  }
  // A zone would choose the network interface, which no public address needs.
  if (endpoint.address().is_v6() && endpoint.address().to_v6().scope_id() != 0) return "scoped";
  if (is_own_listener(endpoint)) return "own listener";
  return {};
}

bool AddressPolicy::is_own_listener(const Endpoint& endpoint) const {
  for (const Endpoint& own : own_listeners_) {
    if (own.port() != endpoint.port()) continue;
    if (own.address() == endpoint.address()) return true;
    if (own.address().is_unspecified() && is_this_host(endpoint.address())) return true;
  }
  return false;
}

}  // namespace insula::egress
