// SPDX-License-Identifier: Apache-2.0
//
// `insula workflows`: words to a question.
#include "src/cli/workflows.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "src/base/fd.h"

namespace insula::cli {
namespace {

namespace json = boost::json;

Error usage(std::string message) {
  return Error(ErrorCode::InvalidInput, std::move(message) + "\nTry `insula workflows --help`.");
}

// "2026-11-23", "2026-11-23T10:00:00Z" (UTC, the Z may be missing), or milliseconds since 1970.
Result<std::int64_t> time_of(std::string_view text) {
  std::int64_t ms = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error == std::errc() && stop == text.data() + text.size()) return ms;
  std::tm time{};
  const std::string copy(text);
  for (const char* const format : {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"}) {
    time = {};
    const char* const end = ::strptime(copy.c_str(), format, &time);
    if (end != nullptr && *end == '\0') return static_cast<std::int64_t>(::timegm(&time)) * 1000;
  }
  return Error(ErrorCode::InvalidInput,
               fmt::format("\"{}\" is no time; write 2026-11-23 or 2026-11-23T10:00:00Z (UTC)", text));
}

struct Option {
  std::string_view name;
  std::string_view value;  // empty: it has none
  std::string_view commands;  // space-separated; empty: all
  std::string_view help;
  Result<> (*apply)(WorkflowsCommand& command, std::string_view value);
};

Result<> set_time(json::object& question, std::string_view field, std::string_view value) {
  TRY(question[field], time_of(value));
  return {};
}

constexpr Option kOptions[] = {
    {"--data", "DIR", "", "data directory of the server (.insula)",
     [](WorkflowsCommand& command, std::string_view value) -> Result<> {
       command.data_directory = value;
       return {};
     }},
    {"--json", "", "", "the answer as the server gives it",
     [](WorkflowsCommand& command, std::string_view) -> Result<> {
       command.is_json = true;
       return {};
     }},
    {"--status", "NAME", "list", "only these: queued, running, waiting, paused, errored, ... (may be repeated)",
     [](WorkflowsCommand& command, std::string_view value) -> Result<> {
       json::value& list = command.question["status"];
       if (!list.is_array()) list = json::array();
       list.get_array().emplace_back(value);
       return {};
     }},
    {"--metadata", "TEXT", "list", "only those that were made with this, as `show` tells it",
     [](WorkflowsCommand& command, std::string_view value) -> Result<> {
       command.question["metadata"] = value;
       return {};
     }},
    {"--since", "TIME", "list", "only those made then or later",
     [](WorkflowsCommand& command, std::string_view value) { return set_time(command.question, "from", value); }},
    {"--until", "TIME", "list", "only those made before",
     [](WorkflowsCommand& command, std::string_view value) { return set_time(command.question, "until", value); }},
    {"--limit", "N", "list", "as many at most (100)",
     [](WorkflowsCommand& command, std::string_view value) -> Result<> {
       unsigned count = 0;
       const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), count);
       if (error != std::errc() || stop != value.data() + value.size() || count < 1 || count > 1000) {
         return Error(ErrorCode::InvalidInput, "expected a whole number from 1 to 1000");
       }
       command.question["limit"] = count;
       return {};
     }},
    {"--set", "", "clock", "as if somebody set the machine's clock; else as if so much time passed",
     [](WorkflowsCommand& command, std::string_view) -> Result<> {
       command.question["set"] = true;
       return {};
     }},
    {"--rollback", "", "terminate", "run the rollback handlers of its steps first",
     [](WorkflowsCommand& command, std::string_view) -> Result<> {
       command.question["rollback"] = true;
       return {};
     }},
    {"--from", "STEP", "restart", "keep the results of all steps before this one",
     [](WorkflowsCommand& command, std::string_view value) -> Result<> {
       command.question["from"] = value;
       return {};
     }},
    {"--payload", "JSON", "send-event", "what the event carries",
     [](WorkflowsCommand& command, std::string_view value) -> Result<> {
       boost::system::error_code error;
       json::value payload = json::parse(value, error);
       if (error) return Error(ErrorCode::InvalidInput, "expected JSON: " + error.message());
       command.question["payload"] = std::move(payload);
       return {};
     }},
};

