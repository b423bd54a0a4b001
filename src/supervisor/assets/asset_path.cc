// SPDX-License-Identifier: Apache-2.0
//
// AssetPath: percent-decoding first, then judgement, so that no escape can hide a segment from it.
#include "src/supervisor/assets/asset_path.h"

#include <climits>

namespace insula::assets {
namespace {

using Verdict = AssetPath::Verdict;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Appends one decoded segment. False for bad escapes, control characters and slashes that were encoded.
bool decode_segment(std::string_view raw, std::string& out) {
  for (std::size_t i = 0; i < raw.size(); ++i) {
    char byte = raw[i];
    if (byte == '%') {
      if (raw.size() - i < 3) return false;
      const int high = hex_digit(raw[i + 1]);
      const int low = hex_digit(raw[i + 2]);
      if (high < 0 || low < 0) return false;
      byte = static_cast<char>(high * 16 + low);
      i += 2;
      if (byte == '/') return false;
    } else if (byte == ' ') {
      return false;  // as sent, a path has none; it would end up in a Location
    }
    const auto code = static_cast<unsigned char>(byte);
    if (code < 0x20 || code == 0x7f) return false;
    out += byte;
  }
  return true;
}

// The origin form of an absolute URL: what follows the authority.
std::string_view without_origin(std::string_view target) {
  const auto scheme_end = target.find("://");
  if (target.starts_with('/') || scheme_end == std::string_view::npos) return target;
  const auto path = target.find_first_of("/?#", scheme_end + 3);
  return path == std::string_view::npos ? std::string_view("/") : target.substr(path);
}

Verdict judge(std::string_view segment, bool is_first) {
  if (segment == ".." || segment == ".") return Verdict::Malformed;
  if (segment.empty() || segment.size() > NAME_MAX) return Verdict::Hidden;
  if (segment.front() == '.' && !(is_first && segment == ".well-known")) return Verdict::Hidden;
  return Verdict::Good;
}

}  // namespace

AssetPath parse_asset_path(std::string_view target) {
  AssetPath path;
  target = without_origin(target);
  target = target.substr(0, target.find('#'));
  const auto query = target.find('?');
  path.raw_path = target.substr(0, query);
  path.raw_query = query == std::string_view::npos ? std::string_view() : target.substr(query);
  auto rest = path.raw_path;
  if (rest.empty()) rest = "/";
  if (rest.front() != '/') return path;
  if (rest.size() >= PATH_MAX) {
    path.verdict = Verdict::Hidden;
    return path;
  }
  rest.remove_prefix(1);
  path.names_folder = rest.empty() || rest.ends_with('/');
  if (rest.ends_with('/')) rest.remove_suffix(1);

  path.verdict = Verdict::Good;
  bool is_last = rest.empty() && path.raw_path.size() <= 1;
  while (!is_last) {
    const auto slash = rest.find('/');
    is_last = slash == std::string_view::npos;
    const auto raw = rest.substr(0, slash);
    if (!is_last) rest.remove_prefix(slash + 1);
    const bool is_first = path.relative.empty();
    if (!is_first) path.relative += '/';
    const auto from = path.relative.size();
    Verdict verdict = Verdict::Malformed;
    if (decode_segment(raw, path.relative)) verdict = judge(std::string_view(path.relative).substr(from), is_first);
    if (verdict == Verdict::Malformed) {
      path.verdict = verdict;
      return path;
    }
    if (verdict == Verdict::Hidden) path.verdict = verdict;  // a later segment may still be malformed
  }
  return path;
}

}  // namespace insula::assets
