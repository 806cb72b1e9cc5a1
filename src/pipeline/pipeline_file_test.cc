#include "pipeline/pipeline_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "pipeline/catalog_text.h"
#include "pipeline/test_parts.h"

namespace verge::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

const auto nothing = [](const auto&, const auto&) { return nullptr; };

Catalog make_catalog() {
  Catalog catalog;
  catalog.add(testing::kind_of<Source>(
      "camera", {{"url", "text", "Where it is.", nullptr, true}, {"fps", "number", "Pictures a second.", 10}},
      nothing));
  catalog.add(testing::kind_of<SharedStage>("detect",
                                            {{"model", "path", "The file.", nullptr, true},
                                             {"score_min", "number", "0..1", 0.4},
                                             {"labels", "list", "Only these.", Json::array()},
                                             {"threads", "integer", "Of one run.", 1}},
                                            nothing));
  catalog.add(testing::kind_of<Stage>("track", {}, nothing));
  catalog.add(testing::kind_of<Stage>("zone",
                                      {{"name", "text", "Of the zone.", "zone"},
                                       {"polygon", "points", "Corners.", nullptr, true},
                                       {"quiet", "flag", "No events.", false},
                                       {"extra", "object", "Anything.", Json::object()}},
                                      nothing));
  catalog.add(testing::kind_of<Sink>("router", {{"output", "text", "Name.", "events"}}, nothing));
  return catalog;
}

const char* const kGood = R"(version: 1
purpose: people at the gate
sources:
  gate: {kind: camera, url: film.avi}
stages:
  - detect: {model: coco.onnx, labels: [person]}
  - track
  - zone: {name: press, polygon: [[0, 0], [1, 0], [1, 1]]}
  - zone: {polygon: [[0, 0], [1, 0], [1, 1]], inputs: [track]}
sinks:
  - {kind: router, output: people}
)";

TEST(PipelineFile, IsRead) {
  const Catalog catalog = make_catalog();
  auto spec = parse_pipeline(kGood, "p.yaml", catalog);
  ASSERT_TRUE(spec) << spec.error().message;
  ASSERT_EQ(spec->sources.size(), 1U);
  EXPECT_EQ(spec->sources[0].name, "gate");
  EXPECT_EQ(spec->sources[0].options["fps"], 10);  // filled in from the catalogue
  ASSERT_EQ(spec->stages.size(), 4U);
  EXPECT_EQ(spec->stages[0].name, "detect");
  EXPECT_THAT(spec->stages[0].inputs, ElementsAre("gate"));
  EXPECT_THAT(spec->stages[1].inputs, ElementsAre("detect"));
  EXPECT_EQ(spec->stages[2].name, "press");
  EXPECT_EQ(spec->stages[2].options["name"], "press");
  EXPECT_EQ(spec->stages[3].name, "zone");
  EXPECT_THAT(spec->stages[3].inputs, ElementsAre("track"));
  EXPECT_THAT(spec->sinks[0].inputs, IsEmpty());
  EXPECT_THAT(spec->hash, StartsWith("sha256:"));
}

TEST(PipelineFile, TheHashIsOfTheMeaningNotTheText) {
  const Catalog catalog = make_catalog();
  const auto hash = [&](std::string_view text) { return parse_pipeline(text, "p.yaml", catalog)->hash; };
  const auto flow = hash("{sources: {a: {kind: camera, url: x, fps: 5}}}");
  EXPECT_EQ(flow, hash("# a comment\nsources:\n  a:\n    fps: 5\n    url: 'x'\n    kind: camera\n"));
  EXPECT_NE(flow, hash("{sources: {a: {kind: camera, url: y, fps: 5}}}"));
}

TEST(PipelineFile, EqualKindsGetNumbers) {
  const Catalog catalog = make_catalog();
  auto spec =
      parse_pipeline("{sources: {a: {kind: camera, url: x}}, stages: [track, track, {track: {}}]}", "p", catalog);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->stages[1].name, "track2");
  EXPECT_EQ(spec->stages[2].name, "track3");
  EXPECT_THAT(spec->stages[2].inputs, ElementsAre("track2"));
}

