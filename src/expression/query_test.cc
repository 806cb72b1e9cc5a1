#include "expression/query.h"

#include <gtest/gtest.h>

namespace verge::expression {
namespace {

std::vector<Json> twins() {
  std::vector<Json> documents;
  for (
      const char* text : {
          R"({"deviceId": "a", "tags": {"site": "north", "floor": 1}, "properties": {"reported": {"temp": 20, "on": true}},
               "capabilities": {"iotEdge": true}, "configurations": {"base-1": {"status": "Applied"}}})",
          R"({"deviceId": "b", "tags": {"site": "south", "floor": 2}, "properties": {"reported": {"temp": 30.5}}})",
          R"({"deviceId": "c", "tags": {"site": "north", "floor": 3}, "properties": {"reported": {"temp": "hot"}}})",
          R"({"deviceId": "d", "tags": {}, "properties": {"reported": {}}})"}) {
    documents.push_back(*parse_json(text));
  }
  return documents;
}

TEST(Query, Answers) {
  struct Row {
    std::string query, answer;
  };
  const Row rows[] = {
      {"SELECT deviceId FROM devices", R"([{"deviceId":"a"},{"deviceId":"b"},{"deviceId":"c"},{"deviceId":"d"}])"},
      {"select top 2 deviceId from devices", R"([{"deviceId":"a"},{"deviceId":"b"}])"},
      {"SELECT deviceId AS id, tags.floor FROM devices WHERE tags.site = 'north'",
       R"([{"floor":1,"id":"a"},{"floor":3,"id":"c"}])"},
      {"SELECT tags.site FROM devices WHERE deviceId = 'd'", "[{}]"},
      {"SELECT deviceId FROM devices WHERE properties.reported.temp > 20", R"([{"deviceId":"b"}])"},
      {"SELECT deviceId FROM devices WHERE properties.reported.temp != 20", R"([{"deviceId":"b"}])"},
      {"SELECT deviceId FROM devices WHERE tags.site IN ['south', 'west']", R"([{"deviceId":"b"}])"},
      {"SELECT deviceId FROM devices WHERE tags.site NIN ['south']", R"([{"deviceId":"a"},{"deviceId":"c"}])"},
      {"SELECT deviceId FROM devices WHERE NOT IS_DEFINED(tags.site)", R"([{"deviceId":"d"}])"},
      {"SELECT deviceId FROM devices WHERE capabilities.iotEdge = true", R"([{"deviceId":"a"}])"},
      {"SELECT deviceId FROM devices WHERE configurations.[[base-1]].status = 'Applied'", R"([{"deviceId":"a"}])"},
      {"SELECT deviceId FROM devices WHERE STARTS_WITH(deviceId, 'c')", R"([{"deviceId":"c"}])"},
      {"SELECT COUNT() AS n FROM devices", R"([{"n":4}])"},
      {"SELECT COUNT() FROM devices WHERE tags.site = 'nowhere'", R"([{"count":0}])"},
      {"SELECT count(tags.site) AS n FROM devices", R"([{"n":3}])"},
      {"SELECT AVG(properties.reported.temp) AS mean, MIN(tags.floor) AS low, MAX(tags.floor) AS high, SUM(tags.floor) "
       "FROM devices",
       R"([{"high":3,"low":1,"mean":25.25,"sum":6}])"},
      {"SELECT AVG(tags.none) AS mean FROM devices", "[{}]"},
      {"SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site",
       R"([{"n":1},{"n":2,"site":"north"},{"n":1,"site":"south"}])"},
      {"SELECT TOP 1 tags.site AS site FROM devices WHERE IS_DEFINED(tags.site) GROUP BY tags.site",
       R"([{"site":"north"}])"},
      {"SELECT * FROM devices.modules WHERE deviceId = 'd'",
       R"([{"deviceId":"d","properties":{"reported":{}},"tags":{}}])"},
      {"SELECT * FROM devices.jobs WHERE deviceId = 'x'", "[]"},
  };
  for (const Row& row : rows) {
    const auto query = parse_query(row.query);
    ASSERT_TRUE(query) << row.query << ": " << query.error().message;
    const auto answer = run_query(*query, twins());
    ASSERT_TRUE(answer) << row.query;
    EXPECT_EQ(to_text(Json(*answer)), row.answer) << row.query;
  }
  EXPECT_EQ(run_query(*parse_query("SELECT * FROM devices"), twins()).value(), twins());
}

TEST(Query, ErrorsPointAtTheCharacter) {
  struct Row {
    std::string text;
    std::size_t column;
    std::string said;
  };
  const Row rows[] = {
      {"", 0, "expected SELECT"},
      {"DELETE FROM devices", 0, "expected SELECT"},
      {"SELECT FROM devices", 7, "expected a path"},
      {"SELECT * devices", 9, "expected a comma or FROM"},
      {"SELECT * FROM users", 14, "expected devices"},
      {"SELECT * FROM", 13, "expected a path"},
      {"SELECT TOP 0 * FROM devices", 11, "expected a number from 1"},
      {"SELECT TOP x * FROM devices", 11, "expected a number from 1"},
      {"SELECT * FROM devices WHERE", 27, "expected a value"},
      {"SELECT * FROM devices WHERE a = 1 b", 34, "an operator, GROUP BY or the end"},
      {"SELECT * FROM devices GROUP tags.a", 28, "expected BY"},
      {"SELECT * FROM devices ORDER BY a", 22, "WHERE, GROUP BY or the end"},
      {"SELECT * FROM devices GROUP BY tags.a", 7, "cannot be grouped"},
      {"SELECT deviceId, COUNT() FROM devices", 7, "GROUP BY deviceId"},
      {"SELECT median(a) FROM devices", 7, "COUNT, SUM"},
      {"SELECT SUM() FROM devices", 11, "expected a path"},
      {"SELECT COUNT( FROM devices", 14, "expected a path"},
      {"SELECT a AS FROM devices", 12, "expected a path"},
      {"SELECT deviceId FROM devices.jobs", 7, "only SELECT *"},
  };
  for (const Row& row : rows) {
    const auto query = parse_query(row.text);
    ASSERT_FALSE(query) << row.text;
    EXPECT_EQ(query.error().code, ErrorCode::invalid_argument) << row.text;
    const std::string& message = query.error().message;
    EXPECT_NE(message.find(row.said), std::string::npos) << row.text << "\n" << message;
    EXPECT_TRUE(message.ends_with("\n  " + row.text + "\n  " + std::string(row.column, ' ') + "^")) << message;
  }
}

}  // namespace
}  // namespace verge::expression
