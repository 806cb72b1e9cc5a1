#include "telemetry/csv_sink.h"

#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/temporary_folder.h"
#include "training/table.h"

namespace verge::telemetry {
namespace {

using ::testing::HasSubstr;

pipeline::Packet reading_at(std::int64_t captured_us, std::vector<float> values) {
  static const auto names = std::make_shared<const std::vector<std::string>>(std::vector<std::string>{"a", "b"});
  auto row = std::make_shared<pipeline::SensorRow>();
  row->channels = names;
  row->values = std::move(values);
  pipeline::Packet packet;
  packet.captured_us = captured_us;
  packet.payload = std::shared_ptr<const pipeline::SensorRow>(std::move(row));
  return packet;
}

TEST(CsvSink, WritesWhatTrainingReads) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "pump.csv";
  ASSERT_TRUE(write_file(path, "what was there before"));
  auto sink = make_csv_sink(path);
  ASSERT_TRUE(sink);
  ASSERT_TRUE((*sink)->open());
  ASSERT_TRUE((*sink)->write(reading_at(1'700'000'000'000'000, {1, 0.1F})));
  ASSERT_TRUE((*sink)->write(reading_at(1'700'000'000'250'000, {std::nanf(""), 2})));
  EXPECT_EQ(*read_file(path), "what was there before") << "the file appears at the end";
  ASSERT_TRUE((*sink)->close());
  const auto table = training::read_csv(path);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_THAT(table->names, testing::ElementsAre("a", "b"));
  EXPECT_THAT(table->times_us, testing::ElementsAre(1'700'000'000'000'000, 1'700'000'000'250'000));
  EXPECT_TRUE(std::isnan(table->columns[0][1]));
  EXPECT_EQ(table->columns[1][0], 0.1F);
}

TEST(CsvSink, TakesOnlyRowsAndOnlyOfOneWidth) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "pump.csv";
  auto sink = make_csv_sink(path);
  ASSERT_TRUE(sink);
  pipeline::Packet sound;
  sound.payload = std::make_shared<const pipeline::AudioBlock>();
  EXPECT_TRUE((*sink)->write(sound)) << "what it does not know it ignores";
  ASSERT_TRUE((*sink)->write(reading_at(1'700'000'000'000'000, {1, 2})));
  const auto wider = (*sink)->write(reading_at(1'700'000'000'250'000, {1, 2, 3}));
  ASSERT_FALSE(wider);
  EXPECT_EQ(wider.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(wider.error().message, HasSubstr("a row has 3 values, the first had 2"));
  ASSERT_TRUE((*sink)->close());
  EXPECT_EQ(training::read_csv(path)->row_count(), 1U);
}

TEST(CsvSink, SaysWhatItCannotWrite) {
  EXPECT_EQ(make_csv_sink("").error().code, ErrorCode::invalid_argument);
  auto sink = make_csv_sink("/proc/nowhere/pump.csv");
  ASSERT_TRUE(sink);
  ASSERT_TRUE((*sink)->write(reading_at(1'700'000'000'000'000, {1, 2})));
  const auto closed = (*sink)->close();
  ASSERT_FALSE(closed);
  EXPECT_THAT(closed.error().message, HasSubstr("/proc/nowhere"));
}

}  // namespace
}  // namespace verge::telemetry