TEST(PipelineFile, SaysWhereAndWhatIsAllowed) {
  const Catalog catalog = make_catalog();
  const std::string head = "sources:\n  gate: {kind: camera, url: x}\nstages:\n";
  const struct {
    const char* name;
    std::string text;
    const char* message;
  } cases[] = {
      {"a typo in a kind", head + "  - detcet: {model: m}\n",
       "p.yaml:4:5: there is no stage \"detcet\"; did you mean \"detect\"? Allowed: detect, track, zone"},
      {"a typo in an option", head + "  - detect: {model: m,\n             scoremin: 1}\n",
       "p.yaml:5:14: detect has no option \"scoremin\"; did you mean \"score_min\"? Allowed: inputs, labels"},
      {"a required option", head + "  - detect: {}\n", "p.yaml:4:5: detect needs the option \"model\": The file."},
      {"a wrong type", head + "  - detect: {model: m, score_min: high}\n",
       "p.yaml:4:24: score_min must be a number, not \"high\""},
      {"not whole", head + "  - detect: {model: m, threads: 1.5}\n", "threads must be a whole number"},
      {"no flag", head + "  - zone: {polygon: [[0,0],[1,1]], quiet: yes}\n", "quiet must be true or false"},
      {"no points", head + "  - zone: {polygon: [[0,0],[1]]}\n", "polygon must be a list of two or more points"},
      {"no list", head + "  - detect: {model: m, labels: person}\n", "labels must be a list"},
      {"unknown input", head + "  - track: {inputs: [gat]}\n",
       "p.yaml:4:13: no source or stage is called \"gat\"; did you mean \"gate\"?"},
      {"a circle", head + "  - track: {inputs: [zone]}\n  - zone: {polygon: [[0,0],[1,1]], inputs: [track]}\n",
       "gets its own output back"},
      {"twice the same name", head + "  - track: {name: a}\n  - track: {name: a}\n",
       "p.yaml:5:13: the name \"a\" is used twice"},
      {"a stage called like a source", head + "  - track: {name: gate}\n", "is the name of a source already"},
      {"two kinds in one line", head + "  - {track: {}, zone: {}}\n", "p.yaml:4:5: one kind is expected here"},
      {"a typo on top", "souces: {}\n", "p.yaml:1:1: unknown key \"souces\"; did you mean \"sources\"?"},
      {"no sources", "stages: [track]\n", "needs at least one source"},
      {"a source without kind", "sources: {a: {url: x}}\n", "source \"a\" needs a kind"},
      {"another version", "version: 2\nsources: {a: {kind: camera, url: x}}\n", "version 2 is unknown"},
      {"no map", "- 1\n", "a pipeline file is a map"},
      {"an empty file", "", "a pipeline file is a map"},
      {"another blur", head + "  - track\nprivacy: {blur: face}\n",
       "p.yaml:5:11: blur is \"face\"; did you mean \"faces\"? Allowed: faces, none, people"},
      {"a mask for nobody", head + "  - track\nprivacy: {mask: {gat: [[[0, 0], [1, 0], [1, 1]]]}}\n",
       "p.yaml:5:18: no source is called \"gat\"; did you mean \"gate\"?"},
      {"a mask of two corners", head + "  - track\nprivacy: {mask: {gate: [[[0, 0], [1, 0]]]}}\n",
       "a polygon has 3 to 64 corners"},
      {"a mask outside", head + "  - track\nprivacy: {mask: {gate: [[[0, 0], [1, 0], [1, 1.1]]]}}\n", "0 to 1"},
      {"a typo in evidence", head + "  - track\nevidence: {day: 3}\n", "evidence has no option \"day\"; did you mean"},
      {"no time at all", head + "  - track\nevidence: {days: 0}\n", "p.yaml:5:12: days is 0; give 0.01 to 3650"},
      {"stages as a map", "sources: {a: {kind: camera, url: x}}\nstages: {track: {}}\n",
       "p.yaml:2:1: stages is a list"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    auto spec = parse_pipeline(c.text, "p.yaml", catalog);
    ASSERT_FALSE(spec);
    EXPECT_EQ(spec.error().code, ErrorCode::invalid_argument);
    EXPECT_THAT(spec.error().message, HasSubstr(c.message));
  }
}

TEST(PipelineFile, TheTwinMergesOverTheFile) {
  const Catalog catalog = make_catalog();
  const Json patch = {{"sources", {{"gate", {{"fps", 5}}}, {"door", {{"kind", "camera"}, {"url", "y"}}}}},
                      {"stages", {{"detect", {{"score_min", 0.6}}}, {"zone", false}}},
                      {"sinks", {{{"kind", "router"}}}}};
  auto spec = parse_pipeline(kGood, "p.yaml", catalog, patch);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->sources.size(), 2U);
  EXPECT_EQ(spec->stages[0].options["score_min"], 0.6);
  EXPECT_EQ(spec->stages[0].options["model"], "coco.onnx");
  EXPECT_EQ(spec->stages.size(), 3U);
  EXPECT_EQ(spec->sinks[0].options["output"], "events");
  EXPECT_NE(spec->hash, parse_pipeline(kGood, "p.yaml", catalog)->hash);
}

