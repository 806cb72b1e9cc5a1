// agent/engine/fake_engine.h -- a container engine in memory, for tests: it can refuse, vanish and lie.
//
// Threads: as ContainerEngine; the test's own calls from any thread.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/engine/container_engine.h"
#include "base/json.h"
#include "base/time.h"

namespace verge::agent {

class FakeEngine final : public ContainerEngine {
 public:
  explicit FakeEngine(const Clock& clock) : clock_(clock) {}

  Result<EngineInfo> info() override;
  Result<std::vector<Container>> list(const Labels& labels) override;
  Result<Container> inspect(const std::string& id) override;
  Result<std::string> create(const std::string& name, const Json& body) override;
  Status start(const std::string& id) override;
  Status stop(const std::string& id, int grace_s) override;
  Status kill(const std::string& id) override;
  Status remove(const std::string& id) override;
  Result<std::string> logs(const std::string& id, const LogQuery& query) override;
  Status ensure_network(const std::string& name, const std::string& subnet, const std::string& gateway,
                        const Labels& labels) override;
  Status remove_network(const std::string& name, const Labels& labels) override;
  std::optional<EngineImage> find_image(const std::string& reference_or_id) override;
  Status load_image(const std::filesystem::path& archive) override;
  Status remove_image(const std::string& reference_or_id) override;

  void add_image(const std::string& reference, const EngineImage& image);
  /// From now on every call fails with unavailable.
  void set_away(bool away);
  /// create() of a body with this Image fails as Docker does for a bad createOptions.
  void refuse_image(const std::string& image_id);
  int refused_count() const;  ///< Creates that were refused so.
  /// start() of containers with this Image fails.
  void refuse_start(const std::string& image_id);
  /// The process ends and the engine notices.
  void exit(const std::string& name_prefix, int exit_code);
  /// The process ends and the engine goes on saying "running" (its monitor is dead): start does nothing and stop fails.
  void die_unnoticed(const std::string& name_prefix);
  bool is_process_alive(std::int64_t pid) const;
  std::vector<Container> all() const;
  /// "create m", "start m", …: calls that changed something, in order, by the label `label`.
  std::vector<std::string> calls() const;
  void set_label_for_calls(std::string label) { label_ = std::move(label); }

 private:
  struct Entry {
    Container container;
    bool is_frozen = false;
  };
  Status check_answers() const;
  Entry* find(const std::string& id);
  Entry* find_by_name(const std::string& prefix);
  void note(std::string_view what, const Entry& entry);

  const Clock& clock_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> containers_;
  std::map<std::string, EngineImage> images_;
  std::map<std::string, std::string> networks_;
  std::set<std::string> refused_images_, refused_starts_;
  std::set<std::int64_t> live_pids_;
  std::vector<std::string> calls_;
  std::string label_ = "verge.module";
  std::int64_t next_ = 1;
  int refused_count_ = 0;
  bool away_ = false;
};

}  // namespace verge::agent
