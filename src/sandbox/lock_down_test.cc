// SPDX-License-Identifier: Apache-2.0
//
// Tests of lock_down() and probe(), each in a process of its own (helper_test.cc).
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "src/sandbox/helper_test.h"
#include "src/sandbox/landlock.h"

namespace insula::sandbox::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsSupersetOf;
using ::testing::SizeIs;

bool contains(const std::vector<std::string>& layers, const std::string& layer) {
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

TEST(LockDown, NothingForbiddenIsPossibleInAnyThread) {
  const Started helper = start_helper("lock-down");
  const auto lines = read_lines(helper);
  EXPECT_EQ(reap(helper.child), 0);
  EXPECT_THAT(values_of(lines, "error"), IsEmpty());
  EXPECT_THAT(values_of(lines, "possible"), IsEmpty());
  EXPECT_THAT(values_of(lines, "thread-possible"), IsEmpty());
  EXPECT_THAT(values_of(lines, "new-thread"), ElementsAre("refused"));
  EXPECT_THAT(values_of(lines, "done"), ElementsAre("yes"));
}

TEST(LockDown, CodeStillRunsInEveryThread) {
  const Started helper = start_helper("lock-down");
  const auto lines = read_lines(helper);
  reap(helper.child);
  EXPECT_THAT(values_of(lines, "runs-code"), ElementsAre("yes"));
  EXPECT_THAT(values_of(lines, "malloc"), ElementsAre("yes"));
  EXPECT_THAT(values_of(lines, "priority"), ElementsAre("told"));
  EXPECT_THAT(values_of(lines, "thread-runs-code"), ElementsAre("yes", "yes", "yes", "yes"));
}

TEST(LockDown, ClosesWhatWasNotKept) {
  const Started helper = start_helper("lock-down");
  const auto lines = read_lines(helper);
  reap(helper.child);
  EXPECT_THAT(values_of(lines, "extra-fd"), ElementsAre("closed"));
}

TEST(LockDown, NamesTheLayersThatAreActive) {
  const Started helper = start_helper("lock-down");
  const auto layers = values_of(read_lines(helper), "layer");
  reap(helper.child);
  EXPECT_THAT(layers,
              IsSupersetOf({"no_new_privs", "no-caps", "rlimits", "closed-fds", "not-dumpable", "seccomp"}));
  EXPECT_EQ(contains(layers, "landlock"), static_cast<bool>(make_deny_all_ruleset()));
  // With a user and a mount namespace the process is root in it, and may empty its root.
  const auto& spawned = helper.child.layers;
  EXPECT_EQ(contains(layers, "empty-root"), contains(spawned, "user") && contains(spawned, "mount"));
}

TEST(LockDown, WithoutNamespacesTheFilterHoldsAndTheHostsRootIsLeftAlone) {
  const Started helper = start_helper("lock-down", false);
  const auto lines = read_lines(helper);
  EXPECT_EQ(reap(helper.child), 0);
  EXPECT_THAT(values_of(lines, "possible"), IsEmpty());
  EXPECT_THAT(values_of(lines, "thread-possible"), IsEmpty());
  EXPECT_FALSE(contains(values_of(lines, "layer"), "empty-root"));
  EXPECT_TRUE(contains(values_of(lines, "layer"), "no-caps"));
  EXPECT_EQ(::access("/proc/self", F_OK), 0);
}

TEST(LockDown, AbortStillEndsTheProcess) {
  const Started helper = start_helper("abort");
  read_lines(helper);
  EXPECT_NE(reap(helper.child), 0);  // a signal; under a sanitizer an exit code of its own
}

TEST(LockDown, CallsOfAnotherArchitectureKill) {
  const Started helper = start_helper("32-bit");
  const auto lines = read_lines(helper);
  const int status = reap(helper.child);
  EXPECT_TRUE(WIFSIGNALED(status)) << status;  // SIGSYS; SIGSEGV where the kernel has no 32-bit gate
  EXPECT_THAT(values_of(lines, "answer"), IsEmpty());
}

TEST(LockDown, FailsWhenAThreadCannotBeReached) {
  const Started helper = start_helper("deaf-thread");
  const auto lines = read_lines(helper);
  reap(helper.child);
  EXPECT_THAT(values_of(lines, "error"), ElementsAre(HasSubstr("did not give up their privileges")));
}

TEST(LockDown, WritesAtOffsetsAreForbiddenUnlessThereAreDatabases) {
  const Started helper = start_helper("limits");
  const auto lines = read_lines(helper);
  reap(helper.child);
  EXPECT_THAT(values_of(lines, "pwrite"), ElementsAre("refused"));
  EXPECT_THAT(values_of(lines, "fork"), ElementsAre("refused"));
}

TEST(LockDown, DatabaseFilesAreWrittenUpToTheirLimit) {
  char path[] = "/tmp/insula-database-XXXXXX";
  const Fd file(::mkostemp(path, O_CLOEXEC));
  ::unlink(path);
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  Fd writing(ends[1]);
  SpawnOptions options = helper_options("databases", writing);
  options.fds.push_back({.source = file.get(), .number = 4});
  auto child = spawn(options);
  ASSERT_TRUE(child) << child.error().message();
  writing.reset();
  const Started helper{.child = *std::move(child), .lines = Fd(ends[0])};
  const auto lines = read_lines(helper);
  reap(helper.child);
  EXPECT_THAT(values_of(lines, "error"), IsEmpty());
  EXPECT_THAT(values_of(lines, "pwrite-within"), ElementsAre("yes"));
  EXPECT_THAT(values_of(lines, "pwrite-past"), ElementsAre("refused"));
  EXPECT_THAT(values_of(lines, "fsync"), ElementsAre("yes"));
}

// The probe must be able to find something: a process that is not locked down can do most of it.
TEST(Probe, ReportsWhatIsPossibleInAnOpenProcess) {
  const std::vector<std::string> possible = probe();
  EXPECT_THAT(possible, SizeIs(::testing::Ge(40U)));
  EXPECT_THAT(possible, Contains(HasSubstr("open a file")));
  EXPECT_THAT(possible, Contains(HasSubstr("fork")));
  EXPECT_THAT(possible, Contains(HasSubstr("socket of TCP")));
  EXPECT_THAT(possible, Contains(HasSubstr("execve")));
}

}  // namespace
}  // namespace insula::sandbox::test
