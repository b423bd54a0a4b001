// SPDX-License-Identifier: Apache-2.0
//
// `insula workflows`: asks a running server about its workflow instances, and shows what it says.
#pragma once

#include <filesystem>
#include <span>
#include <string>

#include <boost/json.hpp>

#include "src/base/error.h"

namespace insula::cli {

struct WorkflowsCommand {
  boost::json::object question;
  std::filesystem::path data_directory;
  bool is_json = false;
};

// words: after "workflows". Errors: InvalidInput.
Result<WorkflowsCommand> parse_workflows(std::span<const char* const> words);
std::string workflows_help();

// The answer as text for a terminal. Errors: what the server refused.
Result<std::string> text_of_answer(const WorkflowsCommand& command, const std::string& answer);

// Asks the server that has the data directory. Errors: Unavailable (there is none).
Result<std::string> ask_server(const WorkflowsCommand& command);

}  // namespace insula::cli
