// SPDX-License-Identifier: Apache-2.0
//
// Helper: the test program starting itself as the child of spawn(). The child never reaches a test: it does what its
// first argument names, writes lines to descriptor 3 and ends.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "src/sandbox/sandbox.h"

namespace insula::sandbox::test {

struct Started {
  Child child;
  Fd lines;  // reading end of the helper's descriptor 3; ends with the helper
};

// The options with which the helper runs in `mode`, writing to `lines`.
SpawnOptions helper_options(const std::string& mode, const Fd& lines);

// Starts the helper. A failed spawn fails the test and gives an empty Started.
Started start_helper(const std::string& mode, bool want_namespaces = true);

// Everything that the helper wrote, to its end. Lines are "name=value".
std::multimap<std::string, std::string> read_lines(const Started& started);

// The values of all lines with this name, in order.
std::vector<std::string> values_of(const std::multimap<std::string, std::string>& lines, const std::string& name);

// The helper's exit status as waitpid gives it.
int reap(const Child& child);

}  // namespace insula::sandbox::test
