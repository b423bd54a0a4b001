// SPDX-License-Identifier: Apache-2.0
//
// AssetPath: a request's target, decoded and found harmless, as a path relative to the folder.
#pragma once

#include <string>
#include <string_view>

namespace insula::assets {

struct AssetPath {
  enum class Verdict : unsigned char {
    Good,
    Hidden,     // well-formed, but names nothing that is served
    Malformed,  // bad escapes, control characters, NUL, "..", encoded slashes
  };

  Verdict verdict = Verdict::Malformed;
  std::string relative;        // "a/b.html", "a" or "" (the folder itself); no slash at either end
  bool names_folder = false;   // the target ended with a slash
  std::string_view raw_path;   // the path as sent, a part of the target
  std::string_view raw_query;  // "?x=1" or ""
};

// target: "/path?query", or an absolute URL.
AssetPath parse_asset_path(std::string_view target);

}  // namespace insula::assets
