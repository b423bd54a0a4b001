// SPDX-License-Identifier: Apache-2.0
//
// read_node_file: insula.toml, what belongs to the node and not to a Worker.
//
// These names are all ours, so an unknown one is an error: a limit with a typo must not be a limit that is missing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/error.h"
#include "src/supervisor/config/config.h"
#include "src/supervisor/config/value.h"

namespace insula::config {

struct NodeFile {
  Node node;
  std::vector<std::filesystem::path> workers;  // wrangler files or their folders, absolute when the file's folder is
};

// file: the path for messages and for what is relative to it. Errors: InvalidInput.
Result<NodeFile> read_node_file(const Value& root, const std::filesystem::path& file);

struct ListenAddress {
  std::string host;  // an address, "127.0.0.1" or "::1"
  std::uint16_t port = 0;
};

// "127.0.0.1:8787", "[::1]:8787", "localhost:8787", "8787" (on 127.0.0.1). Errors: InvalidInput.
Result<ListenAddress> parse_listen(std::string_view text);

// "cordon", "process", "shared". Errors: InvalidInput.
Result<Isolation> parse_isolation(std::string_view text);
std::string_view name_of(Isolation isolation);

}  // namespace insula::config