std::vector<std::string> stage_names(const Result<PipelineSpec>& spec) {
  std::vector<std::string> names;
  for (const StageSpec& stage : spec->stages) names.push_back(stage.name);
  return names;
}

TEST(PipelineFile, TheTwinAddsStagesWhereItSays) {
  const Catalog catalog = make_catalog();
  const std::string corners = R"("polygon": [[0, 0], [1, 0], [1, 1]])";
  const std::string zone = R"({"kind": "zone", )" + corners;
  const struct {
    const char* name;
    std::string stages;
    std::vector<std::string> expected;
  } cases[] = {
      {"at the end", R"({"door": )" + zone + "}}", {"detect", "track", "press", "zone", "door"}},
      {"after one", R"({"door": )" + zone + R"(, "after": "track"}})", {"detect", "track", "door", "press", "zone"}},
      {"after another new one",
       R"({"a": )" + zone + R"(, "after": "b"}, "b": )" + zone + R"(, "after": "detect"}})",
       {"detect", "b", "a", "track", "press", "zone"}},
      {"after one that goes",
       R"({"door": )" + zone + R"(, "after": "press"}, "press": false})",
       {"detect", "track", "door", "zone"}},
      {"with a blank in its name",
       R"({"the_door": )" + zone + R"(, "name": "the door"}})",
       {"detect", "track", "press", "zone", "the door"}},
      {"one that is not there may go", R"({"door": false, "press": null})", {"detect", "track", "press", "zone"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto stages = parse_json(c.stages);
    ASSERT_TRUE(stages) << c.stages;
    const auto spec = parse_pipeline(kGood, "p.yaml", catalog, {{"stages", *stages}});
    ASSERT_TRUE(spec) << spec.error().message;
    EXPECT_EQ(stage_names(spec), c.expected);
  }
  const Json late = {
      {"stages", {{"door", {{"kind", "zone"}, {"after", "track"}, {"polygon", {{0, 0}, {1, 0}, {1, 1}}}}}}}};
  const auto spec = parse_pipeline(kGood, "p.yaml", catalog, late);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->stages[2].options["name"], "door");
  EXPECT_THAT(spec->stages[2].inputs, ElementsAre("track"));
  EXPECT_THAT(spec->stages[3].inputs, ElementsAre("door"));  // the next one takes from it
  EXPECT_FALSE(spec->effective["stages"][2].contains("after"));
}

TEST(PipelineFile, TheTwinRemovesSources) {
  const Catalog catalog = make_catalog();
  const std::string text =
      "sources: {gate: {kind: camera, url: x}, the yard: {kind: camera, url: y}}\n"
      "stages: [{track: {inputs: [gate, the yard]}}, {track: {name: b, inputs: [the yard]}}]\n"
      "privacy: {mask: {the yard: [[[0, 0], [1, 0], [1, 1]]]}}\n";
  const auto parsed = [&](const std::string& patch) {
    return parse_pipeline(text, "p.yaml", catalog, *parse_json(patch));
  };
  const auto refused = parsed(R"({"sources": {"the_yard": false}})");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "twin: /sources/the yard: \"b\" takes from \"the yard\" alone, which would be gone; remove \"b\", too "
            "(false), or "
            "give it other inputs");
  const auto spec = parsed(R"({"sources": {"the_yard": false}, "stages": {"b": false}})");
  ASSERT_TRUE(spec) << spec.error().message;
  ASSERT_EQ(spec->sources.size(), 1U);
  EXPECT_EQ(spec->sources[0].name, "gate");
  EXPECT_THAT(spec->stages[0].inputs, ElementsAre("gate"));
  EXPECT_TRUE(spec->privacy.masks.empty());
  EXPECT_FALSE(spec->effective["sources"].contains("the yard"));
  const auto other = parsed(R"({"sources": {"the_yard": false}, "stages": {"b": {"inputs": ["gate"]}}})");
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_THAT(other->stages[1].inputs, ElementsAre("gate"));
  const auto swapped = parsed(
      R"({"sources": {"the_yard": false, "gate": false, "lot": {"kind": "camera", "url": "z"}}, "stages": {"b": false, "track": {"inputs": ["lot"]}}})");
  ASSERT_TRUE(swapped) << swapped.error().message;
  EXPECT_EQ(swapped->sources[0].name, "lot");
}

