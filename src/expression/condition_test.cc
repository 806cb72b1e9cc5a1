#include "expression/condition.h"

#include <gtest/gtest.h>

namespace verge::expression {
namespace {

/// A message: names and system names are texts as in a property bag, the body is JSON.
class Message final : public Scope {
 public:
  Value name(const std::vector<std::string>& path) const override { return at(names_, path); }
  Value system(std::string_view name) const override { return at(system_, {std::string(name)}); }
  Value body(const std::vector<std::string>& path) const override { return at(body_, path); }

 private:
  static Value at(const Json& root, const std::vector<std::string>& path) {
    const Json* value = &root;
    for (const std::string& part : path) {
      if (value->is_array() && part.find_first_not_of("0123456789") == std::string::npos) {
        if (std::stoul(part) >= value->size()) return Undefined{};
        value = &(*value)[std::stoul(part)];
      } else if (value->is_object() && value->contains(part)) {
        value = &(*value)[part];
      } else {
        return Undefined{};
      }
    }
    return *value;
  }

  Json names_ = *parse_json(R"({"level": "alarm", "temperature": "21.5", "n": 7, "half": 0.5, "yes": true, "no": false,
      "nothing": null, "in put": "x", "a-b": "hyphen", "text": "Grüße", "empty": "", "from": "here",
      "tags": {"site": "north", "floors": [1, 2, 3], "a b": 1}, "$twin": {"tags": {"site": "south"}},
      "big": 9007199254740993})");
  Json system_ = *parse_json(R"({"contentType": "application/json", "outputName": "out1", "my-property": "own"})");
  Json body_ = *parse_json(R"({"machine": {"temperature": 88.5, "history": [{"month": "may"}]}, "flag": true,
      "properties": {"reported": {"state": {"on": true}}}})");
};

std::string shown(const Value& value) {
  const Json* json = std::get_if<Json>(&value);
  return json == nullptr ? "undefined" : to_text(*json);
}

