#include <algorithm>

#include "base/assert.h"
#include "pipeline/stage.h"

namespace verge::pipeline {
namespace {

template <class Map, class Part>
void insert(Map& map, Kind<Part> kind) {
  VERGE_ASSERT(!kind.name.empty() && kind.make);
  const std::string name = kind.name;
  VERGE_ASSERT(map.emplace(name, std::move(kind)).second);
}

template <class Map>
auto* find(const Map& map, std::string_view name) {
  const auto at = map.find(name);
  return at == map.end() ? nullptr : &at->second;
}

template <class Map>
void append_names(const Map& map, std::vector<std::string>& names) {
  for (const auto& [name, kind] : map) names.push_back(name);
}

}  // namespace

void Catalog::add(Kind<Source> kind) { insert(sources_, std::move(kind)); }
void Catalog::add(Kind<Sink> kind) { insert(sinks_, std::move(kind)); }
void Catalog::add(Kind<Stage> kind) {
  VERGE_ASSERT(find_shared(kind.name) == nullptr);
  insert(stages_, std::move(kind));
}
void Catalog::add(Kind<SharedStage> kind) {
  VERGE_ASSERT(find_stage(kind.name) == nullptr);
  insert(shared_, std::move(kind));
}
void Catalog::add_live_renderer(LiveRenderer renderer) { renderers_.push_back(std::move(renderer)); }

const Kind<Source>* Catalog::find_source(std::string_view name) const { return find(sources_, name); }
const Kind<Stage>* Catalog::find_stage(std::string_view name) const { return find(stages_, name); }
const Kind<SharedStage>* Catalog::find_shared(std::string_view name) const { return find(shared_, name); }
const Kind<Sink>* Catalog::find_sink(std::string_view name) const { return find(sinks_, name); }

std::vector<std::string> Catalog::source_names() const {
  std::vector<std::string> names;
  append_names(sources_, names);
  return names;
}

std::vector<std::string> Catalog::stage_names() const {
  std::vector<std::string> names;
  append_names(stages_, names);
  append_names(shared_, names);
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> Catalog::sink_names() const {
  std::vector<std::string> names;
  append_names(sinks_, names);
  return names;
}

std::optional<LiveFrame> Catalog::render(const Packet& packet, const LiveRequest& request) const {
  for (const LiveRenderer& renderer : renderers_) {
    if (auto frame = renderer(packet, request)) return frame;
  }
  return std::nullopt;
}

}  // namespace verge::pipeline
