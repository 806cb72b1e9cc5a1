#include "pipeline/pipeline_file.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/crypto.h"
#include "pipeline/nearest_word.h"
#include "pipeline/needs.h"
#include "pipeline/yaml.h"

namespace verge::pipeline {
namespace {

constexpr std::size_t kItemsMax = 256;  // Sources, stages or sinks each; far above any sound pipeline.

Error mistake(const std::string& where, std::string_view message) {
  return Error{ErrorCode::invalid_argument, fmt::format("{}: {}", where, message)};
}

/// A name as a key of a twin, which may hold no blank, dot or dollar.
std::string twin_key(std::string name) {
  std::ranges::replace_if(
      name, [](char c) { return c == ' ' || c == '.' || c == '$'; }, '_');
  return name;
}

/// A source, stage or sink before it is checked, with what is needed to say where it came from.
struct Item {
  std::string name, kind;
  bool has_own_name = false;
  Json options = Json::object();  ///< All members, "name" and "inputs" included, "kind" not.
  std::string pointer;            ///< Into the file; empty when the twin brought it.
  std::string twin_path;          ///< "/stages/detect", for values that the twin set.
  std::set<std::string> patched;  ///< Members the twin set.
  std::set<std::string> without;  ///< Options of the file that the twin took away.
};

/// Everything read, before checking.
struct Draft {
  Json version = 1;
  Json purpose, privacy, evidence;
  std::set<std::string> patched;  ///< Keys that the twin changed.
  std::vector<Item> sources, stages, sinks;
};

class Reader {
 public:
  explicit Reader(const YamlDocument& document) : document_(document) {}

  std::string where(const Item& item, std::string_view member = {}) const {
    const bool from_twin = item.pointer.empty() || (!member.empty() && item.patched.contains(std::string(member)));
    const std::string step = member.empty() ? "" : "/" + pointer_step(member);
    return from_twin ? "twin: " + item.twin_path + step : document_.where(item.pointer + step);
  }

  /// {"gate": {"kind": "camera", …}}
  Status read_sources(const Json& sources, const std::string& place, bool from_twin, std::vector<Item>& items) const {
    if (!sources.is_object()) return mistake(place, "sources is a map from a name to {kind: …}");
    for (const auto& [name, body] : sources.items()) {
      Item item;
      item.name = name;
      item.has_own_name = true;
      item.twin_path = "/sources/" + pointer_step(name);
      if (!from_twin) item.pointer = item.twin_path;
      if (!body.is_object() || !body.contains("kind")) {
        return mistake(where(item), fmt::format("source \"{}\" needs a kind: {{kind: camera, …}}", name));
      }
      VERGE_CHECK(take_kind(item, body));
      items.push_back(std::move(item));
    }
    return Done{};
  }

  /// One more stage or sink that the twin brings: {"kind": "zone", "polygon": …} under the key that `item` has as name.
  Status read_added(const Json& body, Item& item) const {
    VERGE_CHECK(take_kind(item, body));
    const auto given = item.options.find("name");
    if (given != item.options.end()) {
      if (!given->is_string() || twin_key(given->get<std::string>()) != item.name) {
        return mistake(where(item, "name"), fmt::format("name must be \"{}\", as its key in the twin", item.name));
      }
      item.name = given->get<std::string>();
    }
    item.options["name"] = item.name;
    item.has_own_name = true;
    return Done{};
  }

  /// [{"detect": {…}}, "track", {"kind": "router", …}]
  Status read_list(const Json& list, std::string_view key, const std::string& place, bool from_twin,
                   std::vector<Item>& items) const {
    if (!list.is_array()) return mistake(place, fmt::format("{} is a list, one line each: - kind: {{options}}", key));
    for (std::size_t i = 0; i < list.size(); ++i) {
      Item item;
      item.twin_path = fmt::format("/{}/{}", key, i);
      if (!from_twin) item.pointer = item.twin_path;
      VERGE_CHECK(read_element(list[i], item));
      items.push_back(std::move(item));
    }
    return name_all(items);
  }

