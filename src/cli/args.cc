// SPDX-License-Identifier: Apache-2.0
//
// Arguments: one table of flags, from which both the parser and the help text are made.
#include "src/cli/args.h"

#include <charconv>
#include <cstddef>
#include <limits>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "src/base/compatibility.h"
#include "src/base/limits.h"
#include "src/supervisor/config/fields.h"

namespace insula::cli {
namespace {

Error usage(std::string message) {
  return Error(ErrorCode::InvalidInput, std::move(message) + "\nTry `insula --help`.");
}

Result<std::uint64_t> number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || stop != end || value < least || value > most) {
    return Error(ErrorCode::InvalidInput,
                 fmt::format("expected a whole number from {} to {}, found \"{}\"", least, most, text));
  }
  return value;
}

Result<> set_path(std::filesystem::path& target, std::string_view text) {
  if (text.empty()) return Error(ErrorCode::InvalidInput, "expected a path, found nothing");
  target = text;
  return {};
}

struct Flag {
  std::string_view name;
  std::string_view value;  // what stands for its value in the help text; empty: it has none
  std::string_view help;
  Result<> (*apply)(Arguments& arguments, std::string_view value);
};

constexpr Flag kServeFlags[] = {
    {"--listen", "HOST:PORT", "where to answer HTTP (127.0.0.1:8787; port 0: the kernel chooses)",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       TRY(arguments.options.listen, config::parse_listen(value));
       return {};
     }},
    {"--data", "DIR", "where durable state lives (.insula beside the first Worker's configuration)",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       return set_path(arguments.options.data_directory.emplace(), value);
     }},
    {"--isolation", "KIND",
     "cordon: tenants apart from the platform (default); process: a process each; shared: one for all",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       TRY(arguments.options.isolation, config::parse_isolation(value));
       return {};
     }},
    {"--runners", "N", "processes for tenants (0: as many as cores)",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       TRY(auto count, number(value, 0, 1024));
       arguments.options.tenant_runners = static_cast<std::uint32_t>(count);
       return {};
     }},
    {"--memory-mib", "N", "memory of one such process (1024)",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       TRY(auto mebibytes, number(value, 64, 1024 * 1024));
       arguments.options.runner_memory_bytes = static_cast<std::size_t>(mebibytes) * kMiB;
       return {};
     }},
    {"--allow-private-addresses", "", "let Workers fetch from loopback and private networks",
     [](Arguments& arguments, std::string_view) -> Result<> {
       arguments.options.allow_private_addresses = true;
       return {};
     }},
    {"--live-clock", "", "let tenants' clocks run while their code runs; measures time, and other tenants",
     [](Arguments& arguments, std::string_view) -> Result<> {
       arguments.options.frozen_clock = false;
       return {};
     }},
    {"--unsafe-no-sandbox", "", "start even where the kernel refuses the sandbox; for code that you trust",
     [](Arguments& arguments, std::string_view) -> Result<> {
       arguments.options.unsafe_no_sandbox = true;
       return {};
     }},
    {"--test-clock", "", "for tests: let `insula workflows clock` move the time of workflows",
     [](Arguments& arguments, std::string_view) -> Result<> {
       arguments.has_test_clock = true;
       return {};
     }},
    {"--log", "FORMAT", "json or human (human in a terminal, json otherwise)",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       if (value != "json" && value != "human") {
         return Error(ErrorCode::InvalidInput, fmt::format("expected json or human, found \"{}\"", value));
       }
       arguments.log_format = value == "json" ? LogFormat::Json : LogFormat::Human;
       return {};
     }},
    {"--log-level", "LEVEL", "debug, info, warn or error (info)",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       constexpr std::string_view kLevels[] = {"debug", "info", "warn", "error"};
       for (std::size_t i = 0; i < std::size(kLevels); ++i) {
         if (value != kLevels[i]) continue;
         arguments.log_level = static_cast<LogLevel>(i);
         return {};
       }
       return Error(ErrorCode::InvalidInput, fmt::format("expected debug, info, warn or error, found \"{}\"", value));
     }},
    {"--engine", "DIR", "the unpacked engine package, if not where it was at build time",
     [](Arguments& arguments, std::string_view value) -> Result<> {
       return set_path(arguments.engine.emplace(), value);
     }},
};

