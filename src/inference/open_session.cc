#include "inference/open_session.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <vector>

#include "base/disk.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::inference {
namespace {

constexpr double kFasterMin = 1.1;                    // Below it a trial's noise decides, not the engine.
constexpr std::chrono::milliseconds kTrialMax{1000};  // Of one engine beside the basis.
constexpr std::size_t kTrialPairsMax = 15;
constexpr std::size_t kTrialPairsMin = 3;  // Even of a slow model.
constexpr std::size_t kEntriesMax = 64;    // Of what is remembered.
constexpr std::size_t kMemoryBytesMax = 256 * 1024;

struct Candidate {
  std::string engine, device;
};

Result<std::unique_ptr<Session>> load_candidate(const Candidate& candidate, const std::filesystem::path& model,
                                                const std::string& digest, int threads) {
  const SessionOptions options{.threads = threads, .device = candidate.device};
  return candidate.engine == "openvino" ? load_openvino(model, options, digest) : load_onnx(model, options, digest);
}

Status check_wish(const EngineWish& wish) {
  constexpr std::array<std::string_view, 3> kEngines{"auto", "onnxruntime", "openvino"};
  constexpr std::array<std::string_view, 5> kDevices{"auto", "cpu", "gpu", "npu", "cuda"};
  if (std::ranges::find(kEngines, wish.engine) == kEngines.end()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("engine \"{}\" is unknown; use auto, onnxruntime or openvino", wish.engine)};
  }
  if (std::ranges::find(kDevices, wish.device) == kDevices.end()) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("device \"{}\" is unknown; use auto, cpu, gpu, npu or cuda", wish.device)};
  }
  return Done{};
}

/// What could serve the wish, the one to compare the others with first.
std::vector<Candidate> candidates_of(const EngineWish& wish) {
  std::vector<Candidate> candidates;
  for (const char* engine : {"onnxruntime", "openvino"}) {
    if (wish.engine != "auto" && wish.engine != engine) continue;
    for (const char* device : {"cpu", "cuda", "gpu", "npu"}) {
      // An NPU computes in its own number format: only by name.
      if (wish.device == device || (wish.device == "auto" && std::string_view(device) != "npu"))
        candidates.push_back({engine, device});
    }
  }
  return candidates;
}

/// Numbers as a picture's after its preparation, the same in every process; free dimensions are 1.
std::vector<Tensor> trial_inputs(const Session& session) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> spread(-1.0F, 1.0F);
  std::vector<Tensor> inputs;
  for (const TensorInfo& info : session.inputs()) {
    Shape shape = info.shape;
    std::ranges::replace_if(
        shape, [](std::int64_t size) { return size < 0; }, 1);
    Tensor tensor(info.type, std::move(shape));
    if (info.type == DataType::float32) {
      for (float& number : tensor.values<float>()) number = spread(random);
    } else if (info.type == DataType::uint8) {
      for (std::uint8_t& number : tensor.values<std::uint8_t>()) number = static_cast<std::uint8_t>(random());
    }
    inputs.push_back(std::move(tensor));
  }
  return inputs;
}

std::vector<NamedTensor> named(const Session& session, const std::vector<Tensor>& tensors) {
  std::vector<NamedTensor> inputs;
  for (std::size_t i = 0; i < tensors.size(); ++i) inputs.push_back({session.inputs()[i].name, &tensors[i]});
  return inputs;
}

/// The largest difference; infinite when shapes or whole numbers differ, or a number is none.
double difference_of(const std::vector<Tensor>& left, const std::vector<Tensor>& right) {
  constexpr double kOther = std::numeric_limits<double>::infinity();
  double most = 0;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (left[i].shape() != right[i].shape() || left[i].type() != right[i].type()) return kOther;
    if (left[i].type() != DataType::float32) {
      const auto* bytes = static_cast<const unsigned char*>(left[i].data());
      if (!std::equal(bytes, bytes + left[i].byte_count(), static_cast<const unsigned char*>(right[i].data())))
        return kOther;
      continue;
    }
    const auto a = left[i].values<float>();
    const auto b = right[i].values<float>();
    for (std::size_t at = 0; at < a.size(); ++at) {
      const double difference = std::abs(static_cast<double>(a[at]) - static_cast<double>(b[at]));
      if (!(difference <= most)) most = std::isnan(difference) ? kOther : difference;
    }
  }
  return most;
}

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

