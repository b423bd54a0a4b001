// SPDX-License-Identifier: Apache-2.0
//
// Arguments: what each flag sets, and what a slip of the fingers is told.
#include "src/cli/args.h"

#include <initializer_list>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace insula::cli {
namespace {

using config::Isolation;
using testing::HasSubstr;

Result<Arguments> parse(std::initializer_list<const char*> words) {
  return parse_arguments(std::vector<const char*>(words));
}

std::string problem(std::initializer_list<const char*> words) {
  const auto parsed = parse(words);
  return parsed ? "" : parsed.error().message();
}

TEST(Arguments, ServeWithEveryFlag) {
  const auto parsed = parse({"serve",
                             "a",
                             "--listen",
                             "0.0.0.0:80",
                             "--data=/d",
                             "--isolation",
                             "process",
                             "--runners",
                             "3",
                             "b/wrangler.toml",
                             "--memory-mib",
                             "512",
                             "--allow-private-addresses",
                             "--live-clock",
                             "--unsafe-no-sandbox",
                             "--log",
                             "json",
                             "--log-level",
                             "warn",
                             "--engine",
                             "/e",
                             "--",
                             "-c"});
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->command, Command::Serve);
  const auto& options = parsed->options;
  EXPECT_EQ(options.paths, (std::vector<std::filesystem::path>{"a", "b/wrangler.toml", "-c"}));
  EXPECT_EQ(options.listen->host, "0.0.0.0");
  EXPECT_EQ(options.listen->port, 80);
  EXPECT_EQ(options.data_directory, "/d");
  EXPECT_EQ(options.isolation, Isolation::Process);
  EXPECT_EQ(options.tenant_runners, 3U);
  EXPECT_EQ(options.runner_memory_bytes, 512 * kMiB);
  EXPECT_EQ(options.allow_private_addresses, true);
  EXPECT_EQ(options.frozen_clock, false);
  EXPECT_TRUE(options.unsafe_no_sandbox);
  EXPECT_EQ(parsed->log_format, LogFormat::Json);
  EXPECT_EQ(parsed->log_level, LogLevel::Warn);
  EXPECT_EQ(parsed->engine, "/e");
}

TEST(Arguments, ServeWithNothingLeavesEverythingToTheFiles) {
  const auto parsed = parse({"serve"});
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->options.paths.empty());
  EXPECT_FALSE(parsed->options.listen || parsed->options.isolation || parsed->options.frozen_clock ||
               parsed->log_format);
  EXPECT_FALSE(parsed->options.unsafe_no_sandbox);
}

TEST(Arguments, HelpAndVersion) {
  EXPECT_EQ(parse({"--help"})->command, Command::Help);
  EXPECT_EQ(parse({"serve", "--help"})->command, Command::Help);
  EXPECT_EQ(parse({"--version"})->command, Command::Version);
  EXPECT_EQ(parse({"check", "x"})->command, Command::Check);
  for (const auto* flag : {"--listen HOST:PORT", "--isolation KIND", "--unsafe-no-sandbox"}) {
    EXPECT_THAT(help_text(), HasSubstr(flag));
  }
  EXPECT_THAT(version_text(), HasSubstr(kVersion));
}

TEST(Arguments, SlipsAreNamed) {
  EXPECT_THAT(problem({}), HasSubstr("insula serve"));
  EXPECT_THAT(problem({"sreve"}), HasSubstr("unknown command sreve"));
  EXPECT_THAT(problem({"serv", "x"}), HasSubstr("unknown command serv; did you mean serve?"));
  EXPECT_THAT(problem({"examples/platform"}), HasSubstr("for example: insula serve examples/platform"));
  EXPECT_THAT(problem({"serve", "--lisen", "x"}), HasSubstr("did you mean --listen?"));
  EXPECT_THAT(problem({"serve", "--listen"}), HasSubstr("--listen HOST:PORT"));
  EXPECT_THAT(problem({"serve", "--listen", "nowhere:80"}), HasSubstr("no IP address"));
  EXPECT_THAT(problem({"serve", "--isolation", "none"}), HasSubstr("cordon, process or shared"));
  EXPECT_THAT(problem({"serve", "--runners", "-1"}), HasSubstr("whole number from 0 to 1024"));
  EXPECT_THAT(problem({"serve", "--memory-mib", "12x"}), HasSubstr("found \"12x\""));
  EXPECT_THAT(problem({"serve", "--live-clock=yes"}), HasSubstr("takes no value"));
  EXPECT_THAT(problem({"serve", "--log", "xml"}), HasSubstr("json or human"));
  EXPECT_THAT(problem({"serve", "--data", ""}), HasSubstr("expected a path"));
  EXPECT_THAT(problem({"serve", ""}), HasSubstr("empty path"));
}

}  // namespace
}  // namespace insula::cli
