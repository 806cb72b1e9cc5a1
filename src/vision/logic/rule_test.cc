#include "vision/logic/rule.h"

#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/disk.h"
#include "base/json.h"
#include "pipeline/pipeline_file.h"
#include "vision/add_stages.h"
#include "vision/test_frames.h"
#include "vision/test_stages.h"

namespace verge::vision {
namespace {

using pipeline::Object;
using pipeline::Scene;
using ::testing::HasSubstr;
using testing::standing_at;

constexpr std::int64_t kRuleStep = 100'000;  // Ten pictures a second.

Scene scene_of(std::vector<Object> objects, const std::vector<std::string>& zones = {"press"}) {
  Scene scene;
  auto frame = std::make_shared<pipeline::Frame>();
  frame->width = 200, frame->height = 100;
  scene.frame = std::move(frame);
  scene.objects = std::move(objects);
  for (const std::string& zone : zones) scene.shapes.push_back({zone, true, {}, {}});
  return scene;
}

Object standing_in(const std::string& zone, const std::string& track = "1") {
  Object object = standing_at(0.5, 0.5, track);
  object.zones = {zone};
  return object;
}

RuleLogic logic_of(const std::string& when, RuleOptions options = {}) {
  auto condition = expression::Condition::parse(when);
  EXPECT_TRUE(condition) << condition.error().message;
  const Status checked = check_names(*condition, options.is_about_objects);
  EXPECT_TRUE(checked) << checked.error().message;
  return RuleLogic(*condition, options);
}

/// What the condition says at the end of a way: a picture each tenth of a second.
std::string answer_after(const std::vector<Scene>& scenes, const std::string& asked, bool is_about_object = true) {
  RuleFacts facts;
  for (std::size_t i = 0; i < scenes.size(); ++i) {
    const auto time = static_cast<std::int64_t>(i) * kRuleStep;
    facts.update(scenes[i], {time, time});
  }
  const auto condition = expression::Condition::parse(asked);
  EXPECT_TRUE(condition) << condition.error().message;
  const Object* object = is_about_object ? &scenes.back().objects.front() : nullptr;
  const expression::Value value = condition->evaluate(RuleScope(facts, object));
  const Json* json = std::get_if<Json>(&value);
  return json == nullptr           ? "undefined"
         : json->is_number_float() ? fmt::format("{:.3g}", json->get<double>())
                                   : to_text(*json);
}

TEST(RuleFacts, AnswersAboutAnObject) {
  std::vector<Scene> walk;
  for (int i = 0; i <= 10; ++i) {
    Object walker = standing_at(0.2 + 0.01 * i, 0.5, "7");
    if (i >= 4) walker.zones = {"press"};
    if (i >= 2) walker.attributes = {{"helmet", 0.9F}};
    Object dog = standing_at(0.9, 0.5, "8");
    dog.label = "dog";
    walk.push_back(scene_of({walker, dog}));
  }
  walk.back().attributes = {{"gate open", 0.75F}};
  walk.back().shapes = {{"shelf", true, {}, {}, {{"empty", 0.75F}}}, {"press", true, {}, {}}};
  const std::pair<const char*, const char*> rows[] = {
      {"label", "\"person\""},
      {"track", "\"7\""},
      {"x", "0.3"},
      {"y", "0.5"},
      {"width", "0.1"},
      {"height", "0.2"},
      {"age_s", "1"},
      {"still_s", "0.1"},  // Every third picture it is a quarter of its height (0.05) from where it was.
      {"speed", "0.2"},    // 0.1 of the width in a second, and the picture is twice as wide as high.
      {"heading", "90"},
      {"zone.press", "true"},
      {"zone.door", "false"},
      {"dwell.press", "0.6"},
      {"dwell.door", "0"},
      {"has.helmet", "0.9"},
      {"has.vest", "0"},
      {"has.[[gate open]]", "0"},
      {"near.dog", "1"},
      {"near.person", "undefined"},
      {"objects", "2"},
      {"count.dog", "1"},
      {"inside.press", "1"},
      {"inside.press.person", "1"},
      {"inside.press.dog", "0"},
      {"picture.[[gate open]]", "0.75"},
      {"picture.shut", "0"},
      {"looks.shelf.empty", "0.75"},
      {"looks.shelf.full", "0"},
      {"looks.press.full", "undefined"},
      {"looks.door.full", "undefined"},
      {"since.other", "undefined"},
      {"speed.more", "undefined"},
  };
  for (const auto& [asked, expected] : rows) EXPECT_EQ(answer_after(walk, asked), expected) << asked;
  walk.back().attributes.clear();
  EXPECT_EQ(answer_after(walk, "picture.shut", false), "undefined") << "nothing was said";
  EXPECT_EQ(answer_after(walk, "label", false), "undefined");
  EXPECT_EQ(answer_after(walk, "count.person", false), "1");
}

TEST(RuleFacts, WhoStandsStillHasNoHeading) {
  std::vector<Scene> stand(31, scene_of({standing_at(0.5, 0.5, "1")}));
  EXPECT_EQ(answer_after(stand, "still_s"), "3");
  EXPECT_EQ(answer_after(stand, "speed"), "0");
  EXPECT_EQ(answer_after(stand, "heading"), "undefined");
  EXPECT_EQ(answer_after(stand, "has.helmet"), "undefined");
}

TEST(RuleFacts, TheTimeIsLocal) {
  setenv("TZ", "CET-1", 1);
  tzset();
  RuleFacts facts;
  const Scene scene = scene_of({});
  facts.update(scene, {1'700'000'000'000'000, 0});  // Tuesday 2023-11-14 22:13:20 UTC.
  const auto hour = expression::Condition::parse("hour > 23.22 AND hour < 23.23 AND weekday = 'tue'");
  EXPECT_TRUE(hour->is_true(RuleScope(facts, nullptr)));
  unsetenv("TZ");
  tzset();
}

TEST(RuleFacts, UnknownNamesAreRefused) {
  const auto message = [](const std::string& when, bool is_about_objects) {
    const Status checked = check_names(*expression::Condition::parse(when), is_about_objects);
    return checked ? std::string("fine") : checked.error().message;
  };
  EXPECT_EQ(message("label = 'x' AND zone.a AND since.b > 1 AND hour < 6", true), "fine");
  EXPECT_THAT(message("lable = 'x'", true), HasSubstr("did you mean \"label\"?"));
  EXPECT_THAT(message("label = 'x'", false), HasSubstr("asks for \"label\", which no scene has"));
  EXPECT_THAT(message("zone", true), HasSubstr("zone.NAME"));
  EXPECT_EQ(message("looks.a.empty > 0", false), "fine");
  EXPECT_THAT(message("looks.a > 0", false), HasSubstr("looks.NAME.LABEL"));
  EXPECT_THAT(message("$body.a = 1", true), HasSubstr("$body.a"));
  const auto condition = expression::Condition::parse(
      "zone.a OR dwell.b > 1 OR inside.c.person > 1 OR inside.d > 2 OR looks.e.empty > 0 OR since.a < 3");
  EXPECT_EQ(asked_in(*condition), (pipeline::Provided{{"peopled", "a"},
                                                      {"peopled", "b"},
                                                      {"peopled", "c"},
                                                      {"peopled", "d"},
                                                      {"zone", "a"},
                                                      {"zone", "b"},
                                                      {"zone", "c"},
                                                      {"zone", "d"},
                                                      {"zone", "e"},
                                                      {"rule", "a"}}));
}

/// 'x': the object is there, '.': it is not in the zone, ' ': it is out of sight. The pictures at which the rule began
/// ('B') and ended ('E').
std::string told(RuleLogic& logic, const std::string& film) {
  std::string result;
  for (std::size_t i = 0; i < film.size(); ++i) {
    const auto time = static_cast<std::int64_t>(i) * kRuleStep;
    const Scene scene = film[i] == ' ' ? scene_of({}) : scene_of({standing_in(film[i] == 'x' ? "press" : "else")});
    const auto changes = logic.update(scene, {time, time});
    EXPECT_TRUE(changes) << changes.error().message;
    result += changes->empty() ? ' ' : changes->front().is_end ? 'E' : 'B';
  }
  return result;
}

TEST(Rule, BeginsAfterItsTimeAndEndsAfterTheGap) {
  RuleLogic logic = logic_of("zone.press", {.for_s = 0.3, .gap_s = 0.2, .cool_down_s = 0.5});
  EXPECT_EQ(told(logic, "..xxxxxxx.xxx........"), "     B         E     ");
  RuleLogic wobble = logic_of("zone.press", {.for_s = 0.3, .gap_s = 0.2});
  EXPECT_EQ(told(wobble, "..xx.x.x......"), "     B    E   ");
  RuleLogic too_short = logic_of("zone.press", {.for_s = 0.5, .gap_s = 0.1});
  EXPECT_EQ(told(too_short, "..xx..xx..xx.."), std::string(14, ' '));
}

TEST(Rule, KeepsQuietAfterItsEnd) {
  RuleLogic logic = logic_of("zone.press", {.gap_s = 0, .cool_down_s = 1});
  EXPECT_EQ(told(logic, "x..x..x..x..xxx."), "BE          B  E");
}

TEST(Rule, HiddenForAMomentIsNotOver) {
  RuleLogic logic = logic_of("zone.press", {.gap_s = 0.1});
  EXPECT_EQ(told(logic, "xx          xx..."), "B              E ");
  RuleLogic gone = logic_of("zone.press", {.gap_s = 0.1});
  const std::string told_of_gone = told(gone, "xx" + std::string(40, ' '));
  EXPECT_EQ(told_of_gone.find('E'), 32U);  // Forgotten three seconds after it was last seen.
}

TEST(Rule, EachObjectIsAskedForItself) {
  RuleLogic logic = logic_of("zone.press AND label = 'person'");
  Object dog = standing_in("press", "9");
  dog.label = "dog";
  auto changes = logic.update(scene_of({standing_in("press", "1"), dog, standing_in("else", "2")}), {0, 0});
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_EQ(changes->front().object.track, "1");
  changes = logic.update(scene_of({standing_in("press", "1"), standing_in("press", "2")}), {kRuleStep, kRuleStep});
  ASSERT_EQ(changes->size(), 1U);
  EXPECT_EQ(changes->front().object.track, "2");
}

TEST(Rule, AboutTheScene) {
  RuleLogic logic = logic_of("inside.press.person >= 2", {.is_about_objects = false, .for_s = 0.2, .gap_s = 0});
  const Scene one = scene_of({standing_in("press", "")});
  const Scene two = scene_of({standing_in("press", ""), standing_in("press", "")});
  std::string told;
  for (int i = 0; i < 10; ++i) {
    const auto changes = logic.update(i >= 2 && i < 7 ? two : one, {i * kRuleStep + 5, i * kRuleStep});
    for (const auto& change : *changes) {
      told += fmt::format("{}{} since {} for {} ", change.is_end ? "E" : "B", i, change.began.captured_us,
                          change.duration_us);
    }
  }
  EXPECT_EQ(told, "B4 since 200005 for 200000 E7 since 200005 for 400000 ");
}

TEST(Rule, OneAfterAnother) {
  // Through the door and then, within a second, into the press.
  RuleLogic logic = logic_of("zone.press AND since.door < 1");
  const auto at = [&](std::int64_t time_us, const std::string& zone, bool comes_through_door) {
    Scene scene = scene_of({standing_in(zone)}, {"press", "door"});
    if (comes_through_door) scene.fired.push_back({"door", "1"});
    const auto changes = logic.update(scene, {time_us, time_us});
    return changes && !changes->empty() && !changes->front().is_end;
  };
  EXPECT_FALSE(at(0, "press", false));
  EXPECT_FALSE(at(kRuleStep, "door", true));
  EXPECT_TRUE(at(9 * kRuleStep, "press", false));
  EXPECT_FALSE(at(20 * kRuleStep, "door", false));
  EXPECT_FALSE(at(200 * kRuleStep, "press", false));  // Too late.
}

/// Whether a rule has told after ten seconds of a film, ten pictures a second from midnight UTC of a Friday on.
struct NeedRow {
  const char* need;
  const char* when;
  RuleOptions options;
  std::function<Scene(double second)> film;
  bool is_told;
};

Object walker(double x, const std::vector<std::string>& zones = {}, const std::string& track = "1") {
  Object object = standing_at(x, 0.5, track);
  object.zones = zones;
  return object;
}

Scene crowd_of(int count) {
  std::vector<Object> people;
  for (int i = 0; i < count; ++i) people.push_back(walker(0.05 * i, {"press"}, std::to_string(i)));
  return scene_of(std::move(people));
}

bool is_told(const NeedRow& row) {
  constexpr std::int64_t kFriday = 1'700'179'200'000'000;  // 2023-11-17.
  RuleLogic logic = logic_of(row.when, row.options);
  bool has_begun = false;
  for (int i = 0; i < 100; ++i) {
    const auto changes = logic.update(row.film(i / 10.0), {kFriday + i * kRuleStep, i * kRuleStep});
    EXPECT_TRUE(changes) << row.need << ": " << changes.error().message;
    has_begun = has_begun || std::ranges::any_of(*changes, [](const auto& change) { return !change.is_end; });
  }
  return has_begun;
}

TEST(Rule, SaysWhatBusinessesAskFor) {
  setenv("TZ", "UTC", 1);
  tzset();
  const auto stands = [](double) { return scene_of({walker(0.5, {"press"})}); };
  const auto walks = [](double speed) {
    return [speed](double second) { return scene_of({walker(0.5 + speed * second, {"press"})}); };
  };
  const auto wears = [](float helmet) {
    return [helmet](double) {
      Object object = walker(0.5);
      object.attributes = {{helmet > 0 ? "helmet" : "bare head", std::max(helmet, 0.9F)}};
      return scene_of({object});
    };
  };
  const auto left_behind = [](double owner_x) {
    return [owner_x](double second) {
      Object bag = walker(0.5, {"press"}, "c1");
      bag.label = "left";
      return scene_of({bag, walker(second < 2 ? 0.5 : owner_x, {}, "1")});
    };
  };
  const auto schedule = [](const char* text) { return *Schedule::read(*parse_json(text)); };
  const RuleOptions scene{.is_about_objects = false};
  RuleOptions long_queue = scene;
  long_queue.for_s = 5;
  RuleOptions on_friday{}, on_saturday{}, by_day{};
  on_friday.schedule = schedule(R"({"days": ["thu"], "from": "22:00", "to": "06:00"})");
  on_saturday.schedule = schedule(R"({"days": ["sat"]})");
  by_day.schedule = schedule(R"({"from": "08:00", "to": "18:00"})");
  const char* const lingers = "dwell.press > 5 AND speed < 0.05";
  const char* const alone = "label = 'left' AND dwell.press > 5 AND (near.person ?? 1) > 0.3";
  const NeedRow rows[] = {
      {"schedule, the night before", "label = 'person'", on_friday, stands, true},
      {"schedule, another day", "label = 'person'", on_saturday, stands, false},
      {"schedule, another hour", "label = 'person'", by_day, stands, false},
      {"hours in the condition", "weekday = 'fri' AND hour < 6", {}, stands, true},
      {"dwell", "dwell.press > 5", {}, stands, true},
      {"dwell, not so long", "dwell.press > 15", {}, stands, false},
      {"loitering", lingers, {}, stands, true},
      {"loitering, walks on", lingers, {}, walks(0.04), false},
      {"occupancy", "inside.press >= 3", scene, [](double) { return crowd_of(3); }, true},
      {"occupancy, fewer", "inside.press >= 3", scene, [](double) { return crowd_of(2); }, false},
      {"crowding", "count.person > 10", scene, [](double) { return crowd_of(11); }, true},
      {"queue length", "inside.press.person > 5", long_queue, [](double) { return crowd_of(6); }, true},
      {"queue length, for a moment", "inside.press.person > 5", long_queue,
       [](double second) { return crowd_of(second < 4 ? 6 : 5); }, false},
      {"speed", "speed > 0.15", {}, walks(0.1), true},
      {"speed, slower", "speed > 0.25", {}, walks(0.1), false},
      {"direction", "heading > 45 AND heading < 135", {}, walks(0.05), true},
      {"direction, the other way", "heading > 45 AND heading < 135", {}, walks(-0.05), false},
      {"left and nobody near", alone, {}, left_behind(0.95), true},
      {"left and its owner near", alone, {}, left_behind(0.45), false},
      {"person without helmet", "label = 'person' AND has.helmet < 0.5", {}, wears(0), true},
      {"person with helmet", "label = 'person' AND has.helmet < 0.5", {}, wears(0.9F), false},
      {"person whom nobody looked at", "label = 'person' AND has.helmet < 0.5", {}, stands, false},
  };
  for (const NeedRow& row : rows) EXPECT_EQ(is_told(row), row.is_told) << row.need;
  unsetenv("TZ");
  tzset();
}

TEST(Rule, MoreThanItsLimitIsLeftOutAndCounted) {
  RuleLogic logic = logic_of("zone.press", {.per_minute_max = 3});
  std::vector<Object> crowd;
  for (int i = 0; i < 10; ++i) crowd.push_back(standing_in("press", std::to_string(i)));
  EXPECT_EQ(logic.update(scene_of(crowd), {0, 0})->size(), 3U);
  EXPECT_EQ(logic.left_out(), 7U);
  EXPECT_EQ(logic.update(scene_of({standing_in("press", "late")}), {61'000'000, 61'000'000})->front().object.track,
            "late");
}

TEST(Rule, SaysWhenObjectsHaveNoTracks) {
  RuleLogic untracked = logic_of("label = 'person'");
  EXPECT_THAT(untracked.update(scene_of({standing_in("press", "")}), {0, 0}).error().message, HasSubstr("track"));
}

/// What reading a pipeline of these stages, then changed by a twin, says of it.
std::string said_of_pipeline(const std::string& stages, const Json& patch = nullptr) {
  pipeline::Catalog catalog;
  add_stages(catalog);
  pipeline::Kind<pipeline::Source> camera;
  camera.name = "camera";
  camera.make = [](const Json&, const pipeline::Context&) { return std::unique_ptr<pipeline::Source>(); };
  catalog.add(std::move(camera));
  const std::string text = "sources: {gate: {kind: camera}, yard: {kind: camera}}\nstages:\n" + stages;
  const auto spec = pipeline::parse_pipeline(text, "p.yaml", catalog, patch);
  return spec ? "fine" : spec.error().message;
}

TEST(RuleStage, WhatItAsksForMustStandBeforeIt) {
  const std::string press = "  - zone: {name: press, polygon: [[0, 0], [1, 0], [1, 1]]}\n";
  const std::string exit = "  - line: {name: exit, points: [[0, 0], [1, 0]]}\n";
  const std::string found = "  - detect: {model: m}\n  - track\n";
  const auto rule = [](const std::string& name, const std::string& when, const std::string& more = "") {
    return fmt::format("  - rule: {{name: {}, when: \"{}\"{}}}\n", name, when, more);
  };
  const struct {
    const char* name;
    std::string stages;
    const char* said;
  } rows[] = {
      {"all is there", found + press + rule("r", "zone.press AND dwell.press > 1 AND inside.press > 2"), "fine"},
      {"a zone with another name", found + press + rule("r", "zone.pres"),
       "p.yaml:6:5: rule \"r\" asks for zone \"pres\", which no stage before it has; did you mean \"press\"?"},
      {"a zone behind it", found + rule("r", "zone.press") + press, "p.yaml:5:5: rule \"r\" asks for zone \"press\""},
      {"no zone at all", found + rule("r", "dwell.press > 2"), "before it there is no zone"},
      {"a line is no zone", found + exit + rule("r", "zone.exit"), "has; that is a line"},
      {"a queue", found + rule("r", "inside.press.person > 5", ", per: scene"), "asks for zone \"press\""},
      {"no tracks", "  - detect: {model: m}\n" + rule("r", "label = 'x'"), "needs stage track"},
      {"tracks and then others", "  - track\n  - faces: {model: m}\n" + rule("r", "label = 'face'"),
       "needs stage track"},
      {"what is left has tracks", "  - changes\n" + rule("r", "label = 'left'"), "fine"},
      {"but others have none", "  - detect: {model: m}\n  - changes\n" + rule("r", "label = 'left'"),
       "needs stage track"},
      {"the scene needs no tracks", "  - detect: {model: m}\n" + rule("r", "count.x > 1", ", per: scene"), "fine"},
      {"one after another", found + rule("a", "label = 'x'") + rule("b", "since.a < 5"), "fine"},
      {"after a later one", found + rule("bee", "since.bea < 5") + rule("bea", "label = 'x'"),
       "asks for rule \"bea\", which no stage before it has; before it there is no rule"},
      {"after itself", found + rule("a", "(since.a ?? 99) > 5"), "fine"},
      {"after a rule of another name", found + rule("door", "label = 'x'") + rule("b", "since.dor < 5"),
       "did you mean \"door\"?"},
      {"a line needs tracks", "  - detect: {model: m}\n" + exit + "  - track\n",
       "p.yaml:4:5: line \"exit\" tells who crosses it and needs stage track before it"},
      {"a zone tells who comes, once they have tracks", "  - detect: {model: m}\n" + press + "  - track\n",
       "p.yaml:5:5: zone \"press\" stands before stage track, where nobody has a track yet, and would not tell who "
       "comes "
       "and goes; put zone \"press\" behind track"},
      {"as it does of what is left", press + "  - changes\n", "put zone \"press\" behind changes"},
      {"a zone of plain detections can be counted",
       "  - detect: {model: m}\n" + press + rule("r", "inside.press.person > 5", ", per: scene"), "fine"},
      {"an area need not hold anybody", press + rule("r", "looks.press.empty > 0", ", per: scene"), "fine"},
      {"but then nobody is counted in it", press + rule("r", "inside.press > 0", ", per: scene"),
       "asks who stands in zone \"press\", but no stage before that zone looks for objects"},
      {"evidence of nobody",
       "  - detect: {model: m}\n  - zone: {name: p, polygon: [[0, 0], [1, 0], [1, 1]], evidence: snapshot}\n",
       "zone \"p\" is to keep evidence of who comes and goes, and needs stage track before it"},
      {"a name with a dot",
       found + "  - zone: {name: a.b, polygon: [[0, 0], [1, 0], [1, 1]]}\n" +
           rule("r.s", "zone.[[a.b]] AND inside.[[a.b]].person > 1 AND dwell['a.b'] > 1") +
           rule("t", "since.[[r.s]] < 5"),
       "fine"},
      {"a dot that is not quoted", found + press + rule("r", "zone.press.b"),
       "asks for \"zone.press.b\", which no object and no scene has; a name with a dot is quoted: zone.[[press.b]]"},
      {"a quoted name that is not there", found + press + rule("r", "inside.[[press.b]] > 1", ", per: scene"),
       "asks for zone \"press.b\", which no stage before it has"},
      {"a mistake in the condition", found + rule("r", "lable = 'x'"), "p.yaml:5:5: the condition \"lable = 'x'\""},
      {"one of two streams passes the zone",
       "  - detect: {model: m}\n  - track\n  - zone: {name: press, polygon: [[0, 0], [1, 0], [1, 1]], inputs: "
       "[track]}\n"
       "  - track: {name: other, inputs: [yard]}\n"
       "  - rule: {name: r, when: zone.press, inputs: [press, other]}\n",
       "on stream \"yard\""},
      {"each stream has its own",
       "  - track: {name: a, inputs: [gate]}\n  - zone: {name: press, polygon: [[0, 0], [1, 0], [1, 1]]}\n"
       "  - track: {name: b, inputs: [yard]}\n  - zone: {name: door, polygon: [[0, 0], [1, 0], [1, 1]]}\n"
       "  - rule: {name: r, when: zone.press, inputs: [press]}\n",
       "fine"},
      {"not in order in the file",
       "  - rule: {name: r, when: zone.press, inputs: [press]}\n"
       "  - track: {inputs: [gate]}\n  - zone: {name: press, polygon: [[0, 0], [1, 0], [1, 1]]}\n",
       "fine"},
  };
  for (const auto& row : rows) EXPECT_THAT(said_of_pipeline(row.stages), HasSubstr(row.said)) << row.name;
}

TEST(RuleStage, TheTwinMayNotTakeAwayWhatItAsksFor) {
  const std::string zone = ", polygon: [[0, 0], [1, 0], [1, 1]]}\n";
  const std::string stages = "  - track\n  - zone: {name: press" + zone + "  - zone: {name: door" + zone +
                             "  - rule: {name: intrusion, when: zone.press}\n";
  const auto said = [&](const std::string& patch) {
    return said_of_pipeline(stages, {{"stages", *parse_json(patch)}});
  };
  EXPECT_EQ(said_of_pipeline(stages), "fine");
  EXPECT_EQ(said(R"({"door": false})"), "fine");
  EXPECT_EQ(
      said(R"({"press": false})"),
      "p.yaml:6:5: rule \"intrusion\" asks for zone \"press\", which no stage before it has. Allowed: door (of the "
      "stages as the twin changed them)");
  EXPECT_EQ(said(R"({"press": false, "intrusion": {"when": "zone.door"}})"), "fine");
  EXPECT_THAT(said(R"({"track": false})"), HasSubstr("needs stage track"));
  EXPECT_THAT(said(R"({"late": {"kind": "rule", "when": "zone.dor"}})"),
              HasSubstr("twin: /stages/late: rule \"late\" asks for zone \"dor\""));
}

TEST(RuleStage, TheTwinMayUseNamesWithDots) {
  const std::string stages = "  - track\n  - rule: {name: r, when: label = 'x'}\n";
  const auto said = [&](const std::string& when) {
    Json zone = {{"kind", "zone"}, {"name", "hall.2"}, {"after", "track"}, {"polygon", {{0, 0}, {1, 0}, {1, 1}}}};
    return said_of_pipeline(stages, {{"stages", {{"hall_2", std::move(zone)}, {"r", {{"when", when}}}}}});
  };
  EXPECT_EQ(said("zone.[[hall.2]] AND inside.[[hall.2]] < 3"), "fine");
  EXPECT_THAT(said("zone.[[hall.3]]"), HasSubstr("asks for zone \"hall.3\""));
  EXPECT_THAT(said("zone.hall.x"), HasSubstr("a name with a dot is quoted: zone.[[hall.x]]"));
  RuleLogic logic = logic_of("zone.[[hall.2]] AND inside.[[hall.2]].person = 1", {});
  EXPECT_EQ(logic.update(scene_of({standing_in("hall.2")}), {0, 0})->size(), 1U);
}

TEST(RuleStage, TellsTheEventAndMarksTheScene) {
  Metrics metrics;
  auto stage = testing::make_stage(rule_kind(),
                                   {{"name", "intrusion"},
                                    {"when", "zone.press"},
                                    {"severity", "alarm"},
                                    {"tells_end", true},
                                    {"emit", "safety.intrusion"},
                                    {"gap_s", 0}},
                                   metrics);
  ASSERT_TRUE(stage) << stage.error().message;
  std::vector<contract::Event> events;
  std::vector<std::size_t> fired;
  for (int i = 0; i < 3; ++i) {
    pipeline::Packet packet;
    packet.captured_us = packet.monotonic_us = i * kRuleStep;
    packet.payload = std::make_shared<const Scene>(scene_of({standing_in(i < 2 ? "press" : "else")}));
    const Status processed = (*stage)->process(packet, [&](pipeline::Packet out) {
      if (const auto event = pipeline::payload_as<contract::Event>(out)) events.push_back(*event);
      if (const auto scene = pipeline::payload_as<Scene>(out)) fired.push_back(scene->fired.size());
    });
    ASSERT_TRUE(processed) << processed.error().message;
  }
  EXPECT_EQ(fired, (std::vector<std::size_t>{1, 0, 0}));
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].type, "safety.intrusion");
  EXPECT_EQ(events[0].rule, "intrusion");
  EXPECT_EQ(events[0].severity, "alarm");
  EXPECT_EQ(events[0].track, "1");
  EXPECT_EQ(events[0].explanation, "Intrusion.");
  EXPECT_EQ((*parse_json(events[0].extension_json))["when"], "zone.press");
  EXPECT_EQ(events[1].type, "safety.intrusion.ended");
  EXPECT_EQ(events[1].duration_us, kRuleStep);
}

TEST(RuleStage, AnEventAboutThePictureSaysWhereItIsStrangest) {
  Metrics metrics;
  auto stage = testing::make_stage(
      rule_kind(),
      {{"name", "defect"}, {"per", "scene"}, {"when", "picture.anomaly > 0"}, {"tells_end", true}, {"gap_s", 0}},
      metrics);
  ASSERT_TRUE(stage) << stage.error().message;
  Scene strange = scene_of({standing_at(0.2, 0.5, "", 0.6F), standing_at(0.7, 0.6, "", 0.8F), standing_at(0.4, 0.4)});
  strange.objects[0].label = strange.objects[1].label = "anomaly";
  strange.attributes = {{"anomaly", 0.8F}};
  strange.heat = std::make_shared<const pipeline::HeatMap>(pipeline::HeatMap{1, 1, {180}});
  Scene normal = scene_of({});
  normal.heat = strange.heat;
  std::vector<Json> said;
  for (int i = 0; i < 2; ++i) {
    pipeline::Packet packet;
    packet.captured_us = packet.monotonic_us = i * kRuleStep;
    packet.payload = std::make_shared<const Scene>(i == 0 ? strange : normal);
    const Status processed = (*stage)->process(packet, [&](const pipeline::Packet& out) {
      const auto event = pipeline::payload_as<contract::Event>(out);
      if (!event) return;
      const auto extension = parse_json(event->extension_json);
      said.push_back(extension ? *extension : Json());
    });
    ASSERT_TRUE(processed) << processed.error().message;
  }
  ASSERT_EQ(said.size(), 2U);
  ASSERT_TRUE(said[0].contains("strangest")) << said[0];
  EXPECT_NEAR(said[0]["strangest"][0].get<double>(), 0.65, 1e-9);
  EXPECT_NEAR(said[0]["strangest"][3].get<double>(), 0.6, 1e-9);
  EXPECT_FALSE(said[1].contains("strangest"));
}

TEST(RuleStage, RefusesWhatCannotBe) {
  Metrics metrics;
  const std::pair<Json, const char*> rows[] = {
      {{{"when", "label = "}}, "label ="},
      {{{"when", "color = 'red'"}}, "asks for \"color\""},
      {{{"when", "score > 1"}, {"per", "scene"}}, "no scene has"},
      {{{"when", "score > 1"}, {"per", "objekt"}}, "did you mean \"object\"?"},
      {{{"when", "score > 1"}, {"severity", "fatal"}}, "info, warning, alarm"},
      {{{"when", "score > 1"}, {"for_s", -1}}, "for_s is -1; give 0 to 86400"},
      {{{"when", "score > 1"}, {"per_minute_max", 0}}, "per_minute_max is 0"},
      {{{"when", "score > 1"}, {"schedule", {{"from", "22"}}}}, "schedule: from is \"22\""},
  };
  for (const auto& [options, words] : rows) {
    const auto stage = testing::make_stage(rule_kind(), options, metrics);
    ASSERT_FALSE(stage) << to_text(options);
    EXPECT_THAT(stage.error().message, HasSubstr(words));
  }
}

/// Every "when:" of the guide is a condition that rules take.
TEST(RuleStage, TheGuidesRulesWork) {
  const auto guide = read_file("docs/rules.md");
  ASSERT_TRUE(guide) << guide.error().message;
  int count = 0;
  for (std::size_t at = 0; (at = guide->find("- rule: ", at)) != std::string::npos; ++at) {
    const auto line = guide->substr(at, guide->find('\n', at) - at);
    const auto document = pipeline::yaml_to_json(line, "docs/rules.md");
    ASSERT_TRUE(document) << document.error().message;
    Metrics metrics;
    const auto stage = testing::make_stage(rule_kind(), document->at(0).at("rule"), metrics);
    EXPECT_TRUE(stage) << line << "\n" << stage.error().message;
    ++count;
  }
  EXPECT_GE(count, 14);
}

}  // namespace
}  // namespace verge::vision