const Flag* find_flag(std::string_view name) {
  for (const auto& flag : kServeFlags) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

Error unknown_flag(std::string_view name) {
  std::vector<std::string_view> known{"--help", "--version"};
  for (const auto& flag : kServeFlags) known.push_back(flag.name);
  const auto meant = config::closest_name(name, known);
  return usage(fmt::format("unknown option {}{}", name, meant.empty() ? "" : fmt::format("; did you mean {}?", meant)));
}

// "--listen HOST:PORT", "--listen=HOST:PORT", or a path. After "--" everything is a path.
Result<> parse_rest(std::span<const char* const> words, Arguments& out) {
  bool only_paths = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (only_paths || !word.starts_with('-') || word == "-") {
      if (word.empty()) return usage("an empty path is no configuration");
      out.options.paths.emplace_back(word);
      continue;
    }
    if (word == "--") {
      only_paths = true;
      continue;
    }
    if (word == "--help" || word == "-h") {
      out.command = Command::Help;
      return {};
    }
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    const Flag* flag = find_flag(name);
    if (flag == nullptr) return unknown_flag(name);
    const bool is_inline = equals != std::string_view::npos;
    std::string_view value = is_inline ? word.substr(equals + 1) : std::string_view();
    if (flag->value.empty()) {
      if (is_inline) return usage(fmt::format("{} takes no value", name));
    } else if (!is_inline) {
      if (i + 1 == words.size()) return usage(fmt::format("{} needs a value: {} {}", name, name, flag->value));
      value = words[++i];
    }
    if (auto applied = flag->apply(out, value); !applied) {
      return usage(fmt::format("{}: {}", name, applied.error().message()));
    }
  }
  return {};
}

}  // namespace

Result<Arguments> parse_arguments(std::span<const char* const> arguments) {
  Arguments out;
  if (arguments.empty()) return usage("what shall insula do? For example: insula serve");
  const std::string_view command = arguments.front();
  if (command == "--help" || command == "-h" || command == "help") return out;
  if (command == "--version" || command == "-V" || command == "version") {
    out.command = Command::Version;
    return out;
  }
  if (command == "crash-points") {  // for tests/faults; not in the help text
    out.command = Command::CrashPoints;
    return out;
  }
  if (command == "serve") {
    out.command = Command::Serve;
  } else if (command == "check") {
    out.command = Command::Check;
  } else if (command == "workflows") {
    const auto rest = arguments.subspan(1);
    for (const std::string_view word : rest) {
      if (word != "--help" && word != "-h") continue;
      out.command = Command::WorkflowsHelp;
      return out;
    }
    out.command = Command::Workflows;
    TRY(out.workflows, parse_workflows(rest));
    return out;
  } else if (command.starts_with('-') && find_flag(command.substr(0, command.find('='))) == nullptr) {
    return unknown_flag(command);
  } else {
    const auto meant = config::closest_name(command, {"serve", "check", "workflows"});
    return usage(meant.empty() ? fmt::format("unknown command {}; the commands are serve, check and workflows, for example: "
                                             "insula serve {}",
                                             command, command)
                               : fmt::format("unknown command {}; did you mean {}?", command, meant));
  }
  TRY_VOID(parse_rest(arguments.subspan(1), out));
  return out;
}

std::string help_text() {
  std::string text =
      "insula: a runtime for per-tenant dynamic code dispatch\n"
      "\n"
      "  insula serve [DIR|FILE ...] [OPTION ...]   run the Workers of these wrangler files\n"
      "  insula check [DIR|FILE ...]                read, bundle and check them, and say what is wrong\n"
      "  insula workflows COMMAND ...               look at workflow instances of a running server, and operate them\n"
      "  insula --help | --version\n"
      "\n"
      "DIR holds a wrangler.jsonc, wrangler.json or wrangler.toml (default: the current folder). The first Worker "
      "answers\n"
      "HTTP; the others are reached through service bindings. An insula.toml beside it sets what belongs to the node.\n"
      "\n"
      "Options of serve (they win over insula.toml; defaults in parentheses)\n";
  for (const auto& flag : kServeFlags) {
    text += fmt::format("  {:<27} {}\n", fmt::format("{} {}", flag.name, flag.value), flag.help);
  }
  return text;
}

std::string version_text() {
  return fmt::format("insula {} (compatibility dates up to {})\n", kVersion, kNewestCompatibilityDate);
}

}  // namespace insula::cli
