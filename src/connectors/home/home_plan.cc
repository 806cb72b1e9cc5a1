#include "connectors/home/home_plan.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/crypto.h"

namespace verge::connectors {
namespace {

using pipeline::StageSpec;

bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-'; }

/// The streams that come by each stage.
std::map<std::string, std::set<std::string>> streams_of(const pipeline::PipelineSpec& spec) {
  std::map<std::string, std::set<std::string>> reach;
  for (const auto& source : spec.sources) reach[source.name] = {source.name};
  // A stage may stand before those that it takes from; as many rounds as stages reach the end of any chain.
  for (std::size_t round = 0; round < spec.stages.size(); ++round) {
    for (const StageSpec& stage : spec.stages) {
      std::set<std::string>& own = reach[stage.name];
      for (const std::string& input : stage.inputs) own.insert(reach[input].begin(), reach[input].end());
    }
  }
  return reach;
}

HomePart part_of(const StageSpec& stage) {
  const auto given = stage.options.find("name");
  const std::string name = given == stage.options.end() ? stage.name : given->get<std::string>();
  return {name, topic_name(name)};
}

void add_labels(const StageSpec& stage, HomeStream& stream) {
  if (!stream.shows_objects) stream.knows_all_labels = true;
  stream.shows_objects = true;
  const auto labels = stage.options.find("labels");
  if (labels == stage.options.end() || !labels->is_array() || labels->empty()) {
    stream.knows_all_labels = false;
    return;
  }
  for (const Json& label : *labels) {
    if (label.is_string()) stream.labels.push_back(topic_name(label.get<std::string>()));
  }
  std::ranges::sort(stream.labels);
  stream.labels.erase(std::unique(stream.labels.begin(), stream.labels.end()), stream.labels.end());
}

void add_stage(const StageSpec& stage, HomeStream& stream) {
  if (stage.kind == "detect") add_labels(stage, stream);
  if (stage.kind == "zone") stream.zones.push_back(part_of(stage));
  if (stage.kind == "line") stream.lines.push_back(part_of(stage));
  if (stage.kind == "rule") stream.rules.push_back({part_of(stage), stage.options.value("tells_end", false)});
  if (stage.kind == "score") stream.has_scores = true;
}

Status check_topics(const std::vector<HomePart>& parts) {
  std::map<std::string, std::string> names;
  for (const HomePart& part : parts) {
    const auto [at, is_new] = names.try_emplace(part.topic, part.name);
    if (is_new) continue;
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("\"{}\" and \"{}\" would both be \"{}\" in topics; rename one", at->second, part.name, part.topic)};
  }
  return Done{};
}

}  // namespace

std::string topic_name(std::string_view name) {
  std::string topic;
  bool is_changed = name.empty();
  for (const char c : name) {
    if (is_plain(c)) {
      topic += c;
    } else if (!topic.empty() && topic.back() != '_') {
      topic += '_';
      is_changed = is_changed || (c != ' ' && c != '_');
    } else {
      is_changed = true;
    }
  }
  if (topic.ends_with('_')) {
    topic.pop_back();
    is_changed = true;
  }
  if (!is_changed) return topic;
  return fmt::format("{}{}{}", topic, topic.empty() ? "" : "_", to_hex(sha256(name).substr(0, 3)));
}

Result<std::vector<HomeStream>> home_plan(const pipeline::PipelineSpec& spec) {
  const auto reach = streams_of(spec);
  std::vector<HomeStream> streams;
  std::vector<HomePart> names;
  for (const auto& source : spec.sources) {
    HomeStream stream;
    stream.name = source.name;
    stream.topic = topic_name(source.name);
    stream.kind = source.kind;
    names.push_back({stream.name, stream.topic});
    for (const StageSpec& stage : spec.stages) {
      if (reach.at(stage.name).contains(source.name)) add_stage(stage, stream);
    }
    std::vector<HomePart> parts = stream.zones;
    parts.insert(parts.end(), stream.lines.begin(), stream.lines.end());
    parts.insert(parts.end(), stream.rules.begin(), stream.rules.end());
    VERGE_CHECK(check_topics(parts));
    streams.push_back(std::move(stream));
  }
  VERGE_CHECK(check_topics(names));
  return streams;
}

}  // namespace verge::connectors
