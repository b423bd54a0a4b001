// SPDX-License-Identifier: Apache-2.0
//
// Placement: in which home a tenant's code runs. Pure: the isolation setting, the tenant's key and its standing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "src/supervisor/fleet/blame.h"

namespace insula::fleet {

enum class Isolation : std::uint8_t { Cordon, Process, Shared };

enum class HomeKind : std::uint8_t { Platform, Tenants, Private };

struct HomeName {
  HomeKind kind = HomeKind::Platform;
  std::uint32_t number = 0;  // of Tenants
  std::string tenant;        // of Private

  friend bool operator==(const HomeName&, const HomeName&) = default;
};

// For logs: "platform", "tenants-3", "private". A tenant's key is not shown.
std::string text_of(const HomeName& name);

// The key of a tenant: the namespace of the loader and the id, joined so that no two pairs give the same key.
std::string tenant_key(std::string_view loader_namespace, std::string_view id);

HomeName home_for(Isolation isolation, std::uint32_t tenant_homes, const std::string& tenant, Standing standing);

}  // namespace insula::fleet
