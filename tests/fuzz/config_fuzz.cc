// SPDX-License-Identifier: Apache-2.0
//
// The readers of configuration files, fed with any bytes: they must not crash, and must say where a problem is.
//
// The first byte chooses the reader, so that one corpus serves all three.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/node_file.h"
#include "src/supervisor/config/value.h"
#include "src/supervisor/config/wrangler.h"

namespace {

using namespace std::string_view_literals;
using insula::config::Value;

void check_message(const insula::Error& error) {
  INSULA_CHECK(error.message().find("fuzzed"sv) != std::string::npos);
}

// What was read and is written as JSON must read as the same again.
void check_round_trip(const Value& value) {
  const auto json = insula::config::to_json(value);
  if (!json) return;
  const auto again = insula::config::parse_jsonc(*json, "fuzzed");
  INSULA_CHECK(again.has_value());
  const auto json_again = insula::config::to_json(*again);
  INSULA_CHECK(json_again.has_value() && *json_again == *json);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  std::string text(size - 1, '\0');
  for (std::size_t i = 1; i < size; ++i) text[i - 1] = static_cast<char>(data[i]);

  const bool is_json = data[0] % 3 == 0;
  const auto value =
      is_json ? insula::config::parse_jsonc(text, "/d/fuzzed") : insula::config::parse_toml(text, "/d/fuzzed");
  if (!value) {
    check_message(value.error());
    return 0;
  }
  check_round_trip(*value);
  if (data[0] % 3 == 2) {
    const auto node = insula::config::read_node_file(*value, "/d/fuzzed");
    if (!node) check_message(node.error());
    return 0;
  }
  std::vector<std::string> warnings;
  const auto worker = insula::config::read_wrangler(*value, "/d/fuzzed", warnings);
  if (!worker) check_message(worker.error());
  for (const auto& warning : warnings) INSULA_CHECK(warning.find("fuzzed"sv) != std::string::npos);
  return 0;
}
