#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <set>
#include <unistd.h>

#include "base/disk.h"
#include "base/json.h"
#include "connectors/event_queue.h"
#include "connectors/event_stamp.h"
#include "connectors/line_sinks.h"
#include "connectors/sensor_json.h"

namespace verge::connectors {
namespace {

OutgoingEvent event_of(std::string label, std::string severity = "info") {
  OutgoingEvent outgoing;
  outgoing.event.label = std::move(label);
  outgoing.event.severity = std::move(severity);
  return outgoing;
}

TEST(EventStamp, CountsFromOneAndIdsAreUnique) {
  const ManualClock clock;
  EventStamp first("d", "m", clock), second("d", "m", clock);
  std::set<std::string> ids;
  for (std::uint64_t i = 1; i <= 100; ++i) {
    contract::Event a, b;
    first.stamp(a);
    second.stamp(b);
    EXPECT_EQ(a.sequence, i);
    EXPECT_EQ(a.device, "d");
    EXPECT_EQ(a.id.size(), 36U);
    EXPECT_EQ(a.id[14], '8');
    ids.insert(a.id);
    ids.insert(b.id);
  }
  EXPECT_EQ(ids.size(), 200U);
}

TEST(EventQueue, DropsOldInformationBeforeAlarms) {
  EventQueue queue(3);
  queue.push(event_of("alarm 1", "alarm"));
  queue.push(event_of("info 1"));
  queue.push(event_of("info 2"));
  queue.push(event_of("info 3"));            // info 1 goes
  queue.push(event_of("alarm 2", "alarm"));  // info 2 goes
  queue.push(event_of("alarm 3", "alarm"));  // info 3 goes
  queue.push(event_of("alarm 4", "alarm"));  // the oldest goes
  EXPECT_EQ(queue.dropped_count(), 4U);
  EXPECT_EQ(queue.pop()->event.label, "alarm 2");
  EXPECT_EQ(queue.pop()->event.label, "alarm 3");
  EXPECT_EQ(queue.pop()->event.label, "alarm 4");
  EXPECT_FALSE(queue.pop());
}

TEST(SensorJson, RoundTrips) {
  SensorRowReader reader;
  auto first = reader.read(R"({"time_us": 5, "values": {"pressure": 2, "flow": null, "heat": 1.5}})");
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->time_us, 5);
  EXPECT_EQ(*first->row->channels, (std::vector<std::string>{"flow", "heat", "pressure"}));
  EXPECT_TRUE(std::isnan(first->row->values[0]));
  EXPECT_EQ(first->row->values[2], 2);
  auto second = reader.read(R"({"values": {"pressure": 3, "flow": 1, "heat": 1}})");
  EXPECT_EQ(second->row->channels, first->row->channels);  // shared
  EXPECT_EQ(row_to_text(*first->row, 5), R"({"time_us":5,"values":{"flow":null,"heat":1.5,"pressure":2.0}})");
  pipeline::SensorRow scored = *second->row;
  scored.score = 2.5F;
  scored.threshold = 2.0F;
  scored.is_alarm = true;
  const auto json = parse_json(row_to_text(scored, 6));
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["score"], 2.5);
  EXPECT_EQ((*json)["alarm"], true);
}

TEST(SensorJson, RefusesWhatIsNoReading) {
  SensorRowReader reader;
  for (const char* text : {"", "[]", "{}", R"({"values": {}})", R"({"values": {"a": "x"}})", R"({"values": 1})",
                           R"({"time_us": "now", "values": {"a": 1}})"}) {
    EXPECT_FALSE(reader.read(text)) << text;
  }
  Json many;
  for (int i = 0; i < 2000; ++i) many["values"]["v" + std::to_string(i)] = i;
  EXPECT_EQ(reader.read(to_text(many)).error().code, ErrorCode::limit);
}

TEST(FileSink, AppendsOneLinePerEvent) {
  const auto path = std::filesystem::temp_directory_path() / ("verge_events_" + std::to_string(getpid()));
  pipeline::Context context;
  context.module = "m";
  for (int round = 0; round < 2; ++round) {
    auto sink = file_kind().make({{"path", path.string()}}, context);
    ASSERT_TRUE(sink);
    ASSERT_TRUE((*sink)->open());
    auto event = std::make_shared<contract::Event>();
    event->type = "zone.entered";
    event->family = "vision";
    event->stream = "gate";
    pipeline::Packet packet;
    packet.payload = std::shared_ptr<const contract::Event>(event);
    ASSERT_TRUE((*sink)->write(packet));
    packet.payload = std::make_shared<const pipeline::SensorRow>();
    ASSERT_TRUE((*sink)->write(packet));  // not an event: nothing
  }
  const auto text = read_file(path);
  ASSERT_TRUE(text);
  EXPECT_EQ(std::count(text->begin(), text->end(), '\n'), 2);
  auto line = parse_json(std::string_view(*text).substr(0, text->find('\n')));
  ASSERT_TRUE(line);
  EXPECT_EQ((*line)["type"], "zone.entered");
  EXPECT_EQ((*line)["sequence"], 1);
  std::filesystem::remove(path);
  auto nowhere = file_kind().make({{"path", "/nonexistent/folder/events"}}, context);
  EXPECT_FALSE((*nowhere)->open());
}

}  // namespace
}  // namespace verge::connectors
