// SPDX-License-Identifier: Apache-2.0
//
// AddressTable: counting connections by client.
#include "src/supervisor/http/address_table.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace insula::http {
namespace {

constexpr std::size_t kPrefixBytes = 8;  // a /64

in6_addr as_v6(const sockaddr_storage& address) noexcept {
  in6_addr result{};
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address, sizeof v6);
    return v6.sin6_addr;
  }
  sockaddr_in v4{};
  std::memcpy(&v4, &address, sizeof v4);
  result.s6_addr[10] = result.s6_addr[11] = 0xff;
  std::memcpy(&result.s6_addr[12], &v4.sin_addr, sizeof v4.sin_addr);
  return result;
}

bool is_v4_mapped(const in6_addr& address) noexcept { return IN6_IS_ADDR_V4MAPPED(&address) != 0; }

}  // namespace

AddressKey address_key_of(const sockaddr_storage& address) noexcept {
  const in6_addr v6 = as_v6(address);
  AddressKey key{};
  std::copy_n(v6.s6_addr, is_v4_mapped(v6) ? key.size() : kPrefixBytes, key.begin());
  return key;
}

std::string address_text_of(const sockaddr_storage& address) {
  const in6_addr v6 = as_v6(address);
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4_mapped(v6)) {
    ::inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
  } else {
    ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  }
  return text;
}

bool AddressTable::add(const AddressKey& address, std::size_t max) {
  const auto [entry, is_new] = counts_.try_emplace(address, 0);
  if (entry->second >= max) {
    if (is_new) counts_.erase(entry);
    return false;
  }
  ++entry->second;
  return true;
}

void AddressTable::remove(const AddressKey& address) {
  const auto entry = counts_.find(address);
  if (entry != counts_.end() && --entry->second == 0) counts_.erase(entry);
}

std::size_t AddressTable::Hash::operator()(const AddressKey& key) const noexcept {
  return std::hash<std::string_view>()(
      std::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
}

}  // namespace insula::http
