#include "agent/upstream/system_twin.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "contract/twin.h"

namespace verge::agent {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kReportGap{1'000};
constexpr std::chrono::milliseconds kReportDelay{20};  // Changes of one moment go together.
constexpr std::chrono::milliseconds kRetry{10'000};
constexpr std::chrono::hours kRefresh{1};

Json object_without_version(const Json& twin, std::string_view key, std::int64_t& version) {
  const Json* found = find_member(twin, {key});
  if (found == nullptr || !found->is_object()) return Json::object();
  Json values = *found;
  const auto number = integer_member(values, "$version");
  version = number ? *number : 0;
  values.erase("$version");
  values.erase("$metadata");
  return values;
}

}  // namespace

struct SystemTwin::Impl : std::enable_shared_from_this<SystemTwin::Impl> {
  Impl(Loop& l, std::string n, Link k, OnDesired d)
      : loop(l), name(std::move(n)), link(std::move(k)), on_desired(std::move(d)) {}

  Loop& loop;
  const std::string name;
  const Link link;
  const OnDesired on_desired;
  Json desired = Json::object();
  std::int64_t desired_version = 0;
  Json wanted_report;  // null: nothing to say yet
  Json reported = Json::object();
  bool knows_reported = false;  // Of this connection.
  bool is_reporting = false, is_scheduled = false, is_reading = false;
  bool has_said_last_words = false;
  Loop::TimerId refresh_timer = 0, report_timer = 0;
  steady_clock::time_point last_report = steady_clock::now() - kReportGap;

  void connected() {
    knows_reported = false;
    is_reporting = is_reading = false;
    read();
  }

  void read() {
    if (is_reading || !link.is_connected()) return;
    is_reading = true;
    link.get_twin([weak = weak_from_this()](Result<Json> twin) {
      if (const auto self = weak.lock()) self->take(std::move(twin));
    });
  }

  void take(Result<Json> twin) {
    is_reading = false;
    if (!twin) {
      log_error("upstream", twin.error(), {{"twin", name}});
      loop.after(kRetry, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->read();
      });
      return;
    }
    std::int64_t reported_version = 0;
    reported = object_without_version(*twin, "reported", reported_version);
    knows_reported = true;
    desired = object_without_version(*twin, "desired", desired_version);
    on_desired(desired_version, desired);
    schedule_report();
  }

  void desired_patch(std::int64_t version, const Json& patch) {
    if (version != desired_version + 1) return read();
    Json changes = patch;
    changes.erase("$version");
    changes.erase("$metadata");
    merge_patch(desired, changes);
    desired_version = version;
    on_desired(desired_version, desired);
  }

  void set_report(Json report) {
    if (has_said_last_words) return;
    wanted_report = std::move(report);
    schedule_report();
  }

  void schedule_report() {
    if (is_scheduled || wanted_report.is_null()) return;
    is_scheduled = true;
    const auto since_last = std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - last_report);
    report_timer = loop.after(std::max(kReportDelay, kReportGap - since_last), [weak = weak_from_this()] {
      const auto self = weak.lock();
      if (self == nullptr) return;
      self->is_scheduled = false;
      self->report();
    });
  }

  void report() {
    if (!knows_reported || is_reporting || !link.is_connected()) return;
    const Json patch = contract::difference(reported, wanted_report);
    if (patch.empty()) return;
    is_reporting = true;
    last_report = steady_clock::now();
    link.report(patch, [weak = weak_from_this(), patch](const Result<std::int64_t>& version) {
      if (const auto self = weak.lock()) self->finish_report(patch, version);
    });
  }

  void finish_report(const Json& patch, const Result<std::int64_t>& version) {
    is_reporting = false;
    if (!version) {
      log_error("upstream", version.error(), {{"twin", name}});
      knows_reported = false;  // Whether it arrived is unknown: read before the next difference.
      loop.after(kRetry, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->read();
      });
      return;
    }
    merge_patch(reported, patch);
    schedule_report();
  }
};

SystemTwin::SystemTwin(Loop& loop, std::string name, Link link, OnDesired on_desired)
    : impl_(std::make_shared<Impl>(loop, std::move(name), std::move(link), std::move(on_desired))) {
  impl_->refresh_timer = loop.every(kRefresh, [impl = impl_.get()] { impl->read(); });
}
SystemTwin::~SystemTwin() {
  impl_->loop.cancel(impl_->refresh_timer);
  impl_->loop.cancel(impl_->report_timer);
}
void SystemTwin::connected() { impl_->connected(); }
void SystemTwin::desired_patch(std::int64_t version, const Json& patch) { impl_->desired_patch(version, patch); }
void SystemTwin::set_report(Json report) { impl_->set_report(std::move(report)); }
void SystemTwin::report_now(const Json& patch, std::function<void()> done) {
  // A report that is due would overwrite these words.
  impl_->has_said_last_words = true;
  impl_->wanted_report = nullptr;
  impl_->loop.cancel(impl_->report_timer);
  if (!impl_->link.is_connected()) return done();
  impl_->link.report(patch, [done = std::move(done)](const Result<std::int64_t>&) { done(); });
}

}  // namespace verge::agent
