#include "agent/router/route_table.h"

#include <gtest/gtest.h>

namespace verge::agent {
namespace {

contract::RouterConfig config_of(std::vector<contract::RouteSpec> routes) {
  contract::RouterConfig config;
  config.routes = std::move(routes);
  return config;
}

std::vector<std::string> names(const std::vector<RouteTable::Match>& matches) {
  std::vector<std::string> result;
  for (const auto& match : matches) result.push_back(match.target);
  return result;
}

contract::PropertyBag json_bag() {
  contract::PropertyBag bag;
  bag.set("$.ct", "application/json");
  bag.set("$.ce", "utf-8");
  bag.set("level", "7");
  return bag;
}

TEST(RouteTable, SendsToEveryTargetOnce) {
  struct Row {
    const char* behaviour;
    std::vector<const char*> routes;
    const char* output;
    const char* payload;
    std::vector<std::string> expected;
  };
  const Row rows[] = {
      {"upstream", {"FROM /messages/* INTO $upstream"}, "o", "{}", {"up:m"}},
      {"another module",
       {"FROM /messages/modules/m/outputs/o INTO BrokeredEndpoint(\"/modules/n/inputs/i\")"},
       "o",
       "{}",
       {"in:n/i"}},
      {"another output", {"FROM /messages/modules/m/outputs/x INTO $upstream"}, "o", "{}", {}},
      {"another module's output", {"FROM /messages/modules/x/* INTO $upstream"}, "o", "{}", {}},
      {"no output at all", {"FROM /messages/modules/m/outputs/* INTO $upstream"}, "", "{}", {}},
      {"twice to one target", {"FROM /messages/* INTO $upstream", "FROM /* INTO $upstream"}, "o", "{}", {"up:m"}},
      {"condition on the body", {"FROM /messages/* WHERE $body.t > 5 INTO $upstream"}, "o", "{\"t\": 6}", {"up:m"}},
      {"condition on the body, false", {"FROM /messages/* WHERE $body.t > 5 INTO $upstream"}, "o", "{\"t\": 5}", {}},
      {"condition on a broken body", {"FROM /messages/* WHERE $body.t > 5 INTO $upstream"}, "o", "{", {}},
      {"condition on a property", {"FROM /messages/* WHERE level = '7' INTO $upstream"}, "o", "", {"up:m"}},
      {"condition on the sender",
       {"FROM /messages/* WHERE $connectionModuleId = 'm' INTO $upstream"},
       "o",
       "",
       {"up:m"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.behaviour);
    std::vector<contract::RouteSpec> specs;
    for (const char* text : row.routes) specs.push_back({"r", text, 2'000'000'000, 0});
    const auto table = RouteTable::make(config_of(specs));
    ASSERT_TRUE(table) << table.error().message;
    EXPECT_EQ(names(table->targets("d", "m", row.output, json_bag(), row.payload)), row.expected);
  }
}

TEST(RouteTable, TakesTheLifeOfTheBestPriority) {
  auto config = config_of({{"slow", "FROM /* INTO $upstream", 5, 60}, {"fast", "FROM /* INTO $upstream", 0, 0}});
  config.time_to_live_s = 7200;
  const auto table = RouteTable::make(config);
  ASSERT_TRUE(table);
  const auto matches = table->targets("d", "m", "o", {}, "");
  ASSERT_EQ(matches.size(), 1U);
  EXPECT_EQ(matches.front().time_to_live_s, 7200);
}

TEST(RouteTable, OneBadRouteRefusesAll) {
  const auto table =
      RouteTable::make(config_of({{"good", "FROM /* INTO $upstream", 0, 0}, {"bad", "FROM /* INTO nowhere", 0, 0}}));
  ASSERT_FALSE(table);
  EXPECT_EQ(table.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(table.error().message.find("\"bad\""), std::string::npos) << table.error().message;
}

}  // namespace
}  // namespace verge::agent