/// Both run by turns, so that what else the machine does meets both. Errors: those of running; invalid_argument when
/// their inputs differ.
Result<EngineTrial> try_beside(Session& basis, Session& other) {
  using Clock = std::chrono::steady_clock;
  const auto tensors = trial_inputs(basis);
  const auto run = [&](Session& session) { return session.run(named(basis, tensors)); };
  VERGE_TRY(const auto expected, run(basis));
  VERGE_TRY(const auto given, run(other));
  EngineTrial trial{other.engine(), 0, 0, difference_of(expected, given)};
  std::vector<double> basis_ms, other_ms;
  const auto begun = Clock::now();
  while (basis_ms.size() < kTrialPairsMax && (basis_ms.size() < kTrialPairsMin || Clock::now() - begun < kTrialMax)) {
    for (auto* side : {&basis, &other}) {
      const auto start = Clock::now();
      VERGE_CHECK(run(*side));
      const double ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
      (side == &basis ? basis_ms : other_ms).push_back(ms);
    }
  }
  trial.basis_ms = median(basis_ms);
  trial.ms = median(other_ms);
  return trial;
}

bool is_better(const EngineTrial& trial, double tolerance) {
  return trial.difference <= tolerance && trial.ms * kFasterMin < trial.basis_ms;
}

/// What trials found: {"KEY": {"engine", "device", "reason"}}. A file that cannot be read or written costs a trial, no
/// more.
class TrialMemory {
 public:
  explicit TrialMemory(const EngineWish& wish) : file_(wish.memory) {}

  struct Found {
    Candidate candidate;
    std::string reason;
  };

  std::optional<Found> find(const std::string& key) const {
    const Json all = read();
    const auto entry = all.find(key);
    if (entry == all.end() || !entry->is_object()) return std::nullopt;
    const auto text = [&](const char* member) { return entry->value(member, Json("")); };
    for (const char* member : {"engine", "device", "reason"}) {
      if (!text(member).is_string()) return std::nullopt;
    }
    return Found{{text("engine").get<std::string>(), text("device").get<std::string>()},
                 text("reason").get<std::string>()};
  }

  void keep(const std::string& key, const Found& found) const {
    if (file_.empty()) return;
    Json all = read();
    if (all.size() >= kEntriesMax) all = Json::object();
    all[key] = {{"engine", found.candidate.engine}, {"device", found.candidate.device}, {"reason", found.reason}};
    if (const auto written = write_file(file_, to_pretty_text(all) + "\n"); !written)
      log_warning("inference", "the engine's trial is not remembered", {{"reason", written.error().message}});
  }

 private:
  Json read() const {
    if (file_.empty()) return Json::object();
    const auto text = read_file(file_, kMemoryBytesMax);
    if (!text) return Json::object();
    auto all = parse_json(*text);
    return all && all->is_object() ? *std::move(all) : Json::object();
  }

  const std::filesystem::path file_;
};

std::string key_of(const std::string& digest, const EngineWish& wish) {
  const auto text = [](const Result<std::string>& version) { return version ? *version : std::string("none"); };
  return fmt::format("{} {}/{} {} threads, onnxruntime {}, openvino {}", digest, wish.engine, wish.device, wish.threads,
                     text(onnx_runtime_version()), text(openvino_version()));
}

/// Opens the first candidate that is here; the others are tried beside it.
class Chooser {
 public:
  Chooser(const std::filesystem::path& model, const std::string& digest, const EngineWish& wish)
      : model_(model), digest_(digest), wish_(wish), memory_(wish) {}

  Result<OpenedSession> run() {
    const auto candidates = candidates_of(wish_);
    if (candidates.size() > 1) {
      if (auto known = remembered()) return *std::move(known);
    }
    std::optional<Error> missing;
    std::size_t at = 0;
    for (; at < candidates.size() && !best_.session; ++at) VERGE_CHECK(open(candidates[at], best_, missing));
    if (!best_.session) return fall_back(std::move(*missing));
    basis_ = best_.session;
    chosen_ = candidates[at - 1];
    for (; at < candidates.size(); ++at) VERGE_CHECK(challenge(candidates[at]));
    if (!best_.reason.empty()) memory_.keep(key_of(digest_, wish_), {chosen_, best_.reason});
    return std::move(best_);
  }

