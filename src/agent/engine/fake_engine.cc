#include "agent/engine/fake_engine.h"

#include <algorithm>
#include <fmt/format.h>

namespace verge::agent {

Status FakeEngine::check_answers() const {
  if (away_) return Error{ErrorCode::unavailable, "the container engine does not answer"};
  return Done{};
}

FakeEngine::Entry* FakeEngine::find(const std::string& id) {
  const auto found = containers_.find(id);
  return found == containers_.end() ? nullptr : &found->second;
}

FakeEngine::Entry* FakeEngine::find_by_name(const std::string& prefix) {
  for (auto& [id, entry] : containers_) {
    if (entry.container.name.starts_with(prefix)) return &entry;
  }
  return nullptr;
}

void FakeEngine::note(std::string_view what, const Entry& entry) {
  const auto label = entry.container.labels.find(label_);
  calls_.push_back(
      fmt::format("{} {}", what, label == entry.container.labels.end() ? entry.container.name : label->second));
}

Result<EngineInfo> FakeEngine::info() {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  EngineInfo info;
  info.name = "fake";
  info.version = "1";
  info.os = "linux";
  info.architecture = "amd64";
  return info;
}

Result<std::vector<Container>> FakeEngine::list(const Labels& labels) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  std::vector<Container> result;
  for (const auto& [id, entry] : containers_) {
    const Labels& has = entry.container.labels;
    const bool matches = std::all_of(labels.begin(), labels.end(), [&](const auto& wanted) {
      const auto found = has.find(wanted.first);
      return found != has.end() && found->second == wanted.second;
    });
    if (matches) result.push_back(entry.container);
  }
  return result;
}

Result<Container> FakeEngine::inspect(const std::string& id) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  const Entry* entry = find(id);
  if (entry == nullptr) return Error{ErrorCode::not_found, "no such container: " + id};
  return entry->container;
}

Result<std::string> FakeEngine::create(const std::string& name, const Json& body) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  const std::string image = string_member(body, "Image").value();
  if (refused_images_.count(image) != 0) {
    ++refused_count_;
    return Error{ErrorCode::invalid_argument, "create container " + name + ": invalid option"};
  }
  for (const auto& [id, entry] : containers_) {
    if (entry.container.name == name) return Error{ErrorCode::conflict, "name " + name + " is in use"};
  }
  Entry entry;
  entry.container.id = fmt::format("id{}", next_++);
  entry.container.name = name;
  entry.container.image_id = image;
  if (const Json* labels = find_member(body, {"Labels"}); labels != nullptr) {
    for (const auto& [key, value] : labels->items()) entry.container.labels[key] = value.get<std::string>();
  }
  note("create", entry);
  const std::string id = entry.container.id;
  containers_.emplace(id, std::move(entry));
  return id;
}

Status FakeEngine::start(const std::string& id) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  Entry* entry = find(id);
  if (entry == nullptr) return Error{ErrorCode::not_found, "no such container: " + id};
  if (entry->is_frozen) return Done{};
  if (refused_starts_.count(entry->container.image_id) != 0) {
    return Error{ErrorCode::internal, "start container: no such file: /entry"};
  }
  note("start", *entry);
  entry->container.state = ContainerState::running;
  entry->container.pid = 1000 + next_++;
  live_pids_.insert(entry->container.pid);
  entry->container.started_us = clock_.now_us();
  return Done{};
}

Status FakeEngine::stop(const std::string& id, int) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  Entry* entry = find(id);
  if (entry == nullptr) return Error{ErrorCode::not_found, "no such container: " + id};
  if (entry->is_frozen) return Error{ErrorCode::internal, "container did not stop"};
  note("stop", *entry);
  if (entry->container.state != ContainerState::running) return Done{};
  live_pids_.erase(entry->container.pid);
  entry->container.state = ContainerState::exited;
  entry->container.exit_code = 143;
  entry->container.pid = 0;
  entry->container.finished_us = clock_.now_us();
  return Done{};
}

