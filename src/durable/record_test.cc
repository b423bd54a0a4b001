// SPDX-License-Identifier: Apache-2.0
#include "src/durable/record.h"

#include <gtest/gtest.h>

#include "src/base/checksum.h"

namespace insula::durable {
namespace {

Record full_record() {
  Record record;
  record.type = RecordType::StepStarted;
  record.at = 1'700'000'000'123;
  record.step = 300;
  record.attempt = 2;
  record.epoch = 1ULL << 40;
  record.number = 5;
  record.count = 6;
  record.due = 7;
  record.kind = StepKind::Wait;
  record.flag = true;
  record.name = "name";
  record.text = std::string(200, 't');
  record.value = Value{{}, 9, 1 << 20, true};
  record.has_value = true;
  record.failure = {"TypeError", "message", std::string("\0\1", 2)};
  record.has_failure = true;
  record.config.retries = kRetriesUnlimited;
  record.config.has_delay_function = true;
  record.config.is_sensitive = true;
  record.config.delay = {1'000, "1 second"};
  record.has_config = true;
  record.has_rollback_config = true;
  return record;
}

TEST(Record, IsReadAsItWasWritten) {
  Bytes bytes;
  encode(full_record(), bytes);
  Record small;
  small.type = RecordType::Waiting;
  encode(small, bytes);
  EXPECT_LT(bytes.size(), 400U);
  BytesView left = bytes;
  const auto first = decode(left);
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, full_record());
  const auto second = decode(left);
  ASSERT_TRUE(second);
  EXPECT_EQ(*second, small);
  EXPECT_TRUE(left.empty());
}

TEST(Record, EachFlippedBitAndEachCutIsNoticed) {
  Bytes bytes;
  encode(full_record(), bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    Bytes damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    BytesView left = damaged;
    EXPECT_FALSE(decode(left)) << bit;
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    BytesView left = BytesView(bytes).substr(0, size);
    EXPECT_FALSE(decode(left)) << size;
  }
}

TEST(Record, ANewerFormatIsRefusedByName) {
  Bytes bytes;
  encode(full_record(), bytes);
  bytes[0] = static_cast<char>(kRecordFormat + 1);
  BytesView left = bytes;
  EXPECT_EQ(decode(left).error().code(), ErrorCode::Unsupported);
}

TEST(Checksum, IsTheKnownCrc32c) { EXPECT_EQ(crc32c("123456789"), 0xe3069283U); }

TEST(Duration, ReadsTextWithUnits) {
  EXPECT_EQ(parse_duration("5 minutes")->ms, 300'000);
  EXPECT_EQ(parse_duration("1 second")->ms, 1'000);
  EXPECT_EQ(parse_duration("1.5 days")->ms, 129'600'000);
  EXPECT_EQ(parse_duration("1 month")->ms, 30 * kDayMs);
  EXPECT_EQ(parse_duration("1 year")->ms, 365 * kDayMs);
  for (const auto* text : {"", "5", "minutes", "-1 second", "5 parsecs", "1e3 seconds", " 1 second", "nan days"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
  EXPECT_FALSE(duration_of(-1));
  EXPECT_FALSE(duration_of(0.0 / 0.0));
}

}  // namespace
}  // namespace insula::durable