constexpr std::string_view kCommands[] = {"list", "show", "pause", "resume", "terminate", "restart", "delete", "send-event", "clock"};

bool is_command(std::string_view word) {
  for (const auto command : kCommands) {
    if (command == word) return true;
  }
  return false;
}

Result<> place_words(WorkflowsCommand& command, std::string_view name, const std::vector<std::string_view>& words) {
  if (name == "clock") {
    if (words.size() != 1) return usage("insula workflows clock DURATION");
    command.question["by"] = words.front();
    return {};
  }
  const bool is_list = name == "list";
  const bool is_event = name == "send-event";
  const std::size_t wanted = is_list ? 1 : is_event ? 3 : 2;
  if (words.size() > wanted || (!is_list && words.size() < wanted)) {
    return usage(fmt::format("insula workflows {} {}", name, is_list ? "[WORKFLOW]" : is_event ? "WORKFLOW ID TYPE" : "WORKFLOW ID"));
  }
  constexpr std::string_view kFields[] = {"workflow", "id", "type"};
  for (std::size_t i = 0; i < words.size(); ++i) command.question[kFields[i]] = words[i];
  return {};
}

std::string text(const json::object& object, std::string_view field) {
  const auto* const value = object.if_contains(field);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}
std::int64_t number(const json::object& object, std::string_view field) {
  const auto* const value = object.if_contains(field);
  return value != nullptr && value->is_number() ? value->to_number<std::int64_t>() : 0;
}

std::string shown_time(std::int64_t ms) {
  const auto seconds = static_cast<std::time_t>(ms / 1000);
  std::tm time{};
  ::gmtime_r(&seconds, &time);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &time);
  return fmt::format("{}.{:03}", text, ms % 1000);
}

// What a tenant has written goes to a terminal: no control characters.
std::string printable(std::string_view raw) {
  std::string out;
  for (const char c : raw) {
    const bool is_control = static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    out.push_back(is_control ? '?' : c);
  }
  return out;
}

std::string line_of(const json::object& instance) {
  std::string line = fmt::format("{:<9} {}  {}/{}", text(instance, "status"), shown_time(number(instance, "created")),
                                 text(instance, "workflow"), text(instance, "id"));
  if (const auto due = number(instance, "due"); due != 0) line += fmt::format("  wakes {}", shown_time(due));
  if (const auto* const error = instance.if_contains("error"); error != nullptr && error->is_object()) {
    line += fmt::format("  {}: {}", printable(text(error->get_object(), "name")), printable(text(error->get_object(), "message")));
  }
  if (const auto metadata = text(instance, "metadata"); !metadata.empty()) line += "  " + printable(metadata);
  return line + "\n";
}

std::string event_line(const json::object& event, std::int64_t begin) {
  const auto at = number(event, "timestamp");
  std::string line = fmt::format("  {}  {:>+12.3f}s  {}", shown_time(at), static_cast<double>(at - begin) / 1000, text(event, "type"));
  if (const auto step = text(event, "stepName"); !step.empty()) line += "  " + printable(step);
  if (const auto attempt = number(event, "attempt"); attempt != 0) line += fmt::format("  attempt {}", attempt);
  if (const auto type = text(event, "eventType"); !type.empty()) line += "  for " + printable(type);
  if (const auto ms = number(event, "durationMs"); ms != 0) line += fmt::format("  {} ms", ms);
  if (const auto ms = number(event, "retryDelayMs"); ms != 0) line += fmt::format("  again in {} ms", ms);
  if (const auto bytes = number(event, "bytes"); bytes != 0) line += fmt::format("  {} bytes", bytes);
  if (const auto* const error = event.if_contains("error"); error != nullptr && error->is_object()) {
    line += fmt::format("  {}: {}", printable(text(error->get_object(), "name")), printable(text(error->get_object(), "message")));
  }
  return line + "\n";
}

}  // namespace

