// SPDX-License-Identifier: Apache-2.0
//
// Targets of asset requests, fed with any bytes: what is called good must be harmless to open below a folder.
#include <cstddef>
#include <cstdint>
#include <string>

#include "src/base/error.h"
#include "src/supervisor/assets/asset_path.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string target(size, '\0');
  for (std::size_t i = 0; i < size; ++i) target[i] = static_cast<char>(data[i]);
  const auto path = insula::assets::parse_asset_path(target);
  if (path.verdict != insula::assets::AssetPath::Verdict::Good) return 0;

  const auto& relative = path.relative;
  if (relative.empty()) {
    INSULA_CHECK(path.names_folder);
    return 0;
  }
  for (const char byte : relative) INSULA_CHECK(static_cast<unsigned char>(byte) >= 0x20 && byte != 0x7f);
  std::size_t from = 0;
  while (from <= relative.size()) {
    auto to = relative.find('/', from);
    if (to == std::string::npos) to = relative.size();
    const auto segment = relative.substr(from, to - from);
    INSULA_CHECK(!segment.empty() && (segment.front() != '.' || (from == 0 && segment == ".well-known")));
    from = to + 1;
  }
  // What a redirect would carry must stay on this host.
  INSULA_CHECK(path.raw_path.starts_with('/') && !path.raw_path.starts_with("//"));
  return 0;
}