TEST(PipelineFile, WhatTheTwinTakesBackIsAsTheFileSaysAndWhatItTakesAwayIsNotGiven) {
  const Catalog catalog = make_catalog();
  const auto parsed = [&](const std::string& patch) {
    return parse_pipeline(kGood, "p.yaml", catalog, *parse_json(patch));
  };
  const std::string hash = parse_pipeline(kGood, "p.yaml", catalog)->hash;
  for (const char* patch :
       {R"({"stages": {"detect": {"labels": null, "score_min": null}}, "sources": {"gate": {"fps": null}}})",
        R"({"stages": null, "sources": {"gate": null}, "sinks": null, "purpose": null, "version": null})",
        R"({"privacy": {"blur": null, "mask": {"gate": null}}, "evidence": null})"}) {
    const auto spec = parsed(patch);
    ASSERT_TRUE(spec) << patch << spec.error().message;
    EXPECT_EQ(spec->stages[0].options["labels"], Json::array({"person"})) << patch;
    EXPECT_EQ(spec->privacy.blur, Blur::people);
  }
  EXPECT_EQ(parsed(R"({"stages": {"detect": {"labels": null}}})")->hash, hash);
  const auto spec =
      parsed(R"({"stages": {"detect": {"without": ["labels", "threads"]}, "zone": {"without": ["inputs"]}}})");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->stages[0].options["labels"], Json::array());
  EXPECT_THAT(spec->stages[3].inputs, ElementsAre("press"));
  EXPECT_FALSE(spec->effective["stages"][0].contains("without"));
  EXPECT_NE(spec->hash, hash);
}

TEST(PipelineFile, AStageWithABlankInItsNameIsFoundByAKeyThatATwinCanHold) {
  const Catalog catalog = make_catalog();
  const std::string text =
      "sources: {a: {kind: camera, url: x}}\nstages: [track, {zone: {name: loading bay, polygon: [[0, 0], [1, 1]]}}]\n";
  const Json patch = {{"stages", {{"loading_bay", {{"quiet", true}}}}}};
  const auto spec = parse_pipeline(text, "p.yaml", catalog, patch);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->stages[1].name, "loading bay");
  EXPECT_EQ(spec->stages[1].options["quiet"], true);
}

TEST(PipelineFile, UnnamedStagesAreShownByTheirOwnNames) {
  const Catalog catalog = make_catalog();
  const std::string zone = "{zone: {polygon: [[0, 0], [1, 1]]}}";
  const auto spec =
      parse_pipeline("sources: {a: {kind: camera, url: x}}\nstages: [" + zone + ", " + zone + "]\n", "p.yaml", catalog);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->stages[0].options["name"], "zone");
  EXPECT_EQ(spec->stages[1].options["name"], "zone2");
}

