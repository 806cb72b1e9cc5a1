#include "agent/router/module_twins.h"

#include <fmt/format.h>
#include <vector>

#include "base/bytes.h"
#include "base/disk.h"
#include "base/log.h"
#include "contract/twin.h"

namespace verge::agent {
namespace {

struct Kept {
  bool is_known = false;  ///< Read from the hub at least once.
  Json desired = Json::object(), reported = Json::object();
  std::int64_t desired_version = 1, reported_version = 1;
  Json pending = Json::object();  ///< Reported here, not yet at the hub; nulls included.
  bool is_syncing = false;

  Json as_twin() const {
    Json twin = {{"desired", desired}, {"reported", reported}};
    merge_patch(twin["reported"], pending);
    twin["desired"]["$version"] = desired_version;
    twin["reported"]["$version"] = reported_version;
    return twin;
  }
  bool has_pending() const { return !pending.empty(); }
};

/// A patch merged into a patch keeps its nulls, unlike merge_patch, for they are still to be carried out.
void combine_patches(Json& first, const Json& second) {
  for (const auto& [key, value] : second.items()) {
    Json& place = first[key];
    if (value.is_object() && place.is_object()) {
      combine_patches(place, value);
    } else {
      place = value;
    }
  }
}

/// Takes "$version" out.
std::int64_t take_version(Json& properties) {
  const auto version = integer_member(properties, "$version");
  properties.erase("$version");
  properties.erase("$metadata");
  return version ? *version : 1;
}

Json to_file(const Kept& kept) {
  return {{"known", kept.is_known},
          {"desired", kept.desired},
          {"desired_version", kept.desired_version},
          {"reported", kept.reported},
          {"reported_version", kept.reported_version},
          {"pending", kept.pending}};
}

Json object_at(const Json& json, std::string_view key) {
  const Json* found = find_member(json, {key});
  return found != nullptr && found->is_object() ? *found : Json::object();
}

Kept from_file(const Json& json) {
  Kept kept;
  const auto known = bool_member(json, "known");
  kept.is_known = known && *known;
  kept.desired = object_at(json, "desired");
  kept.reported = object_at(json, "reported");
  kept.pending = object_at(json, "pending");
  const auto desired_version = integer_member(json, "desired_version", 1);
  const auto reported_version = integer_member(json, "reported_version", 1);
  kept.desired_version = desired_version ? *desired_version : 1;
  kept.reported_version = reported_version ? *reported_version : 1;
  return kept;
}

bool is_away(const Error& error) { return error.code == ErrorCode::unavailable || error.code == ErrorCode::timeout; }

}  // namespace

struct ModuleTwins::Impl : std::enable_shared_from_this<ModuleTwins::Impl> {
  Impl(Loop& l, Workers& w, std::filesystem::path f, Upstream u, OnDesired d, ModuleTwinsOptions o)
      : loop(l), workers(w), folder(std::move(f)), upstream(std::move(u)), on_desired(std::move(d)), options(o) {}

  /// Reads that came before the twin was known.
  struct FirstRead {
    Loop::TimerId timer = 0;
    std::vector<std::function<void(Result<Json>)>> waiting;
  };

  Loop& loop;
  Workers& workers;
  const std::filesystem::path folder;
  const Upstream upstream;
  const OnDesired on_desired;
  const ModuleTwinsOptions options;
  std::map<std::string, Kept> twins;
  std::map<std::string, FirstRead> first_reads;

  std::filesystem::path path_of(const std::string& module) const { return folder / (percent_encode(module) + ".json"); }

  Kept& kept(const std::string& module) {
    const auto found = twins.find(module);
    if (found != twins.end()) return found->second;
    Kept twin;
    if (const auto text = read_file(path_of(module), 1U << 20U)) {
      const auto json = parse_json(*text);
      if (json && json->is_object()) twin = from_file(*json);
    }
    return twins.emplace(module, std::move(twin)).first->second;
  }

  void save(const std::string& module, std::function<void(Status)> done = {}) {
    const auto job = [self = shared_from_this(), path = path_of(module), text = to_text(to_file(kept(module))), done] {
      const Status written = write_file(path, text, 0600);
      if (!written) log_error("twins", written.error());
      if (!done) return;
      self->loop.post([done, written] { done(written); });
    };
    if (const auto submitted = workers.submit(job); !submitted && done) done(submitted);
  }

  // -- the module's side

  void get(const std::string& module, std::function<void(Result<Json>)> done) {
    if (!upstream.is_online(module)) return answer_when_known(module, std::move(done));
    upstream.get_twin(module, [weak = weak_from_this(), module, done](Result<Json> twin) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      if (!twin && !is_away(twin.error())) return done(std::move(twin));
      if (twin) self->keep(module, *std::move(twin));
      self->answer_when_known(module, done);
    });
  }

  void answer_when_known(const std::string& module, std::function<void(Result<Json>)> done) {
    if (kept(module).is_known) return done(from_kept(module));
    FirstRead& read = first_reads[module];
    if (read.waiting.size() >= options.waiting_max) return done(from_kept(module));
    read.waiting.push_back(std::move(done));
    if (read.timer != 0) return;
    read.timer = loop.after(options.first_read_wait, [weak = weak_from_this(), module] {
      if (const auto self = weak.lock()) self->answer_first_reads(module);
    });
  }

  void answer_first_reads(const std::string& module) {
    const auto found = first_reads.find(module);
    if (found == first_reads.end()) return;
    const FirstRead read = std::move(found->second);
    first_reads.erase(found);
    loop.cancel(read.timer);
    for (const auto& done : read.waiting) done(from_kept(module));
  }