Status FakeEngine::kill(const std::string& id) { return stop(id, 0); }

Status FakeEngine::remove(const std::string& id) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  Entry* entry = find(id);
  if (entry == nullptr) return Done{};
  note("remove", *entry);
  live_pids_.erase(entry->container.pid);
  containers_.erase(id);
  return Done{};
}

Result<std::string> FakeEngine::logs(const std::string&, const LogQuery&) { return std::string("a line\n"); }

Status FakeEngine::ensure_network(const std::string& name, const std::string& subnet, const std::string&,
                                  const Labels&) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  networks_[name] = subnet;
  return Done{};
}

Status FakeEngine::remove_network(const std::string& name, const Labels&) {
  const std::lock_guard lock(mutex_);
  networks_.erase(name);
  return Done{};
}

std::optional<EngineImage> FakeEngine::find_image(const std::string& reference_or_id) {
  const std::lock_guard lock(mutex_);
  if (away_) return std::nullopt;
  for (const auto& [reference, image] : images_) {
    if (reference == reference_or_id || image.id == reference_or_id) return image;
  }
  return std::nullopt;
}

Status FakeEngine::load_image(const std::filesystem::path&) { return Done{}; }

Status FakeEngine::remove_image(const std::string& reference_or_id) {
  const std::lock_guard lock(mutex_);
  VERGE_CHECK(check_answers());
  const auto found = images_.find(reference_or_id);
  if (found == images_.end()) return Done{};
  const std::string id = found->second.id;
  const bool has_other_name =
      std::count_if(images_.begin(), images_.end(), [&](const auto& image) { return image.second.id == id; }) > 1;
  const bool is_used = std::any_of(containers_.begin(), containers_.end(),
                                   [&](const auto& entry) { return entry.second.container.image_id == id; });
  if (is_used && !has_other_name) {
    return Error{ErrorCode::conflict, "remove image " + reference_or_id + ": a container uses it"};
  }
  images_.erase(found);
  return Done{};
}

void FakeEngine::add_image(const std::string& reference, const EngineImage& image) {
  const std::lock_guard lock(mutex_);
  images_[reference] = image;
}

void FakeEngine::set_away(bool away) {
  const std::lock_guard lock(mutex_);
  away_ = away;
}

void FakeEngine::refuse_image(const std::string& image_id) {
  const std::lock_guard lock(mutex_);
  refused_images_.insert(image_id);
}

int FakeEngine::refused_count() const {
  const std::lock_guard lock(mutex_);
  return refused_count_;
}

void FakeEngine::refuse_start(const std::string& image_id) {
  const std::lock_guard lock(mutex_);
  refused_starts_.insert(image_id);
}

void FakeEngine::exit(const std::string& name_prefix, int exit_code) {
  const std::lock_guard lock(mutex_);
  Entry* entry = find_by_name(name_prefix);
  VERGE_ASSERT(entry != nullptr);
  live_pids_.erase(entry->container.pid);
  entry->container.state = ContainerState::exited;
  entry->container.exit_code = exit_code;
  entry->container.pid = 0;
  entry->container.finished_us = clock_.now_us();
}

void FakeEngine::die_unnoticed(const std::string& name_prefix) {
  const std::lock_guard lock(mutex_);
  Entry* entry = find_by_name(name_prefix);
  VERGE_ASSERT(entry != nullptr);
  live_pids_.erase(entry->container.pid);
  entry->is_frozen = true;
}

bool FakeEngine::is_process_alive(std::int64_t pid) const {
  const std::lock_guard lock(mutex_);
  return live_pids_.count(pid) != 0;
}

std::vector<Container> FakeEngine::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<Container> result;
  for (const auto& [id, entry] : containers_) result.push_back(entry.container);
  return result;
}

std::vector<std::string> FakeEngine::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

}  // namespace verge::agent