/// "paint" gives its colour, "wash" takes all colours away, "dry" needs the one it is told.
Catalog make_colours() {
  Catalog catalog = make_catalog();
  const std::vector<OptionInfo> colour{{"colour", "text", "Which.", "red"}};
  auto paint = testing::kind_of<Stage>("paint", colour, nothing);
  paint.provide = [](const Json& options, Provided& provided) {
    provided.emplace("colour", options["colour"].get<std::string>());
  };
  auto wash = testing::kind_of<SharedStage>("wash", {}, nothing);
  wash.provide = [](const Json&, Provided& provided) { provided.clear(); };
  auto dry = testing::kind_of<SharedStage>("dry", colour, nothing);
  dry.check = [](const Json& options, const Provided& before) -> Status {
    if (before.contains({"colour", options["colour"].get<std::string>()})) return Done{};
    return Error{ErrorCode::invalid_argument, "no " + options["colour"].get<std::string>()};
  };
  catalog.add(std::move(paint));
  catalog.add(std::move(wash));
  catalog.add(std::move(dry));
  return catalog;
}

TEST(PipelineFile, StagesMayNeedWhatOthersProvide) {
  const Catalog catalog = make_colours();
  const struct {
    const char *stages, *said;
  } rows[] = {
      {"[paint, dry]", "fine"},
      {"[dry, paint]", "p.yaml:2:10: no red"},
      {"[paint, wash, dry]", "no red"},
      {"[{paint: {colour: blue}}, paint, {dry: {colour: blue}}, track, dry]", "fine"},
      {"[paint, {paint: {name: p, colour: blue, inputs: [a, b]}}, {dry: {inputs: [paint, p]}}]", "no red"},
      {"[{dry: {inputs: [paint]}}, {paint: {inputs: [a]}}]", "fine"},
      {"[{paint: {inputs: [a]}}, {dry: {inputs: [paint, b]}}]", "no red on stream \"b\""},
  };
  for (const auto& row : rows) {
    const std::string text = "sources: {a: {kind: camera, url: x}, b: {kind: camera, url: y}}\nstages: ";
    const auto spec = parse_pipeline(text + row.stages, "p.yaml", catalog);
    EXPECT_THAT(spec ? "fine" : spec.error().message, HasSubstr(row.said)) << row.stages;
  }
  const auto changed = parse_pipeline("sources: {a: {kind: camera, url: x}}\nstages: [paint, dry]", "p.yaml", catalog,
                                      {{"stages", {{"paint", false}}}});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().message, "p.yaml:2:17: no red (of the stages as the twin changed them)");
}

TEST(PipelineFile, PrivacyAndEvidenceHaveDefaultsAndTheTwinMayChangeThem) {
  const Catalog catalog = make_catalog();
  const auto plain = parse_pipeline(kGood, "p.yaml", catalog);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->privacy.blur, Blur::people);
  EXPECT_EQ(plain->evidence.days, 30);
  const std::string text = std::string(kGood) +
                           "privacy: {blur: faces, mask: {gate: [[[0, 0], [0.5, 0], [0.5, 1]]]}}\n"
                           "evidence: {folder: kept, megabytes: 5}\n";
  const Json patch = {{"privacy", {{"blur", "none"}}}, {"evidence", {{"days", 2}}}};
  const auto spec = parse_pipeline(text, "p.yaml", catalog, patch);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->privacy.blur, Blur::none);
  ASSERT_EQ(spec->privacy.masks.at("gate").size(), 1U);
  EXPECT_EQ(spec->privacy.masks.at("gate")[0].size(), 3U);
  EXPECT_EQ(spec->evidence.folder, "kept");
  EXPECT_EQ(spec->evidence.megabytes, 5);
  EXPECT_EQ(spec->evidence.days, 2);
  EXPECT_NE(spec->hash, parse_pipeline(text, "p.yaml", catalog)->hash);
  EXPECT_TRUE(may_leave("people", Blur::faces));
  EXPECT_FALSE(may_leave("faces", Blur::people));
  EXPECT_FALSE(may_leave("none", Blur::faces));
  EXPECT_TRUE(may_leave("none", Blur::none));
}

