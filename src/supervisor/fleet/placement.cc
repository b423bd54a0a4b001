// SPDX-License-Identifier: Apache-2.0
//
// Placement: the policy as one function.
#include "src/supervisor/fleet/placement.h"

namespace insula::fleet {
namespace {

// FNV-1a: the same on every start, so that a restart puts tenants back among the same neighbours.
std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char byte : text) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3u;
  }
  return hash ^ (hash >> 32);
}

}  // namespace

std::string text_of(const HomeName& name) {
  switch (name.kind) {
    case HomeKind::Platform: return "platform";
    case HomeKind::Tenants: return "tenants-" + std::to_string(name.number);
    case HomeKind::Private: return "private";
  }
  return "platform";
}

std::string tenant_key(std::string_view loader_namespace, std::string_view id) {
  // The length in front keeps ("a", "b:c") and ("a:b", "c") apart.
  return std::to_string(loader_namespace.size()) + ":" + std::string(loader_namespace) + ":" + std::string(id);
}

HomeName home_for(Isolation isolation, std::uint32_t tenant_homes, const std::string& tenant, Standing standing) {
  if (standing == Standing::Alone || isolation == Isolation::Process) return {HomeKind::Private, 0, tenant};
  if (isolation == Isolation::Shared || tenant_homes == 0) return {HomeKind::Platform, 0, {}};
  return {HomeKind::Tenants, static_cast<std::uint32_t>(hash_of(tenant) % tenant_homes), {}};
}

}  // namespace insula::fleet
