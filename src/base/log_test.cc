// SPDX-License-Identifier: Apache-2.0
//
// Log: what a machine and a person read, and that no value can forge a record.
#include "src/base/log.h"

#include <unistd.h>

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "src/base/clock.h"
#include "src/base/fd.h"

namespace insula {
namespace {

class LogTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends{};
    ASSERT_EQ(::pipe(ends.data()), 0);
    reader_ = Fd(ends[0]);
    writer_ = Fd(ends[1]);
  }

  Log log(LogFormat format, LogLevel least = LogLevel::Info) { return Log(writer_.get(), format, least, clock_); }

  // What has been written; without the time in front of a human line.
  std::string written() {
    std::array<char, 4096> text{};
    writer_.reset();
    const ssize_t size = ::read(reader_.get(), text.data(), text.size());
    return std::string(text.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  }
  std::string written_without_time() {
    const std::string line = written();
    return line.size() > kTimeBytes ? line.substr(kTimeBytes) : line;
  }

 private:
  static constexpr std::size_t kTimeBytes = 13;  // "14:02:11.318 "
  ManualClock clock_;
  Fd reader_;
  Fd writer_;
};

TEST_F(LogTest, WritesOneJsonObjectALine) {
  log(LogFormat::Json).warn("runner.exited", {{"runner", 7}, {"cause", ""}, {"text", "a\n\"b\"\x1b"}});
  const std::string line = written();
  EXPECT_NE(line.find(R"("level":"warn","event":"runner.exited","runner":7,"cause":"","text":"a\n\"b\"\u001b"})"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST_F(LogTest, WritesKeysAndValuesForPeople) {
  log(LogFormat::Human).info("runner.started", {{"runner", 7}, {"role", "tenants-0"}, {"note", "two words"}});
  EXPECT_EQ(written_without_time(), "\x1b[32minfo \x1b[0m runner.started runner=7 role=tenants-0 note=\"two words\"\n");
}

TEST_F(LogTest, LeavesOutWhatIsEmptyForPeople) {
  log(LogFormat::Human).info("server.starting", {{"workers", 1}, {"detail", ""}, {"text", ""}});
  EXPECT_EQ(written_without_time(), "\x1b[32minfo \x1b[0m server.starting workers=1\n");
}

TEST_F(LogTest, EndsWithTheTextForPeopleAndIndentsItsLines) {
  log(LogFormat::Human).error("[acme]", {{"text", "Error: \"x\"\n    at index.js:1\n"}, {"request_id", "1"}});
  EXPECT_EQ(written_without_time(),
            "\x1b[31merror\x1b[0m [acme] request_id=1 Error: \"x\"\n"
            "                 at index.js:1\n");
}

TEST_F(LogTest, EscapesWhatATerminalWouldObey) {
  log(LogFormat::Human).info("[acme \x1b[2J]", {{"text", "\x1b[31mred\r14:02:11.318 \xc2\x9b forged"}});
  EXPECT_EQ(written_without_time(),
            "\x1b[32minfo \x1b[0m [acme \\u001b[2J] \\u001b[31mred\\u000d14:02:11.318 \\u009b forged\n");
}

TEST_F(LogTest, IsSilentBelowItsLevel) {
  log(LogFormat::Json, LogLevel::Warn).info("server.starting");
  EXPECT_EQ(written(), "");
}

}  // namespace
}  // namespace insula