TEST(Condition, Values) {
  struct Row {
    std::string text, value;
  };
  const Row rows[] = {
      // literals
      {"true", "true"},
      {"FALSE", "false"},
      {"Null", "null"},
      {"undefined", "undefined"},
      {"42", "42"},
      {"0x2A", "42"},
      {"4.2e1", "42.0"},
      {".5", "0.5"},
      {"'it''s'", "\"it's\""},
      {R"("a \"b\" \\ \n")", R"("a \"b\" \\ \n")"},
      {"''", "\"\""},
      // names
      {"level", "\"alarm\""},
      {"tags.site", "\"north\""},
      {"tags.floors[2]", "3"},
      {"tags.floors.0", "1"},
      {"tags['a b']", "1"},
      {"tags.[[a b]]", "1"},
      {"[[a-b]]", "\"hyphen\""},
      {"[[in put]]", "\"x\""},
      {"from", "\"here\""},
      {"missing", "undefined"},
      {"tags.missing.more", "undefined"},
      {"$contentType", "\"application/json\""},
      {"{$outputName}", "\"out1\""},
      {"{$my-property}", "\"own\""},
      {"$missing", "undefined"},
      {"$body.machine.temperature", "88.5"},
      {"$body.machine.history[0].month", "\"may\""},
      {"$body.machine.history[1].month", "undefined"},
      {"$body.machine", "undefined"},
      {"$twin.tags.site", "\"south\""},
      // arithmetic
      {"1 + 2 * 3", "7"},
      {"(1 + 2) * 3", "9"},
      {"7 % 4 - 1", "2"},
      {"10 - 2 - 3", "5"},
      {"-n", "-7"},
      {"- -n", "7"},
      {"1 / 4", "0.25"},
      {"1 / 0", "undefined"},
      {"1 % 0", "undefined"},
      {"1 + 'a'", "undefined"},
      {"n + missing", "undefined"},
      {"'a' || 'b' || level", "\"abalarm\""},
      {"'a' || 1", "undefined"},
      // comparison
      {"n = 7", "true"},
      {"n = 7.0", "true"},
      {"n != 7", "false"},
      {"n <> 8", "true"},
      {"big = 9007199254740993", "true"},
      {"big = 9007199254740992", "false"},
      {"level >= 'alarm'", "true"},
      {"level < 'b'", "true"},
      {"yes = true", "true"},
      {"yes != false", "true"},
      {"yes > false", "undefined"},
      {"nothing = null", "true"},
      {"nothing >= null", "undefined"},
      {"n = null", "undefined"},
      {"temperature > 20", "undefined"},
      {"temperature = '21.5'", "true"},
      {"missing = missing", "undefined"},
      {"missing != 1", "undefined"},
      {"tags = tags", "undefined"},
      {"1 < 2 = true", "true"},
      // logic
      {"NOT yes", "false"},
      {"not missing", "undefined"},
      {"NOT n = 8", "true"},
      {"yes = NOT no", "true"},
      {"NOT NOT yes", "true"},
      {"yes AND missing", "undefined"},
      {"no AND missing", "false"},
      {"missing AND no", "false"},
      {"yes OR missing", "true"},
      {"missing OR yes", "true"},
      {"no OR missing", "undefined"},
      {"yes AND 'text'", "undefined"},
      {"no AND no OR yes", "true"},
      {"no AND (no OR yes)", "false"},
      {"missing ?? 3", "3"},
      {"nothing ?? 3", "null"},
      {"missing ?? missing ?? 4", "4"},
      // lists
      {"n IN [1, 7]", "true"},
      {"n IN (1, 7)", "true"},
      {"n in[1,2]", "false"},
      {"level IN['alarm']", "true"},
      {"n NIN [1, 2]", "true"},
      {"n NOT IN [1, 7]", "false"},
      {"missing IN [1]", "undefined"},
      {"missing NIN [1]", "undefined"},
      {"2 IN tags.floors", "true"},
      {"2 IN n", "undefined"},
      {"n IN [missing, 7]", "true"},
      {"n IN ['7']", "false"},
      // functions
      {"ABS(-3)", "3"},
      {"CEILING(0.2)", "1"},
      {"floor(0.8)", "0"},
      {"EXP(0)", "1"},
      {"EXP(1000)", "undefined"},
      {"POWER(2, 10)", "1024"},
      {"SIGN(-2)", "-1"},
      {"SQRT(9)", "3"},
      {"SQRT(-1)", "undefined"},
      {"SQUARE(3)", "9"},
      {"ABS('x')", "undefined"},
      {"AS_NUMBER(temperature) > 20", "true"},
      {"as_number('7x')", "undefined"},
      {"as_number(n)", "7"},
      {"IS_BOOL(yes)", "true"},
      {"is_bool(missing)", "false"},
      {"IS_DEFINED(nothing)", "true"},
      {"IS_DEFINED(missing)", "false"},
      {"IS_DEFINED($body.machine)", "false"},
      {"IS_NULL(nothing)", "true"},
      {"IS_NULL(missing)", "false"},
      {"IS_NUMBER(n)", "true"},
      {"IS_STRING(level)", "true"},
      {"IS_ARRAY(tags.floors)", "true"},
      {"IS_OBJECT(tags)", "true"},
      {"IS_PRIMITIVE(tags)", "false"},
      {"CONCAT('a', 'b', 'c')", "\"abc\""},
      {"CONCAT('a', 1)", "undefined"},
      {"LENGTH(text)", "5"},
      {"LENGTH(empty)", "0"},
      {"LOWER('AbC')", "\"abc\""},
      {"UPPER('AbC')", "\"ABC\""},
      {"SUBSTRING(text, 2, 2)", "\"üß\""},
      {"SUBSTRING('abc', 1)", "\"bc\""},
      {"SUBSTRING('abc', 9)", "\"\""},
      {"SUBSTRING('abc', -1)", "undefined"},
      {"SUBSTRING('abc', 0.5)", "undefined"},
      {"INDEX_OF(text, 'ß')", "3"},
      {"INDEX_OF('abc', 'x')", "-1"},
      {"STARTS_WITH(level, 'al')", "true"},
      {"ENDS_WITH(level, 'al')", "false"},
      {"CONTAINS(level, 'ar')", "true"},
      {"CONTAINS(level, 1)", "undefined"},
      {"twin_change_includes(properties.reported.state)", "true"},
      {"twin_change_includes(properties.reported.other)", "false"},
  };
  const Message message;
  for (const Row& row : rows) {
    const auto condition = Condition::parse(row.text);
    ASSERT_TRUE(condition) << row.text << ": " << condition.error().message;
    EXPECT_EQ(shown(condition->evaluate(message)), row.value) << row.text;
    EXPECT_EQ(condition->is_true(message), row.value == "true") << row.text;
    EXPECT_EQ(condition->text(), row.text);
  }
}

