// SPDX-License-Identifier: Apache-2.0
//
// LoopMark: one entry among those of others.
#include "src/base/loop_mark.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

#include "src/base/header_block.h"

namespace insula {
namespace {

constexpr std::string_view kField = "cdn-loop";
constexpr std::string_view kHops = "hops=";

std::string_view trim(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

// Cuts the part before `mark` off and returns it.
std::string_view next(std::string_view& rest, char mark) {
  const auto end = std::min(rest.find(mark), rest.size());
  const std::string_view part = trim(rest.substr(0, end));
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

bool is_named(std::string_view entry, std::string_view name) { return next(entry, ';') == name; }

// An entry without a readable number stands for one hop.
std::uint32_t hops_of(std::string_view entry) {
  next(entry, ';');
  while (!entry.empty()) {
    std::string_view parameter = next(entry, ';');
    if (!parameter.starts_with(kHops)) continue;
    parameter.remove_prefix(kHops.size());
    std::uint32_t hops = 0;
    const auto read = std::from_chars(parameter.data(), parameter.data() + parameter.size(), hops);
    if (read.ec == std::errc::result_out_of_range) return UINT32_MAX;
    if (read.ec == std::errc() && hops > 0) return hops;
  }
  return 1;
}

}  // namespace

LoopMark::LoopMark(std::uint64_t node) : name_(fmt::format("insula-{:016x}", node)) {}

std::uint32_t LoopMark::hops_in(BytesView headers, std::uint32_t most) const {
  if (name_.empty() || find_header(headers, kField).data() == nullptr) return 0;
  std::uint32_t hops = 0;
  for_each_header(headers, [&](std::string_view name, std::string_view value) {
    if (name != kField) return;
    while (!value.empty()) {
      const std::string_view entry = next(value, ',');
      if (is_named(entry, name_)) hops = std::max(hops, hops_of(entry));
    }
  });
  return std::min(hops, most);
}

Bytes LoopMark::marked(BytesView headers, std::uint32_t hops) const {
  Bytes out;
  out.reserve(headers.size() + 64);
  if (name_.empty()) return out.append(headers);
  std::string entries;
  for_each_header(headers, [&](std::string_view name, std::string_view value) {
    if (name != kField) return append_header(out, name, value);
    while (!value.empty()) {
      const std::string_view entry = next(value, ',');
      if (!entry.empty() && !is_named(entry, name_)) entries.append(entry).append(", ");
    }
  });
  append_header(out, kField, fmt::format("{}{}; {}{}", entries, name_, kHops, hops));
  return out;
}

}  // namespace insula