 private:
  Status take_kind(Item& item, const Json& body) const {
    if (!body["kind"].is_string()) return mistake(where(item, "kind"), "kind must be a word");
    item.kind = body["kind"].get<std::string>();
    item.options = body;
    item.options.erase("kind");
    return Done{};
  }

  Status read_element(const Json& element, Item& item) const {
    if (element.is_string()) {
      item.kind = element.get<std::string>();
      return Done{};
    }
    if (element.is_object() && element.contains("kind")) return take_kind(item, element);
    if (!element.is_object() || element.size() != 1) {
      return mistake(where(item), "one kind is expected here: - kind: {options}");
    }
    item.kind = element.begin().key();
    const std::string step = "/" + pointer_step(item.kind);
    item.twin_path += step;
    if (!item.pointer.empty()) item.pointer += step;
    const Json& body = element.begin().value();
    if (body.is_null()) return Done{};
    if (!body.is_object())
      return mistake(where(item), fmt::format("{} takes options: {}: {{…}}", item.kind, item.kind));
    item.options = body;
    return Done{};
  }

  Status name_all(std::vector<Item>& items) const {
    std::set<std::string> taken;
    for (Item& item : items) {
      const auto given = item.options.find("name");
      if (given == item.options.end() || given->is_null()) continue;
      if (!given->is_string() || given->get<std::string>().empty()) {
        return mistake(where(item, "name"), "name must be a word");
      }
      item.name = given->get<std::string>();
      item.has_own_name = true;
      if (!taken.insert(item.name).second) {
        return mistake(where(item, "name"), fmt::format("the name \"{}\" is used twice; choose another", item.name));
      }
    }
    for (Item& item : items) {
      if (item.has_own_name) continue;
      item.name = item.kind;
      for (int number = 2; !taken.insert(item.name).second; ++number)
        item.name = fmt::format("{}{}", item.kind, number);
    }
    return Done{};
  }

