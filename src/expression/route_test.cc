#include "expression/route.h"

#include <gtest/gtest.h>

namespace verge::expression {
namespace {

class Properties final : public Scope {
 public:
  explicit Properties(std::string level) : level_(std::move(level)) {}
  Value name(const std::vector<std::string>& path) const override {
    return path == std::vector<std::string>{"level"} ? Value(Json(level_)) : Value(Undefined{});
  }

 private:
  std::string level_;
};

TEST(Route, GoodOnes) {
  struct Row {
    std::string text, source, target, condition;
  };
  const Row rows[] = {
      {"FROM /* INTO $upstream", "", "upstream", ""},
      {"FROM /messages/* INTO $upstream", "/messages", "upstream", ""},
      {"from /messages/modules/* into $UPSTREAM", "/messages/modules", "upstream", ""},
      {"SELECT * FROM /messages INTO $upstream", "/messages", "upstream", ""},
      {"FROM /messages/modules/Camera-1/outputs/* INTO $upstream", "/messages/modules/camera-1/outputs", "upstream",
       ""},
      {"FROM /messages/modules/a/outputs/o INTO BrokeredEndpoint(\"/modules/B/inputs/In1\")",
       "/messages/modules/a/outputs/o", "B In1", ""},
      {"FROM /messages/* WHERE level = 'alarm' INTO BrokeredEndpoint('/modules/b/inputs/i')", "/messages", "b i",
       "level = 'alarm'"},
      {"FROM /messages/*\n  WHERE NOT IS_DEFINED($connectionModuleId)\n  INTO $upstream", "/messages", "upstream",
       "NOT IS_DEFINED($connectionModuleId)"},
      {"FROM /messages/* WHERE x = ' INTO ' INTO $upstream", "/messages", "upstream", "x = ' INTO '"},
      {"FROM /twinChangeNotifications INTO $upstream", "/twinchangenotifications", "upstream", ""},
  };
  for (const Row& row : rows) {
    const auto route = parse_route(row.text);
    ASSERT_TRUE(route) << row.text << ": " << route.error().message;
    EXPECT_EQ(route->source, row.source) << row.text;
    EXPECT_EQ(route->target.is_upstream ? "upstream" : route->target.module + " " + route->target.input, row.target);
    EXPECT_EQ(route->condition ? route->condition->text() : "", row.condition) << row.text;
  }
}

TEST(Route, BadOnesPointAtTheCharacter) {
  struct Row {
    std::string text;
    std::size_t column;
    std::string said;
  };
  const Row rows[] = {
      {"", 0, "expected FROM"},
      {"INTO $upstream", 0, "expected FROM"},
      {"SELECT a FROM /* INTO $upstream", 7, "expected *"},
      {"FROM messages INTO $upstream", 5, "expected a source"},
      {"FROM / INTO $upstream", 5, "expected a source"},
      {"FROM /messages/ INTO $upstream", 5, "between its slashes"},
      {"FROM /messages//a INTO $upstream", 5, "between its slashes"},
      {"FROM /messages/*", 16, "expected WHERE or INTO"},
      {"FROM /messages/* INTO", 21, "expected $upstream"},
      {"FROM /messages/* INTO upstream", 22, "expected $upstream"},
      {"FROM /messages/* INTO $cloud", 22, "expected $upstream"},
      {"FROM /messages/* WHERE INTO $upstream", 23, "expected a value"},
      {"FROM /messages/* WHERE a = INTO $upstream", 27, "expected a value"},
      {"FROM /messages/* WHERE a = 1", 28, "an operator or INTO"},
      {"FROM /messages/* INTO $upstream now", 32, "expected the end"},
      {"FROM /messages/* INTO BrokeredEndpoint", 38, "BrokeredEndpoint("},
      {"FROM /messages/* INTO BrokeredEndpoint(x)", 39, "BrokeredEndpoint("},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules/a/inputs\")", 39, "BrokeredEndpoint("},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules/a/outputs/b\")", 39, "BrokeredEndpoint("},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules/a/inputs/b/c\")", 39, "BrokeredEndpoint("},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules/a/inputs/b\"", 60, "expected )"},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules/a", 39, "closing quote"},
  };
  for (const Row& row : rows) {
    const auto route = parse_route(row.text);
    ASSERT_FALSE(route) << row.text;
    EXPECT_EQ(route.error().code, ErrorCode::invalid_argument) << row.text;
    const std::string& message = route.error().message;
    EXPECT_NE(message.find(row.said), std::string::npos) << row.text << "\n" << message;
    EXPECT_TRUE(message.ends_with("\n  " + row.text + "\n  " + std::string(row.column, ' ') + "^")) << message;
  }
}

TEST(Route, Matches) {
  struct Row {
    std::string from, path, level;
    bool is_match;
  };
  const Row rows[] = {
      {"/*", "/messages", "", true},
      {"/*", "/messages/modules/m/outputs/o", "", true},
      {"/messages/*", "/messages/modules/m", "", true},
      {"/messages/*", "/twinChangeNotifications", "", false},
      {"/messages/modules/*", "/messages", "", false},
      {"/messages/modules/M/*", "/messages/modules/m/outputs/o", "", true},
      {"/messages/modules/m/*", "/messages/modules/m", "", true},
      {"/messages/modules/m/*", "/messages/modules/mm/outputs/o", "", false},
      {"/messages/modules/m/outputs/*", "/messages/modules/m", "", false},
      {"/messages/modules/m/outputs/O", "/messages/modules/M/outputs/o", "", true},
      {"/messages/modules/m/outputs/o", "/messages/modules/m/outputs/o2", "", false},
      {"/messages/modules/*/outputs/o", "/messages/modules/any/outputs/o", "", true},
      {"/messages/modules/*/outputs/o", "/messages/modules/any/outputs/p", "", false},
      {"/messages/* WHERE level = 'alarm'", "/messages/modules/m", "alarm", true},
      {"/messages/* WHERE level = 'alarm'", "/messages/modules/m", "info", false},
      {"/messages/* WHERE other = 'alarm'", "/messages/modules/m", "alarm", false},
  };
  for (const Row& row : rows) {
    const auto route = parse_route("FROM " + row.from + " INTO $upstream");
    ASSERT_TRUE(route) << row.from;
    EXPECT_EQ(route->matches(row.path, Properties(row.level)), row.is_match) << row.from << " and " << row.path;
  }
}

}  // namespace
}  // namespace verge::expression
