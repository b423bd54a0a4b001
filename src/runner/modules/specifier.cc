// SPDX-License-Identifier: Apache-2.0
//
// Module names: relative resolution.
#include "src/runner/modules/specifier.h"

#include <array>
#include <vector>

namespace insula::runner {
namespace {

constexpr std::array<std::string_view, 2> kRuntimeSchemes = {"cloudflare:", "node:"};

// Walks `path` from where `parts` stands. False when it climbs over the root.
bool walk(std::string_view path, std::vector<std::string_view>& parts) {
  while (!path.empty()) {
    const auto slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      return false;
    } else {
      parts.pop_back();
    }
  }
  return true;
}

std::string joined(const std::vector<std::string_view>& parts) {
  std::string name;
  for (const auto part : parts) {
    if (!name.empty()) name += '/';
    name += part;
  }
  return name;
}

}  // namespace

bool is_runtime_name(std::string_view specifier) {
  for (const auto scheme : kRuntimeSchemes) {
    if (specifier.starts_with(scheme)) return true;
  }
  return false;
}

std::optional<std::string> resolve_specifier(std::string_view specifier, std::string_view importer) {
  if (is_runtime_name(specifier)) return std::string(specifier);
  std::vector<std::string_view> parts;
  const auto folder = importer.rfind('/');
  if (!specifier.starts_with('/') && folder != std::string_view::npos) walk(importer.substr(0, folder), parts);
  if (!walk(specifier, parts)) return std::nullopt;
  return joined(parts);
}

std::string canonical_name(std::string_view name) {
  if (is_runtime_name(name)) return std::string(name);
  std::vector<std::string_view> parts;
  // A name that climbs over the root was refused when the code was given; here it means itself.
  return walk(name, parts) ? joined(parts) : std::string(name);
}

}  // namespace insula::runner