  const YamlDocument& document_;
};

const std::vector<std::string> kTopKeys = {"evidence", "privacy", "purpose", "sinks", "sources", "stages", "version"};

Result<Draft> read_file_part(const YamlDocument& document, const Reader& reader) {
  const Json& root = document.value;
  if (!root.is_object()) return mistake(document.where(""), "a pipeline file is a map with sources, stages and sinks");
  for (const auto& [key, value] : root.items()) {
    if (std::ranges::find(kTopKeys, key) == kTopKeys.end()) {
      return mistake(document.where("/" + pointer_step(key)),
                     fmt::format("unknown key \"{}\"{}", key, suggestion(key, kTopKeys)));
    }
  }
  Draft draft;
  draft.version = root.value("version", Json(1));
  draft.purpose = root.value("purpose", Json());
  draft.privacy = root.value("privacy", Json());
  draft.evidence = root.value("evidence", Json());
  if (root.contains("sources")) {
    VERGE_CHECK(reader.read_sources(root["sources"], document.where("/sources"), false, draft.sources));
  }
  for (auto [key, items] : {std::pair{"stages", &draft.stages}, std::pair{"sinks", &draft.sinks}}) {
    if (!root.contains(key) || root[key].is_null()) continue;
    VERGE_CHECK(reader.read_list(root[key], key, document.where("/" + std::string(key)), false, *items));
  }
  return draft;
}

/// "without": options that count as if the file did not give them.
Status take_away(Item& item, const Json& names) {
  const std::string place = "twin: " + item.twin_path + "/without";
  if (!names.is_array()) return mistake(place, "without is a list of options: [schedule]");
  for (const Json& each : names) {
    const std::string name = each.is_string() ? each.get<std::string>() : to_text(each);
    if (name == "name" || name == "kind") return mistake(place, fmt::format("the {} cannot be taken away", name));
    item.options.erase(name);
    item.without.insert(name);
  }
  return Done{};
}

/// Merges one item's members (RFC 7396 below it), remembering which the twin set.
Status patch_item(Item& item, const Json& patch) {
  for (const auto& [key, value] : patch.items()) {
    if (key == "without") continue;  // Last, whatever else is said of them.
    if (key == "kind") {
      if (!value.is_string()) return mistake("twin: " + item.twin_path + "/kind", "kind must be a word");
      item.kind = value.get<std::string>();
    } else if (key == "name" && item.has_own_name == false) {
      return mistake("twin: " + item.twin_path + "/name", "a stage cannot be renamed by the twin");
    } else {
      Json wrapped = Json::object();
      wrapped[key] = value;
      merge_patch(item.options, wrapped);
    }
    item.patched.insert(key);
  }
  return patch.contains("without") ? take_away(item, patch["without"]) : Done{};
}

/// By name, else by the name as a twin's key.
std::vector<Item>::iterator find_named(std::vector<Item>& items, const std::string& key) {
  const auto exact = std::ranges::find(items, key, &Item::name);
  if (exact != items.end()) return exact;
  return std::ranges::find(items, key, [](const Item& item) { return twin_key(item.name); });
}

std::vector<std::string> names_of(const std::vector<Item>& items) {
  std::vector<std::string> names;
  for (const Item& item : items) names.push_back(item.name);
  return names;
}

/// An item that the file does not have, and after which one it comes; empty: at the end.
struct Addition {
  Item item;
  std::string after;
};

Result<Addition> read_addition(const std::vector<Item>& items, const std::string& path, const std::string& key,
                               const Json& body, const Reader& reader) {
  Addition added;
  added.item.name = key;
  added.item.twin_path = path;
  if (!body.is_object() || !body.contains("kind")) {
    return mistake("twin: " + path, fmt::format("there is no \"{}\"{}; to add one, give its kind", key,
                                                suggestion(key, names_of(items))));
  }
  VERGE_CHECK(reader.read_added(body, added.item));
  const auto after = added.item.options.find("after");
  if (after == added.item.options.end()) return added;
  if (!after->is_string() || after->get<std::string>().empty()) {
    return mistake("twin: " + path + "/after", "after is the name of the one before it");
  }
  added.after = after->get<std::string>();
  added.item.options.erase("after");
  return added;
}

/// Each after the one it names, which may be another addition.
Status place_additions(std::vector<Item>& items, std::vector<Addition> additions) {
  while (!additions.empty()) {
    const std::size_t open = additions.size();
    std::erase_if(additions, [&](Addition& added) {
      const auto before = added.after.empty() ? items.end() : find_named(items, added.after);
      if (!added.after.empty() && before == items.end()) return false;
      items.insert(before == items.end() ? before : before + 1, std::move(added.item));
      return true;
    });
    if (additions.size() < open) continue;
    const Addition& lost = additions.front();
    return mistake("twin: " + lost.item.twin_path + "/after",
                   fmt::format("there is no \"{}\"{}", lost.after, suggestion(lost.after, names_of(items))));
  }
  return Done{};
}

/// A twin holds no null: a key that was set to null is gone, and what the file says counts again.
Json without_nulls(const Json& patch) {
  if (!patch.is_object()) return patch;
  Json kept = Json::object();
  for (const auto& [key, value] : patch.items()) {
    if (!value.is_null()) kept[key] = without_nulls(value);
  }
  return kept;
}

bool is_removal(const Json& body) { return body.is_boolean() && !body.get<bool>(); }

/// {"detect": {"score_min": 0.5}, "zone": false, "door": {"kind": "zone", "after": "track", …}}: by name, so that a
/// patch need not repeat the list. What goes, goes last: an addition may come after it.
Status patch_named(std::vector<Item>& items, std::string_view key, const Json& patch, const Reader& reader) {
  std::vector<Addition> additions;
  std::vector<std::string> removed;
  for (const auto& [name, body] : patch.items()) {
    const auto at = find_named(items, name);
    const std::string path = fmt::format("/{}/{}", key, pointer_step(name));
    if (is_removal(body)) {
      if (at != items.end()) removed.push_back(at->name);
    } else if (at != items.end()) {
      if (!body.is_object()) return mistake("twin: " + path, "give a map of options, or false to remove it");
      at->twin_path = path;
      VERGE_CHECK(patch_item(*at, body));
    } else if (key == "sources") {
      Json one = Json::object();
      one[name] = body;
      VERGE_CHECK(reader.read_sources(one, "twin: /sources", true, items));
    } else {
      VERGE_TRY(Addition added, read_addition(items, path, name, body, reader));
      additions.push_back(std::move(added));
    }
  }
  VERGE_CHECK(place_additions(items, std::move(additions)));
  std::erase_if(items, [&](const Item& item) { return std::ranges::find(removed, item.name) != removed.end(); });
  return Done{};
}

/// What named sources that the twin removed: stages and sinks go on with their other inputs, masks go.
Status forget_sources(Draft& draft, const std::set<std::string>& removed) {
  for (auto* items : {&draft.stages, &draft.sinks}) {
    for (Item& item : *items) {
      const auto inputs = item.options.find("inputs");
      if (inputs == item.options.end() || !inputs->is_array() || inputs->empty()) continue;
      std::string last;
      for (std::size_t at = inputs->size(); at-- > 0;) {
        if (!(*inputs)[at].is_string() || !removed.contains((*inputs)[at].get<std::string>())) continue;
        last = (*inputs)[at].get<std::string>();
        inputs->erase(at);
      }
      if (last.empty() || !inputs->empty()) continue;
      return mistake(
          "twin: /sources/" + pointer_step(last),
          fmt::format("\"{0}\" takes from \"{1}\" alone, which would be gone; remove \"{0}\", too (false), or give it "
                      "other inputs",
                      item.name, last));
    }
  }
  if (!draft.privacy.is_object() || !draft.privacy.contains("mask") || !draft.privacy["mask"].is_object()) {
    return Done{};
  }
  for (const std::string& name : removed) draft.privacy["mask"].erase(name);
  return Done{};
}

Status apply_patch(Draft& draft, const Json& given, const Reader& reader) {
  if (given.is_null()) return Done{};
  if (!given.is_object()) return mistake("twin: /", "pipeline must be a map with sources, stages or sinks");
  const Json patch = without_nulls(given);
  std::set<std::string> removed;
  for (const Item& source : draft.sources) removed.insert(source.name);
  for (const auto& [key, value] : patch.items()) {
    const std::string place = "twin: /" + pointer_step(key);
    draft.patched.insert(key);
    if (key == "version") {
      draft.version = value;
    } else if (key == "purpose") {
      draft.purpose = value;
    } else if (key == "privacy" || key == "evidence") {
      merge_patch(key == "privacy" ? draft.privacy : draft.evidence, value);
    } else if (key == "sources" || key == "stages" || key == "sinks") {
      std::vector<Item>& items = key == "sources" ? draft.sources : key == "stages" ? draft.stages : draft.sinks;
      if (value.is_object()) {
        VERGE_CHECK(patch_named(items, key, value, reader));
      } else if (key != "sources" && value.is_array()) {
        items.clear();
        VERGE_CHECK(reader.read_list(value, key, place, true, items));
      } else {
        return mistake(place, key == "sources" ? "give a map from names to sources" : "give a list, or a map by name");
      }
    } else {
      return mistake(place, fmt::format("unknown key \"{}\"{}", key, suggestion(key, kTopKeys)));
    }
  }
  if (draft.sources.empty() && !removed.empty()) {
    return mistake("twin: /sources",
                   "a pipeline needs at least one source, and every one would be gone; leave one, or add another");
  }
  for (const Item& source : draft.sources) removed.erase(source.name);
  return removed.empty() ? Done{} : forget_sources(draft, removed);
}

bool is_point(const Json& value) {
  return value.is_array() && value.size() == 2 && value[0].is_number() && value[1].is_number();
}

/// What is wrong with the value, or empty.
std::string type_mistake(const OptionInfo& option, const Json& value) {
  const auto wrong = [&](std::string_view wanted) {
    return fmt::format("{} must be {}, not {}", option.name, wanted, to_text(value).substr(0, 80));
  };
  if (option.type == "number") return value.is_number() ? "" : wrong("a number");
  if (option.type == "integer") return value.is_number_integer() ? "" : wrong("a whole number");
  if (option.type == "text") return value.is_string() ? "" : wrong("a text");
  if (option.type == "path") return value.is_string() ? "" : wrong("a path");
  if (option.type == "flag") return value.is_boolean() ? "" : wrong("true or false");
  if (option.type == "list") return value.is_array() ? "" : wrong("a list");
  if (option.type == "object") return value.is_object() ? "" : wrong("a map");
  if (option.type == "points") {
    const bool fits = value.is_array() && value.size() >= 2 && std::ranges::all_of(value, is_point);
    return fits ? "" : wrong("a list of two or more points [x, y]");
  }
  return fmt::format("{}: the catalogue gives it the unknown type \"{}\"", option.name, option.type);
}

/// Checks the members against the kind's options and fills in defaults.
Result<Json> check_options(const Item& item, const std::vector<OptionInfo>& options, std::vector<std::string> reserved,
                           const Reader& reader) {
  std::vector<std::string> allowed = reserved;
  for (const OptionInfo& option : options) {
    if (std::ranges::find(allowed, option.name) == allowed.end()) allowed.push_back(option.name);
  }
  std::ranges::sort(allowed);
  for (const auto& [key, value] : item.options.items()) {
    if (std::ranges::find(allowed, key) != allowed.end()) continue;
    return mistake(reader.where(item, key),
                   fmt::format("{} has no option \"{}\"{}", item.kind, key, suggestion(key, allowed)));
  }
  for (const std::string& name : item.without) {
    if (std::ranges::find(allowed, name) != allowed.end()) continue;
    return mistake(fmt::format("twin: {}/without", item.twin_path),
                   fmt::format("{} has no option \"{}\"{}", item.kind, name, suggestion(name, allowed)));
  }
  Json checked = Json::object();
  for (const OptionInfo& option : options) {
    const auto given = item.options.find(option.name);
    if (given == item.options.end() || given->is_null()) {
      if (option.is_required) {
        return mistake(reader.where(item),
                       fmt::format("{} needs the option \"{}\": {}", item.kind, option.name, option.summary));
      }
      if (!option.fallback.is_null()) checked[option.name] = option.fallback;
      continue;
    }
    if (const std::string wrong = type_mistake(option, *given); !wrong.empty()) {
      return mistake(reader.where(item, option.name), wrong);
    }
    checked[option.name] = *given;
  }
  return checked;
}

Result<std::vector<std::string>> check_inputs(const Item& item, const std::vector<std::string>& known,
                                              const Reader& reader) {
  std::vector<std::string> inputs;
  const auto given = item.options.find("inputs");
  if (given == item.options.end() || given->is_null()) return inputs;
  if (!given->is_array() || given->empty()) {
    return mistake(reader.where(item, "inputs"), "inputs is a list of sources or stages: [gate]");
  }
  for (const Json& input : *given) {
    const std::string name = input.is_string() ? input.get<std::string>() : to_text(input);
    if (std::ranges::find(known, name) == known.end()) {
      return mistake(reader.where(item, "inputs"),
                     fmt::format("no source or stage is called \"{}\"{}", name, suggestion(name, known)));
    }
    if (std::ranges::find(inputs, name) != inputs.end()) {
      return mistake(reader.where(item, "inputs"), fmt::format("input \"{}\" is given twice", name));
    }
    inputs.push_back(name);
  }
  return inputs;
}

/// Errors: a stage that waits for itself, directly or through others.
Status check_no_cycle(const PipelineSpec& spec, const std::vector<Item>& stages, const Reader& reader) {
  const std::vector<const StageSpec*> order = in_order(spec);
  for (const Item& item : stages) {
    if (std::ranges::find(order, item.name, &StageSpec::name) != order.end()) continue;
    return mistake(reader.where(item, "inputs"),
                   fmt::format("stage \"{}\" gets its own output back; break the circle", item.name));
  }
  return Done{};
}

class Checker {
 public:
  Checker(const Catalog& catalog, const Reader& reader, const YamlDocument& document, const Draft& draft)
      : catalog_(catalog), reader_(reader), document_(document), draft_(draft) {}