TEST(Condition, ErrorsPointAtTheCharacter) {
  struct Row {
    std::string text;
    std::size_t column;  // Of the caret, from 0.
    std::string said;
  };
  const Row rows[] = {
      {"", 0, "a value"},
      {"   ", 3, "a value"},
      {"a = = 3", 4, "a value"},
      {"a = ", 4, "a value"},
      {"a b", 2, "an operator or the end"},
      {"(a = 1", 6, "an operator or )"},
      {"a = 1)", 5, "an operator or the end"},
      {"a = 'open", 4, "no closing quote"},
      {"a = '\\q'", 5, "escape"},
      {"a == 1", 3, "a value"},
      {"a ! b", 2, "no meaning"},
      {"a & b", 2, "no meaning"},
      {"1a", 1, "a number ends here"},
      {"a. = 1", 2, "a name must follow"},
      {"a[x]", 1, "brackets"},
      {"a[1", 1, "not closed"},
      {"[[x", 0, "]]"},
      {"$ = 1", 0, "follow the $"},
      {"{$x = 1", 0, "{$"},
      {"nosuch(1)", 0, "no function \"nosuch\""},
      {"a.abs(1)", 0, "no function"},
      {"abs()", 0, "abs takes 1 argument(s), here are 0"},
      {"substring('a')", 0, "2 to 3"},
      {"abs(1, 2)", 0, "here are 2"},
      {"abs(1", 5, "a comma or )"},
      {"a IN 1", 5, "a list"},
      {"a IN [1", 7, "a comma or ]"},
      {"a IN []", 6, "a value"},
      {"AND a", 0, "a value"},
      {"a AND", 5, "a value"},
      {"0x", 0, "hexadecimal"},
      {"0x11112222333344445", 0, "hexadecimal"},
      {"1e999", 0, "number"},
      {"twin_change_includes('a')", 0, "a path"},
      {"'Grüße' = = 1", 10, "a value"},
  };
  for (const Row& row : rows) {
    const auto condition = Condition::parse(row.text);
    ASSERT_FALSE(condition) << row.text;
    EXPECT_EQ(condition.error().code, ErrorCode::invalid_argument) << row.text;
    const std::string& message = condition.error().message;
    EXPECT_NE(message.find(row.said), std::string::npos) << row.text << "\n" << message;
    EXPECT_TRUE(message.ends_with("\n  " + row.text + "\n  " + std::string(row.column, ' ') + "^")) << message;
  }
}

TEST(Condition, LongTextsAreShownAroundThePlace) {
  const auto condition = Condition::parse(std::string(500, ' ') + "a = = 1" + std::string(500, ' '));
  ASSERT_FALSE(condition);
  EXPECT_LT(condition.error().message.size(), 400U);
  const auto lines = Condition::parse("a = 1 AND\nb = = 2");
  ASSERT_FALSE(lines);
  EXPECT_TRUE(lines.error().message.ends_with("\n  b = = 2\n      ^")) << lines.error().message;
}

TEST(Condition, IsBounded) {
  const auto repeated = [](const std::string& piece, int count, const std::string& end) {
    std::string text;
    for (int i = 0; i < count; ++i) text += piece;
    return text + end;
  };
  struct Row {
    std::string behaviour, text;
    bool is_good;
  };
  const Row rows[] = {
      {"50 brackets", repeated("(", 50, "1") + repeated(")", 50, ""), true},
      {"100 brackets", repeated("(", 100, "1") + repeated(")", 100, ""), false},
      {"100 minus signs", repeated("- ", 100, "1"), false},
      {"100 negations", repeated("NOT ", 100, "true"), false},
      {"400 terms", repeated("1 + ", 400, "1"), true},
      {"2000 terms", repeated("1 + ", 2000, "1"), false},
      {"a long list", "a IN [" + repeated("1, ", 2000, "1]"), false},
      {"17 KiB", "'" + std::string(17000, 'x') + "'", false},
  };
  for (const Row& row : rows) EXPECT_EQ(static_cast<bool>(Condition::parse(row.text)), row.is_good) << row.behaviour;

  // A short text must not make a large result.
  class Large final : public Scope {
   public:
    Value name(const std::vector<std::string>&) const override { return Json(std::string(400'000, 'x')); }
  };
  EXPECT_EQ(shown(Condition::parse("LENGTH(a || a)")->evaluate(Large())), "800000");
  EXPECT_EQ(shown(Condition::parse("a || a || a")->evaluate(Large())), "undefined");
  EXPECT_EQ(shown(Condition::parse("CONCAT(a, a, a)")->evaluate(Large())), "undefined");
}

TEST(Condition, NamesAreCollected) {
  const auto condition =
      Condition::parse("tags.site = $contentType AND ($body.a.b[0] > n OR n IN [m, tags.site]) AND abs(k.[[a.b]]) > 0");
  ASSERT_TRUE(condition);
  const std::vector<std::vector<std::string>> expected{
      {"$body", "a", "b", "0"}, {"$contentType"}, {"k", "a.b"}, {"m"}, {"n"}, {"tags", "site"}};
  EXPECT_EQ(condition->paths(), expected);
}

}  // namespace
}  // namespace verge::expression
