// SPDX-License-Identifier: Apache-2.0
//
// AddressTable: how many connections each client address has. An IPv6 client is its /64, which is what one customer of
// a provider is given.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace insula::http {

using AddressKey = std::array<std::uint8_t, 16>;

AddressKey address_key_of(const sockaddr_storage& address) noexcept;
std::string address_text_of(const sockaddr_storage& address);  // "127.0.0.1", "::1"; v4-mapped as v4

class AddressTable {
 public:
  // False: the address has its maximum already.
  bool add(const AddressKey& address, std::size_t max);
  void remove(const AddressKey& address);

 private:
  struct Hash {
    std::size_t operator()(const AddressKey& key) const noexcept;
  };
  std::unordered_map<AddressKey, std::size_t, Hash> counts_;
};

}  // namespace insula::http