  Result<PipelineSpec> check(const std::string& file_name) {
    if (draft_.version != Json(1)) {
      return mistake(file_name,
                     fmt::format("version {} is unknown; this program reads version 1", to_text(draft_.version)));
    }
    if (!draft_.purpose.is_null() && !draft_.purpose.is_string()) return mistake(file_name, "purpose must be a text");
    if (draft_.sources.empty()) return mistake(file_name, "a pipeline needs at least one source");
    for (const auto* items : {&draft_.sources, &draft_.stages, &draft_.sinks}) {
      if (items->size() > kItemsMax) return mistake(file_name, fmt::format("more than {} entries", kItemsMax));
    }
    VERGE_CHECK(check_names());
    PipelineSpec spec;
    VERGE_CHECK(add_sources(spec));
    VERGE_CHECK(add_stages(spec));
    VERGE_CHECK(add_sinks(spec));
    VERGE_CHECK(add_privacy(spec));
    VERGE_CHECK(check_no_cycle(spec, draft_.stages, reader_));
    VERGE_CHECK(check_needs(spec));
    return spec;
  }

 private:
  Status check_names() {
    for (const Item& item : draft_.sources) known_.push_back(item.name);
    for (const Item& item : draft_.stages) {
      if (std::ranges::find(known_, item.name) != known_.end()) {
        return mistake(reader_.where(item, "name"),
                       fmt::format("\"{}\" is the name of a source already; choose another", item.name));
      }
    }
    for (const Item& item : draft_.stages) known_.push_back(item.name);
    return Done{};
  }

