#include "pipeline/needs.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <optional>

namespace verge::pipeline {
namespace {

/// Of both kinds of stage, what this page asks.
struct Asked {
  const std::function<void(const Json&, Provided&)>* provide = nullptr;
  const std::function<Status(const Json&, const Provided&)>* check = nullptr;
};

Asked asked_of(const StageSpec& stage, const Catalog& catalog) {
  if (const auto* kind = catalog.find_stage(stage.kind)) return {&kind->provide, &kind->check};
  if (const auto* kind = catalog.find_shared(stage.kind)) return {&kind->provide, &kind->check};
  return {};
}

/// By source or stage, what the packets bear that come out of it; nothing for those that the stream does not pass.
using Outcome = std::map<std::string, Provided>;

std::optional<Provided> before(const StageSpec& stage, const Outcome& outcome) {
  std::optional<Provided> common;
  for (const std::string& input : stage.inputs) {
    const auto way = outcome.find(input);
    if (way == outcome.end()) continue;
    if (!common) {
      common = way->second;
    } else {
      std::erase_if(*common, [&](const auto& fact) { return !way->second.contains(fact); });
    }
  }
  return common;
}

std::vector<Unmet> find_unmet_of(const std::string& stream, const std::vector<const StageSpec*>& order,
                                 const Catalog& catalog) {
  std::vector<Unmet> unmet;
  Outcome outcome{{stream, {}}};
  for (const StageSpec* stage : order) {
    auto provided = before(*stage, outcome);
    if (!provided) continue;
    const Asked asked = asked_of(*stage, catalog);
    if (asked.check != nullptr && *asked.check) {
      Status met = (*asked.check)(stage->options, *provided);
      if (!met) unmet.push_back({stage->name, std::move(met).error()});
    }
    if (asked.provide != nullptr && *asked.provide) (*asked.provide)(stage->options, *provided);
    outcome[stage->name] = *std::move(provided);
  }
  return unmet;
}

/// One stream for each way through the stages: those that begin at the same ones fare alike.
std::vector<std::string> streams_by_way(const PipelineSpec& spec) {
  std::map<std::vector<std::string>, std::string> ways;
  for (const SourceSpec& source : spec.sources) {
    std::vector<std::string> first;
    for (const StageSpec& stage : spec.stages) {
      if (std::ranges::find(stage.inputs, source.name) != stage.inputs.end()) first.push_back(stage.name);
    }
    ways.emplace(std::move(first), source.name);
  }
  std::vector<std::string> streams;
  for (const auto& [first, stream] : ways) streams.push_back(stream);
  return streams;
}

}  // namespace

std::vector<Unmet> find_unmet(const PipelineSpec& spec, const Catalog& catalog) {
  const std::vector<const StageSpec*> order = in_order(spec);
  const std::vector<std::string> streams = streams_by_way(spec);
  std::vector<Unmet> all;
  for (const std::string& stream : streams) {
    for (Unmet& unmet : find_unmet_of(stream, order, catalog)) {
      if (std::ranges::find(all, unmet.stage, &Unmet::stage) != all.end()) continue;
      if (streams.size() > 1) unmet.problem.message += fmt::format(" on stream \"{}\"", stream);
      all.push_back(std::move(unmet));
    }
  }
  return all;
}

}  // namespace verge::pipeline