  Result<Json> from_kept(const std::string& module) {
    const Kept& twin = kept(module);
    if (twin.is_known) return twin.as_twin();
    return Error{ErrorCode::unavailable,
                 fmt::format("read the twin of module {}: the hub is away, and this device never read it", module)};
  }

  void report(const std::string& module, const Json& patch, std::function<void(Result<std::int64_t>)> done) {
    if (!upstream.is_online(module) || kept(module).has_pending()) return report_here(module, patch, std::move(done));
    upstream.report(module, patch, [weak = weak_from_this(), module, patch, done](Result<std::int64_t> version) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      if (!version && is_away(version.error())) return self->report_here(module, patch, done);
      if (!version) return done(version);
      Kept& twin = self->kept(module);
      merge_patch(twin.reported, patch);
      twin.reported_version = *version;
      self->save(module);
      done(version);
    });
  }

  /// Acknowledged once it is on stable storage.
  void report_here(const std::string& module, const Json& patch, std::function<void(Result<std::int64_t>)> done) {
    Kept& twin = kept(module);
    Json merged = twin.as_twin()["reported"];
    merged.erase("$version");
    merge_patch(merged, patch);
    const auto checked = contract::check_properties(patch, merged, contract::kReportedBytesMax, "Properties.Reported");
    if (!checked) return done(checked.error());
    combine_patches(twin.pending, patch);
    ++twin.reported_version;
    save(module, [version = twin.reported_version, done](const Status& written) {
      if (!written) return done(written.error());
      done(version);
    });
    if (upstream.is_online(module)) sync(module);
  }

  // -- the hub's side

  void upstream_connected(const std::string& module) {
    if (kept(module).has_pending()) {
      sync(module);
    } else {
      read_again(module);
    }
  }

  void sync(const std::string& module) {
    Kept& twin = kept(module);
    if (twin.is_syncing || !twin.has_pending()) return;
    twin.is_syncing = true;
    const Json sent = twin.pending;
    upstream.report(module, sent, [weak = weak_from_this(), module, sent](const Result<std::int64_t>& version) {
      const auto self = weak.lock();
      if (self != nullptr) self->finish_sync(module, sent, version);
    });
  }

  void finish_sync(const std::string& module, const Json& sent, const Result<std::int64_t>& version) {
    Kept& twin = kept(module);
    twin.is_syncing = false;
    if (!version && is_away(version.error())) return;  // Again at the next connection.
    if (!version) {
      log_warning("twins", "the hub refuses reported properties that were stored here; they are dropped",
                  {{"module", module}, {"reason", version.error().message}});
    } else {
      merge_patch(twin.reported, sent);
      twin.reported_version = *version;
    }
    if (twin.pending == sent) {
      twin.pending = Json::object();
    } else {
      // More was reported while this was under way: sending the whole again is harmless.
      return save(module), sync(module);
    }
    save(module);
    read_again(module);
  }

  void read_again(const std::string& module) {
    upstream.get_twin(module, [weak = weak_from_this(), module](Result<Json> twin) {
      const auto self = weak.lock();
      if (self != nullptr && twin) self->keep(module, *std::move(twin));
    });
  }

  /// Takes the hub's view; the module hears what is new in it.
  void keep(const std::string& module, Json twin) {
    Kept& known = kept(module);
    Json desired = object_at(twin, "desired");
    Json reported = object_at(twin, "reported");
    const auto desired_version = take_version(desired);
    const auto reported_version = take_version(reported);
    Json changes = known.is_known ? contract::difference(known.desired, desired) : Json::object();
    const bool is_same = known.is_known && known.desired_version == desired_version &&
                         known.reported_version == reported_version && changes.empty() && known.reported == reported;
    known.is_known = true;
    known.desired = std::move(desired);
    known.desired_version = desired_version;
    known.reported = std::move(reported);
    known.reported_version = reported_version;
    answer_first_reads(module);
    if (is_same) return;
    save(module);
    if (!changes.empty()) pass_on(module, desired_version, std::move(changes));
  }

  void upstream_desired(const std::string& module, std::int64_t version, const Json& patch) {
    Kept& twin = kept(module);
    if (!twin.is_known || version != twin.desired_version + 1) return read_again(module);
    Json changes = patch;
    take_version(changes);
    merge_patch(twin.desired, changes);
    twin.desired_version = version;
    save(module);
    pass_on(module, version, std::move(changes));
  }

  void pass_on(const std::string& module, std::int64_t version, Json changes) const {
    changes["$version"] = version;
    on_desired(module, version, changes);
  }
};

ModuleTwins::ModuleTwins(Loop& loop, Workers& workers, std::filesystem::path folder, Upstream upstream,
                         OnDesired on_desired, ModuleTwinsOptions options)
    : impl_(std::make_shared<Impl>(loop, workers, std::move(folder), std::move(upstream), std::move(on_desired),
                                   options)) {}
ModuleTwins::~ModuleTwins() = default;

void ModuleTwins::get(const std::string& module, std::function<void(Result<Json>)> done) {
  impl_->get(module, std::move(done));
}
void ModuleTwins::report(const std::string& module, const Json& patch, std::function<void(Result<std::int64_t>)> done) {
  impl_->report(module, patch, std::move(done));
}
void ModuleTwins::upstream_connected(const std::string& module) { impl_->upstream_connected(module); }
void ModuleTwins::upstream_desired(const std::string& module, std::int64_t version, const Json& patch) {
  impl_->upstream_desired(module, version, patch);
}
bool ModuleTwins::has_pending(const std::string& module) const { return impl_->kept(module).has_pending(); }

}  // namespace verge::agent