  Error unknown_kind(const Item& item, std::string_view what, const std::vector<std::string>& names) const {
    return mistake(reader_.where(item, item.options.contains("kind") ? "kind" : ""),
                   fmt::format("there is no {} \"{}\"{}", what, item.kind, suggestion(item.kind, names)));
  }

  Status add_sources(PipelineSpec& spec) const {
    for (const Item& item : draft_.sources) {
      const auto* kind = catalog_.find_source(item.kind);
      if (kind == nullptr) return unknown_kind(item, "source", catalog_.source_names());
      VERGE_TRY(Json options, check_options(item, kind->options, {}, reader_));
      spec.sources.push_back({item.name, item.kind, std::move(options)});
    }
    return Done{};
  }

  Status add_stages(PipelineSpec& spec) const {
    std::vector<std::string> before;
    for (const SourceSpec& source : spec.sources) before.push_back(source.name);
    for (const Item& item : draft_.stages) {
      const auto* stage = catalog_.find_stage(item.kind);
      const auto* shared = catalog_.find_shared(item.kind);
      if (stage == nullptr && shared == nullptr) return unknown_kind(item, "stage", catalog_.stage_names());
      VERGE_TRY(Json options,
                check_options(item, stage != nullptr ? stage->options : shared->options, {"name", "inputs"}, reader_));
      VERGE_TRY(std::vector<std::string> inputs, check_inputs(item, known_, reader_));
      // Two zones without a name would otherwise be shown by one.
      if (!item.has_own_name && options.contains("name")) options["name"] = item.name;
      spec.stages.push_back({item.name, item.kind, inputs.empty() ? before : inputs, std::move(options)});
      before = {item.name};
    }
    return Done{};
  }