Result<WorkflowsCommand> parse_workflows(std::span<const char* const> words) {
  WorkflowsCommand command;
  command.data_directory = ".insula";
  if (words.empty() || !is_command(words.front())) {
    return usage(words.empty() ? "what shall be done with workflows? For example: insula workflows list"
                               : fmt::format("unknown command workflows {}", words.front()));
  }
  const std::string_view name = words.front();
  command.question["command"] = name;
  std::vector<std::string_view> plain;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (!word.starts_with("--")) {
      plain.push_back(word);
      continue;
    }
    const auto equals = word.find('=');
    const Option* option = nullptr;
    for (const auto& one : kOptions) {
      if (one.name == word.substr(0, equals) && (one.commands.empty() || one.commands == name)) option = &one;
    }
    if (option == nullptr) return usage(fmt::format("workflows {} has no option {}", name, word.substr(0, equals)));
    std::string_view value;
    if (equals != std::string_view::npos) {
      value = word.substr(equals + 1);
    } else if (!option->value.empty()) {
      if (i + 1 == words.size()) return usage(fmt::format("{} needs a value: {} {}", word, word, option->value));
      value = words[++i];
    }
    if (auto applied = option->apply(command, value); !applied) {
      return usage(fmt::format("{}: {}", option->name, applied.error().message()));
    }
  }
  TRY_VOID(place_words(command, name, plain));
  return command;
}

std::string workflows_help() {
  std::string help =
      "insula workflows: the workflow instances of a running server\n"
      "\n"
      "  insula workflows list [WORKFLOW]                 newest first\n"
      "  insula workflows show WORKFLOW ID                its status, and each step with its times\n"
      "  insula workflows pause|resume|restart|terminate|delete WORKFLOW ID\n"
      "  insula workflows send-event WORKFLOW ID TYPE\n"
      "  insula workflows clock DURATION                  moves their time, of a server started with --test-clock\n"
      "\n"
      "Options (of these commands; defaults in parentheses)\n";
  for (const auto& option : kOptions) {
    help += fmt::format("  {:<18} {:<11} {}\n", fmt::format("{} {}", option.name, option.value), option.commands, option.help);
  }
  return help;
}

Result<std::string> text_of_answer(const WorkflowsCommand& command, const std::string& answer) {
  boost::system::error_code problem;
  const json::value value = json::parse(answer, problem);
  if (problem || !value.is_object()) return Error(ErrorCode::Corrupt, "the server's answer cannot be read");
  const json::object& object = value.get_object();
  const auto* const error = object.if_contains("error");
  const auto name = text(command.question, "command");
  if (error != nullptr && error->is_string()) return Error(ErrorCode::Denied, std::string(error->get_string()));
  if (command.is_json) return answer + "\n";
  std::string out;
  if (name == "clock") {
    out = fmt::format("it is {}\n", shown_time(number(object, "now")));
  } else if (name == "list") {
    for (const auto& one : object.at("instances").as_array()) out += line_of(one.as_object());
    if (out.empty()) out = "no such instances\n";
  } else if (name == "show") {
    out = line_of(object);
    const auto& events = object.at("events").as_array();
    for (const auto& event : events) out += event_line(event.as_object(), number(object, "created"));
  }
  return out;
}

Result<std::string> ask_server(const WorkflowsCommand& command) {
  const auto fail = [&](int code) {
    return Error(ErrorCode::Unavailable,
                 fmt::format("no server answers at {}/admin.sock: {}; is it running, and is --data right?",
                             command.data_directory.string(), std::generic_category().message(code)));
  };
  const Fd folder(::open(command.data_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return fail(errno);
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return fail(errno);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/admin.sock", folder.get());
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): what the call wants
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return fail(errno);
  const std::string line = json::serialize(command.question) + "\n";
  for (std::size_t sent = 0; sent < line.size();) {
    const auto bytes = ::send(socket.get(), line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (bytes < 0) return fail(errno);
    sent += static_cast<std::size_t>(bytes);
  }
  std::string answer;
  char buffer[16384];
  for (;;) {
    const auto bytes = ::read(socket.get(), buffer, sizeof buffer);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) break;
    answer.append(buffer, static_cast<std::size_t>(bytes));
  }
  while (!answer.empty() && answer.back() == '\n') answer.pop_back();
  if (answer.empty()) return Error(ErrorCode::Unavailable, "the server has ended the conversation without an answer");
  return answer;
}

}  // namespace insula::cli