 private:
  std::optional<OpenedSession> remembered() const {
    if (wish_.memory.empty()) return std::nullopt;
    const auto found = memory_.find(key_of(digest_, wish_));
    if (!found) return std::nullopt;
    auto session = load_candidate(found->candidate, model_, digest_, wish_.threads);
    if (!session) return std::nullopt;
    return OpenedSession{*std::move(session), found->reason};
  }

  /// Leaves `opened` empty when the engine or the device is not here. Errors: the model's.
  Status open(const Candidate& candidate, OpenedSession& opened, std::optional<Error>& missing) const {
    auto session = load_candidate(candidate, model_, digest_, wish_.threads);
    if (session) {
      opened.session = *std::move(session);
      return Done{};
    }
    const bool is_wanted_everywhere = candidate.engine == "onnxruntime" && candidate.device == "cpu";
    if (is_wanted_everywhere || session.error().code != ErrorCode::unavailable) return std::move(session).error();
    if (!missing) missing = session.error();
    return Done{};
  }

  /// Another engine that cannot be opened, or not run, is no mistake: nobody asked for it by name.
  Status challenge(const Candidate& candidate) {
    auto other = load_candidate(candidate, model_, digest_, wish_.threads);
    if (!other) return Done{};
    const auto trial = try_beside(*basis_, **other);
    if (!trial) {
      log_warning("inference", "an engine cannot run the model",
                  {{"engine", (*other)->engine()}, {"reason", trial.error().message}});
      return Done{};
    }
    const std::string numbers = fmt::format("{:.2f} ms a run beside {:.2f}, outputs differ by {:.2g}", trial->ms,
                                            trial->basis_ms, trial->difference);
    if (is_better(*trial, wish_.tolerance) && (best_ms_ == 0 || trial->ms < best_ms_)) {
      best_ms_ = trial->ms;
      best_.session = *std::move(other);
      chosen_ = candidate;
      best_.reason = fmt::format("{} is faster than {} here: {}", trial->engine, basis_->engine(), numbers);
    } else if (best_.session == basis_) {
      best_.reason =
          fmt::format("{} {} here: {}", trial->engine,
                      trial->difference > wish_.tolerance ? "gives other numbers" : "is not clearly faster", numbers);
    }
    return Done{};
  }

  Result<OpenedSession> fall_back(Error missing) const {
    // With both "auto" ONNX Runtime on the CPU was a candidate: here something was asked for by name.
    if (!wish_.may_fall_back) return missing;
    VERGE_TRY(auto session, load_candidate({"onnxruntime", "cpu"}, model_, digest_, wish_.threads));
    std::string reason = missing.message.substr(0, missing.message.find('\n'));
    return OpenedSession{std::move(session), std::move(reason), true};
  }

  const std::filesystem::path& model_;
  const std::string& digest_;
  const EngineWish& wish_;
  const TrialMemory memory_;
  OpenedSession best_;
  std::shared_ptr<Session> basis_;
  Candidate chosen_;
  double best_ms_ = 0;
};

/// What is open in this process, without keeping it open.
class OpenSessions {
 public:
  struct Entry {
    std::weak_ptr<Session> session;
    std::string reason;
    bool fell_back = false;
  };

  std::optional<OpenedSession> find(const std::string& key) {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return std::nullopt;
    auto session = found->second.session.lock();
    if (!session) return std::nullopt;
    return OpenedSession{std::move(session), found->second.reason, found->second.fell_back};
  }
  void keep(const std::string& key, const OpenedSession& opened) {
    const std::lock_guard lock(mutex_);
    std::erase_if(entries_, [](const auto& entry) { return entry.second.session.expired(); });
    entries_[key] = {opened.session, opened.reason, opened.fell_back};
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
};

OpenSessions& open_sessions() {
  static OpenSessions sessions;
  return sessions;
}

}  // namespace

Result<OpenedSession> open_session(const std::filesystem::path& model, const std::string& digest,
                                   const EngineWish& wish) {
  if (const auto checked = check_wish(wish); !checked) {
    return Error{checked.error().code, fmt::format("load model {}: {}", model.string(), checked.error().message)};
  }
  // Models of one digest are one model, wherever their files lie.
  const std::string key = fmt::format("{} {} {} {} {} {}", digest, wish.engine, wish.device, wish.threads,
                                      wish.may_fall_back, wish.tolerance);
  if (auto opened = open_sessions().find(key)) return *std::move(opened);
  VERGE_TRY(auto opened, Chooser(model, digest, wish).run());
  open_sessions().keep(key, opened);
  return opened;
}

}  // namespace verge::inference