  Status add_sinks(PipelineSpec& spec) const {
    for (const Item& item : draft_.sinks) {
      const auto* kind = catalog_.find_sink(item.kind);
      if (kind == nullptr) return unknown_kind(item, "sink", catalog_.sink_names());
      VERGE_TRY(Json options, check_options(item, kind->options, {"name", "inputs"}, reader_));
      VERGE_TRY(std::vector<std::string> inputs, check_inputs(item, known_, reader_));
      spec.sinks.push_back({item.name, item.kind, std::move(inputs), std::move(options)});
    }
    return Done{};
  }

  Status add_privacy(PipelineSpec& spec) const {
    const WhereIs where = [this](const std::string& pointer) {
      const std::string key = pointer.substr(1, pointer.find('/', 1) - 1);
      return draft_.patched.contains(key) ? "twin: " + pointer : document_.where(pointer);
    };
    std::vector<std::string> sources;
    for (const SourceSpec& source : spec.sources) sources.push_back(source.name);
    VERGE_TRY(spec.privacy, read_privacy(draft_.privacy, sources, where));
    VERGE_TRY(spec.evidence, read_evidence_settings(draft_.evidence, where));
    return Done{};
  }

  Status check_needs(const PipelineSpec& spec) const {
    for (const auto& [stage, problem] : find_unmet(spec, catalog_)) {
      const auto item = std::ranges::find(draft_.stages, stage, &Item::name);
      // The file may be sound, and the mistake what the twin took away from before the stage.
      const char* hint = draft_.patched.contains("stages") ? " (of the stages as the twin changed them)" : "";
      return mistake(reader_.where(*item), problem.message + hint);
    }
    return Done{};
  }