TEST(PipelineFile, TwinMistakesNameTheTwin) {
  const Catalog catalog = make_catalog();
  const struct {
    const char *patch, *message;
  } cases[] = {
      {R"({"stages": {"detect": {"score_min": "high"}}})",
       "twin: /stages/detect/score_min: score_min must be a number"},
      {R"({"stages": {"detect": {"without": ["model"]}}})", "detect needs the option \"model\""},
      {R"({"stages": {"detect": {"without": ["lables"]}}})",
       "twin: /stages/detect/without: detect has no option \"lables\"; did you mean \"labels\"?"},
      {R"({"stages": {"detect": {"without": "labels"}}})", "without is a list of options"},
      {R"({"stages": {"press": {"without": ["name"]}}})", "twin: /stages/press/without: the name cannot be taken away"},
      {R"({"stages": {"detekt": {}}})", "twin: /stages/detekt: there is no \"detekt\"; did you mean \"detect\"?"},
      {R"({"stages": {"door": {"polygon": []}}})", "to add one, give its kind"},
      {R"({"stages": {"door": true}})", "to add one, give its kind"},
      {R"({"stages": {"door": {"kind": "zoen"}}})", "twin: /stages/door: there is no stage \"zoen\"; did you mean"},
      {R"({"stages": {"door": {"kind": "zone", "after": "trakc"}}})",
       "twin: /stages/door/after: there is no \"trakc\"; did you mean \"track\"?"},
      {R"({"stages": {"door": {"kind": "zone", "after": "door"}}})", "twin: /stages/door/after: there is no \"door\""},
      {R"({"stages": {"door": {"kind": "zone", "after": 3}}})", "twin: /stages/door/after: after is the name"},
      {R"({"stages": {"door": {"kind": "zone", "name": "gate"}}})", "twin: /stages/door/name: name must be \"door\""},
      {R"({"stages": {"door": {"kind": "zone"}}})", "twin: /stages/door: zone needs the option \"polygon\""},
      {R"({"stages": {"press": {"after": "track"}}})", "twin: /stages/press/after: zone has no option \"after\""},
      {R"({"stages": {"press": true}})", "give a map of options, or false to remove it"},
      {R"({"stages": [{"trak": {}}]})", "twin: /stages/0/trak: there is no stage \"trak\"; did you mean \"track\"?"},
      {R"({"sources": {"gate": {"fsp": 3}}})", "twin: /sources/gate/fsp: camera has no option \"fsp\""},
      {R"({"stage": {}})", "twin: /stage: unknown key \"stage\"; did you mean \"stages\"?"},
      {R"({"privacy": {"blur": 3}})", "twin: /privacy/blur: blur is \"3\""},
      {R"({"evidence": [1]})", "twin: /evidence: evidence is a map of options"},
      {R"({"sources": {"gate": false}})", "twin: /sources: a pipeline needs at least one source, and every one would"},
      {R"({"sources": {"gate": true}})", "twin: /sources/gate: give a map of options, or false to remove it"},
      {R"([1])", "twin: /"},
      {R"({"stages": 5})", "twin: /stages: give a list"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.patch);
    auto spec = parse_pipeline(kGood, "p.yaml", catalog, *parse_json(c.patch));
    ASSERT_FALSE(spec);
    EXPECT_THAT(spec.error().message, HasSubstr(c.message));
  }
}

TEST(CatalogText, ListsEveryKindAndOption) {
  const Catalog catalog = make_catalog();
  const std::string text = catalog_as_text(catalog);
  EXPECT_THAT(text, HasSubstr("score_min"));
  EXPECT_THAT(text, HasSubstr("(default: required)"));
  EXPECT_THAT(catalog_as_markdown(catalog), HasSubstr("| `fps` | number | `10` | Pictures a second. |"));
}

}  // namespace
}  // namespace verge::pipeline
