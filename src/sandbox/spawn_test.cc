// SPDX-License-Identifier: Apache-2.0
//
// Tests of spawn(): what the child has, what it has not, and when it ends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "src/sandbox/helper_test.h"
#include "src/sandbox/namespaces.h"

namespace insula::sandbox::test {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

SpawnOptions options_of(const std::string& program) {
  SpawnOptions options;
  options.program = program;
  return options;
}

TEST(Spawn, ChildHasTheKeptDescriptorsAndNoOthers) {
  const Fd leak(::open("/dev/null", O_RDONLY));  // without close-on-exec, as careless code leaves it
  const Started helper = start_helper("report");
  const auto lines = read_lines(helper);
  EXPECT_THAT(values_of(lines, "fd"), UnorderedElementsAre("0", "1", "2", "3"));
  EXPECT_EQ(reap(helper.child), 0);
}

TEST(Spawn, ChildHasOnlyTheGivenEnvironment) {
  ::setenv("SECRET", "1", 1);
  const Started helper = start_helper("report");
  const auto lines = read_lines(helper);
  EXPECT_THAT(values_of(lines, "variable"), UnorderedElementsAre("GIVEN", std::string(kStarterMountNamespace)));
  reap(helper.child);
}

TEST(Spawn, ChildStartsWithoutPrivilegesToGain) {
  std::signal(SIGPIPE, SIG_IGN);
  const Started helper = start_helper("report");
  std::signal(SIGPIPE, SIG_DFL);
  const auto lines = read_lines(helper);
  EXPECT_THAT(values_of(lines, "core"), UnorderedElementsAre("0"));
  EXPECT_THAT(values_of(lines, "no_new_privs"), UnorderedElementsAre("1"));
  EXPECT_THAT(values_of(lines, "session"), UnorderedElementsAre("own"));
  EXPECT_THAT(values_of(lines, "sigpipe"), UnorderedElementsAre("default"));
  reap(helper.child);
}

TEST(Spawn, LayersNameTheNamespacesThatTheChildIsIn) {
  const Started helper = start_helper("report");
  const auto lines = read_lines(helper);
  const auto& layers = helper.child.layers;
  EXPECT_EQ(layers, names_of_namespaces(granted_namespaces()));
  const bool is_first_process = values_of(lines, "pid").front() == "1";
  EXPECT_EQ(is_first_process, std::count(layers.begin(), layers.end(), "pid") == 1);
  reap(helper.child);
}

TEST(Spawn, WithoutNamespacesNoneAreMade) {
  const Started helper = start_helper("report", false);
  const auto lines = read_lines(helper);
  EXPECT_TRUE(helper.child.layers.empty());
  EXPECT_THAT(values_of(lines, "pid"), UnorderedElementsAre(std::to_string(helper.child.pid)));
  reap(helper.child);
}

TEST(Spawn, DescriptorsMayTradePlaces) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd reading(ends[0]);
  Fd writing(::fcntl(ends[1], F_DUPFD_CLOEXEC, 50));
  ::close(ends[1]);
  const Fd other(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  SpawnOptions options = helper_options("report", writing);
  options.fds = {{.source = other.get(), .number = 50}, {.source = writing.get(), .number = 3}};
  auto child = spawn(options);
  ASSERT_TRUE(child) << child.error().message();
  writing.reset();
  const Started started{.child = *std::move(child), .lines = Fd(::dup(reading.get()))};
  EXPECT_THAT(values_of(read_lines(started), "fd"), UnorderedElementsAre("0", "1", "2", "3", "50"));
  reap(started.child);
}

TEST(Spawn, PidfdBecomesReadableWhenTheChildEnds) {
  const Started helper = start_helper("hang");
  char byte = 0;
  ASSERT_EQ(::read(helper.lines.get(), &byte, 1), 1);  // it runs
  pollfd end{.fd = helper.child.pidfd.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&end, 1, 0), 0);
  ASSERT_EQ(::kill(helper.child.pid, SIGKILL), 0);
  EXPECT_EQ(::poll(&end, 1, 10000), 1);
  EXPECT_EQ(WTERMSIG(reap(helper.child)), SIGKILL);
}

TEST(Spawn, ChildDiesWithItsParent) {
  // The parent is a helper that starts a hanging one; both hold the writing end, so the end of file comes when the
  // last of them is dead.
  const Started parent = start_helper("parent", false);
  pollfd readable{.fd = parent.lines.get(), .events = POLLIN, .revents = 0};
  std::string text;
  char buffer[256];
  while (text.find("hanging=yes") == std::string::npos || text.find("grandchild=started") == std::string::npos) {
    ASSERT_EQ(::poll(&readable, 1, 10000), 1) << text;
    const ssize_t got = ::read(parent.lines.get(), buffer, sizeof buffer);
    ASSERT_GT(got, 0) << text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  ASSERT_EQ(::kill(parent.child.pid, SIGKILL), 0);
  reap(parent.child);
  ASSERT_EQ(::poll(&readable, 1, 10000), 1) << "the grandchild outlived its parent";
  EXPECT_EQ(::read(parent.lines.get(), buffer, sizeof buffer), 0);
}

TEST(Spawn, MissingProgramIsNotFound) {
  const auto child = spawn(options_of("/nonexistent/program"));
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code(), ErrorCode::NotFound);
  EXPECT_THAT(child.error().message(), HasSubstr("/nonexistent/program"));
}

TEST(Spawn, ProgramThatIsNoneSaysWhyAndLeavesNoProcess) {
  char path[] = "/tmp/insula-spawn-XXXXXX";
  Fd file(::mkstemp(path));
  ASSERT_EQ(::write(file.get(), "\x7f" "ELF?", 5), 5);
  ASSERT_EQ(::fchmod(file.get(), 0700), 0);
  file.reset();  // one that is open for writing would be "busy"
  const auto child = spawn(options_of(path));
  ::unlink(path);
  ASSERT_FALSE(child);
  EXPECT_EQ(child.error().code(), ErrorCode::Unavailable);
  EXPECT_THAT(child.error().message(), HasSubstr("Exec format error"));
  EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
}

TEST(Spawn, RefusesDescriptorNumbersThatCannotWork) {
  for (const std::vector<KeptFd>& fds : {std::vector<KeptFd>{{.source = 0, .number = 2}},
                                         std::vector<KeptFd>{{.source = 0, .number = 100}},
                                         std::vector<KeptFd>{{.source = 0, .number = 3}, {.source = 0, .number = 3}}}) {
    SpawnOptions options = options_of("/bin/true");
    options.fds = fds;
    const auto child = spawn(options);
    ASSERT_FALSE(child);
    EXPECT_EQ(child.error().code(), ErrorCode::InvalidInput);
  }
}

}  // namespace
}  // namespace insula::sandbox::test