  const Catalog& catalog_;
  const Reader& reader_;
  const YamlDocument& document_;
  const Draft& draft_;
  std::vector<std::string> known_;
};

Json effective_of(const Draft& draft) {
  Json whole = {{"version", 1}, {"sources", Json::object()}, {"stages", Json::array()}, {"sinks", Json::array()}};
  if (!draft.purpose.is_null()) whole["purpose"] = draft.purpose;
  if (!draft.privacy.is_null()) whole["privacy"] = draft.privacy;
  if (!draft.evidence.is_null()) whole["evidence"] = draft.evidence;
  const auto with_kind = [](const Item& item) {
    Json body = item.options;
    body["kind"] = item.kind;
    return body;
  };
  for (const Item& item : draft.sources) whole["sources"][item.name] = with_kind(item);
  for (const Item& item : draft.stages) whole["stages"].push_back(with_kind(item));
  for (const Item& item : draft.sinks) whole["sinks"].push_back(with_kind(item));
  return whole;
}

}  // namespace

std::vector<const StageSpec*> in_order(const PipelineSpec& spec) {
  std::set<std::string> done;
  for (const SourceSpec& source : spec.sources) done.insert(source.name);
  std::vector<const StageSpec*> order;
  for (bool has_grown = true; has_grown;) {
    has_grown = false;
    for (const StageSpec& stage : spec.stages) {
      const auto is_done = [&](const std::string& input) { return done.contains(input); };
      if (done.contains(stage.name) || !std::ranges::all_of(stage.inputs, is_done)) continue;
      done.insert(stage.name);
      order.push_back(&stage);
      has_grown = true;
    }
  }
  return order;
}

Result<PipelineSpec> parse_pipeline(std::string_view text, std::string_view file_name, const Catalog& catalog,
                                    const Json& patch) {
  VERGE_TRY(const YamlDocument document, read_yaml(text, file_name));
  const Reader reader(document);
  VERGE_TRY(Draft draft, read_file_part(document, reader));
  VERGE_CHECK(apply_patch(draft, patch, reader));
  VERGE_TRY(PipelineSpec spec, Checker(catalog, reader, document, draft).check(document.file_name + ":1:1"));
  spec.effective = effective_of(draft);
  spec.hash = sha256_digest(to_text(spec.effective));
  return spec;
}

}  // namespace verge::pipeline
