// SPDX-License-Identifier: Apache-2.0
//
// Module names: relative resolution.
#include "src/runner/modules/specifier.h"

#include <vector>

namespace insula::runner {

std::string resolve_specifier(std::string_view specifier, std::string_view importer) {
  if (!specifier.starts_with("./") && !specifier.starts_with("../")) {
    // "/x.js" is taken from the root of the Worker's modules.
    if (specifier.starts_with('/')) specifier.remove_prefix(1);
    return std::string(specifier);
  }
  std::vector<std::string_view> parts;
  const auto add = [&parts](std::string_view path) {
    while (!path.empty()) {
      const auto slash = path.find('/');
      const std::string_view part = path.substr(0, slash);
      path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
      if (part.empty() || part == ".") continue;
      if (part == "..") {
        if (!parts.empty()) parts.pop_back();
        continue;
      }
      parts.push_back(part);
    }
  };
  const auto directory = importer.rfind('/');
  if (directory != std::string_view::npos) add(importer.substr(0, directory));
  add(specifier);
  std::string name;
  for (const auto part : parts) {
    if (!name.empty()) name += '/';
    name += part;
  }
  return name;
}

}  // namespace insula::runner
