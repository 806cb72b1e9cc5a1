#include "connectors/evidence_methods.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>

#include "base/bytes.h"
#include "base/json.h"
#include "connectors/camera/camera_counters.h"
#include "connectors/replay.h"

namespace verge::connectors {
namespace {

using evidence::Keeper;
using evidence::StoredFile;
using pipeline::Executor;
using pipeline::LiveFrame;
using pipeline::LiveRequest;
using pipeline::MethodReply;
using pipeline::Packet;
using Running = EvidenceMethods::Running;

constexpr auto kPictureWaitMax = std::chrono::seconds(5);
constexpr int kStoredWidthMax = 1920, kStoredQuality = 85;
constexpr std::array<int, 5> kAnswerWidths{1280, 960, 640, 480, 320};  // The first that fits is sent.
constexpr int kAnswerQuality = 75;
constexpr std::size_t kListMax = 100;

MethodReply says(int status, std::string message) { return {status, {{"message", std::move(message)}}}; }
MethodReply says(const Error& error) { return says(http_status_of(error.code), error.message); }

/// The next picture of a stream. Shared with the tap, which may be running when it is taken away.
struct NextPacket {
  std::mutex mutex;
  std::condition_variable came;
  std::optional<Packet> packet;
};

Result<Packet> next_picture(Executor& executor, const std::string& stream) {
  static std::atomic<std::uint64_t> count{0};  // Two calls must not take each other's tap away.
  const auto next = std::make_shared<NextPacket>();
  const std::string tap = fmt::format("snapshot-{}", ++count);
  executor.set_tap(stream, tap, [next](const Packet& packet) {
    if (!pipeline::payload_as<pipeline::Scene>(packet)) return;
    const std::lock_guard lock(next->mutex);
    if (!next->packet) next->packet = packet;
    next->came.notify_all();
  });
  std::optional<Packet> packet;
  {
    std::unique_lock lock(next->mutex);
    next->came.wait_for(lock, kPictureWaitMax, [&] { return next->packet.has_value(); });
    packet = next->packet;
  }
  executor.set_tap(stream, tap, nullptr);
  if (packet) return *std::move(packet);
  return Error{ErrorCode::timeout, fmt::format("take a snapshot of \"{}\": no picture came within 5 s", stream)};
}

/// The stream's name, or the reply that refuses the call.
Result<std::string> stream_of(const Json& parameters, const Executor& executor) {
  VERGE_TRY(std::string stream, string_member(parameters, "stream"));
  std::vector<std::string> names;
  for (const pipeline::StreamState& state : executor.streams()) names.push_back(state.name);
  if (stream.empty() && names.size() == 1) return names.front();
  if (std::ranges::find(names, stream) != names.end()) return stream;
  return Error{ErrorCode::not_found,
               fmt::format("there is no stream \"{}\"; it has {}", stream, fmt::join(names, ", "))};
}

Json described(const StoredFile& file, pipeline::Blur now) {
  return {{"digest", file.digest},
          {"type", file.label.ending == "jpg"    ? "image/jpeg"
                   : file.label.ending == "mp4"  ? "video/mp4"
                   : file.label.ending == "flac" ? "audio/flac"
                                                 : "video/x-matroska"},
          {"bytes", file.bytes},
          {"captured_us", file.label.captured_us},
          {"blur", file.label.blur},
          {"shelf", file.shelf},
          {"may_leave", pipeline::may_leave(file.label.blur, now)}};
}

MethodReply list_evidence(Keeper& keeper, pipeline::Blur now) {
  auto store = keeper.store();
  if (!store) return says(store.error());
  Json files = Json::array();
  for (const StoredFile& file : (*store)->newest(kListMax)) files.push_back(described(file, now));
  return {200, {{"files", std::move(files)}, {"privacy", {{"blur", pipeline::name_of(now)}}}}};
}

MethodReply read_evidence(const Json& parameters, const Running& running) {
  const pipeline::Blur now = running.executor->privacy().blur;
  auto digest = string_member(parameters, "digest");
  auto offset = integer_member(parameters, "offset", 0);
  if (!digest) return says(digest.error());
  if (!offset) return says(offset.error());
  if (digest->empty()) return list_evidence(*running.keeper, now);
  auto store = running.keeper->store();
  if (!store) return says(store.error());
  const auto file = (*store)->find(*digest);
  if (!file)
    return says(404, fmt::format("evidence {} is not here; it may have been removed by age or for room", *digest));
  if (*offset < 0 || static_cast<std::uint64_t>(*offset) > file->bytes) {
    return says(400, fmt::format("offset is {}; give 0 to {}", *offset, file->bytes));
  }
  if (!pipeline::may_leave(file->label.blur, now)) {
    return says(
        403, fmt::format("evidence {} shows people (blur: {}) and the pipeline's privacy says \"{}\": it stays "
                         "on the device, in folder \"{}\"",
                         *digest, file->label.blur, pipeline::name_of(now), running.keeper->options().folder.string()));
  }
  auto bytes = (*store)->read(*digest, static_cast<std::uint64_t>(*offset), EvidenceMethods::kPieceBytes);
  if (!bytes) return says(bytes.error());
  Json answer = described(*file, now);
  answer["offset"] = *offset;
  answer["data"] = to_base64(*bytes);
  return {200, std::move(answer)};
}

MethodReply clip_state(const std::string& id, const Keeper& keeper, pipeline::Blur now) {
  const auto state = keeper.clip_state(id);
  if (!state)
    return says(404, fmt::format("there is no clip \"{}\"; the last {} are known", id, Keeper::kClipStatesMax));
  if (!state->is_done) return {202, {{"clip", id}}};
  if (!state->file) return says(500, state->error);
  Json answer = described(*state->file, now);
  answer["clip"] = id;
  return {200, std::move(answer)};
}

Result<double> seconds_of(const Json& parameters, std::string_view key) {
  VERGE_TRY(const double seconds, number_member(parameters, key, 5));
  if (seconds >= 0 && seconds <= 120) return seconds;
  return Error{ErrorCode::invalid_argument, fmt::format("{} is {}; give 0 to 120", key, seconds)};
}

MethodReply order_clip(const Json& parameters, const Running& running, const Clock& clock) {
  const pipeline::Blur now = running.executor->privacy().blur;
  auto id = string_member(parameters, "clip");
  if (!id) return says(id.error());
  if (!id->empty()) return clip_state(*id, *running.keeper, now);
  const auto stream = stream_of(parameters, *running.executor);
  const auto before_s = seconds_of(parameters, "before_s");
  const auto after_s = seconds_of(parameters, "after_s");
  if (!stream) return says(stream.error());
  if (!before_s) return says(before_s.error());
  if (!after_s) return says(after_s.error());
  evidence::ClipOrder order;
  order.about.family = "vision";
  order.about.stream = *stream;
  order.about.captured_us = clock.now_us();
  order.about.monotonic_us = clock.monotonic_us();
  order.about.extension_json = verge::to_text(Json{{"of", "method"}});
  order.from_us = clock.monotonic_us() - static_cast<std::int64_t>(*before_s * 1e6);
  order.until_us = clock.monotonic_us() + static_cast<std::int64_t>(*after_s * 1e6);
  auto ordered = running.keeper->order_clip(*stream, std::move(order));
  if (!ordered) return says(ordered.error());
  return {202, {{"clip", *ordered}, {"until_s", *after_s}}};
}

/// What became of a camera's pictures since the program began.
Json pictures_of(const std::string& stream, Metrics& metrics) {
  const CameraCounters counters(metrics, stream);
  return {{"received", counters.received.value()},
          {"decoded", counters.decoded.value()},
          {"skipped", counters.skipped.value()},
          {"still", counters.still.value()},
          {"broken", counters.broken.value()}};
}

MethodReply statistics(const Running& running) {
  const auto tenths = [](double value) {
    return static_cast<double>(static_cast<std::int64_t>(value * 10 + 0.5)) / 10;
  };
  Json streams = Json::array();
  for (const pipeline::StreamState& state : running.executor->streams()) {
    streams.push_back({{"name", state.name},
                       {"kind", state.kind},
                       {"family", state.family},
                       {"rate_hz", tenths(state.rate_hz)},
                       {"packets", state.packets},
                       {"dropped", state.dropped},
                       {"failed", state.failed},
                       {"error", state.error.substr(0, 500)}});
    if (state.kind != "camera" || running.context.metrics == nullptr) continue;
    streams.back()["pictures"] = pictures_of(state.name, *running.context.metrics);
  }
  Json stages = Json::array();
  for (const pipeline::LaneState& state : running.executor->lanes()) {
    stages.push_back({{"stage", state.stage},
                      {"stream", state.stream},
                      {"in", state.in},
                      {"out", state.out},
                      {"dropped", state.dropped},
                      {"failed", state.failed},
                      {"queue", state.queue},
                      {"queue_max", state.queue_max},
                      {"mean_ms", tenths(state.mean_ms)},
                      {"worst_ms", tenths(state.worst_ms)}});
    if (stages.size() >= 256) break;  // The answer has a limit.
  }
  return {200,
          {{"streams", std::move(streams)},
           {"stages", std::move(stages)},
           {"engines", running.engines},
           {"privacy", {{"blur", pipeline::name_of(running.executor->privacy().blur)}}}}};
}

}  // namespace

bool EvidenceMethods::offers(const std::string& name) {
  return name == "snapshot" || name == "clip" || name == "evidence" || name == "stats" || name == "replay";
}

MethodReply EvidenceMethods::snapshot(const Json& parameters, const Running& running) const {
  const auto stream = stream_of(parameters, *running.executor);
  if (!stream) return says(stream.error());
  const auto width = integer_member(parameters, "width", kAnswerWidths.front());
  if (!width) return says(width.error());
  const auto packet = next_picture(*running.executor, *stream);
  if (!packet) return says(packet.error());
  LiveRequest request{running.executor->privacy().blur, kStoredWidthMax, kStoredQuality};
  auto stored = catalog_.render(*packet, request);
  if (!stored) return says(400, fmt::format("\"{}\" has no pictures", *stream));
  const std::string blur(pipeline::name_of(request.blur));
  Json answer = {{"stream", *stream}, {"captured_us", packet->captured_us}, {"privacy", stored->header["privacy"]}};
  auto kept = running.keeper->keep(evidence::kEventShelf, {packet->captured_us, "jpg", blur}, stored->bytes);
  if (kept) answer["digest"] = kept->digest;
  if (!kept) answer["evidence_error"] = kept.error().message;
  request.quality = kAnswerQuality;
  for (const int width_max : kAnswerWidths) {
    if (width_max > *width && width_max != kAnswerWidths.back()) continue;
    request.width_max = width_max;
    const auto small = catalog_.render(*packet, request);
    if (!small || small->bytes.size() > kPieceBytes) continue;
    answer["jpeg"] = to_base64(small->bytes);
    break;
  }
  return {200, std::move(answer)};
}

MethodReply EvidenceMethods::replay_clip(const Json& parameters, const Running& running) const {
  const auto stream = stream_of(parameters, *running.executor);
  const auto digest = string_member(parameters, "digest");
  const auto limit_s = number_member(parameters, "limit_s", 20);
  if (!stream) return says(stream.error());
  if (!digest) return says(digest.error());
  if (!limit_s) return says(limit_s.error());
  if (!(*limit_s >= 1 && *limit_s <= 250)) return says(400, fmt::format("limit_s is {}; give 1 to 250", *limit_s));
  auto store = running.keeper->store();
  if (!store) return says(store.error());
  const auto file = (*store)->find(*digest);
  const auto path = (*store)->path_of(*digest);
  if (!file || !path) return says(404, fmt::format("replay: evidence \"{}\" is not here", *digest));
  if (file->label.ending == "jpg") return says(400, "replay: it is a picture; a clip is needed");
  if (file->label.ending == "flac") return says(400, "replay: it is sound; a clip is needed");
  if (!running.spec || is_replaying_.exchange(true))
    return says(503, "a replay is running; try again when it has ended");
  ReplayRequest request{*stream, std::filesystem::absolute(*path), file->label.captured_us, *limit_s};
  auto answer = replay(*running.spec, catalog_, running.context, request);
  is_replaying_ = false;
  if (!answer) return says(answer.error());
  // Events are small, but their explanations need not be: the last ones give way.
  Json& events = (*answer)["events"];
  while (verge::to_text(*answer).size() > kAnswerBytesMax && !events.empty()) {
    events.erase(events.size() - 1);
    (*answer)["left_out"] = (*answer)["left_out"].get<std::size_t>() + 1;
  }
  return {200, *std::move(answer)};
}

MethodReply EvidenceMethods::reply_to(const std::string& name, const Json& parameters, const Running& running) const {
  if (!running.executor || !running.keeper) return says(503, "no pipeline is running");
  if (name == "snapshot") return snapshot(parameters, running);
  if (name == "clip") return order_clip(parameters, running, clock_);
  if (name == "evidence") return read_evidence(parameters, running);
  if (name == "replay") return replay_clip(parameters, running);
  return statistics(running);
}

void EvidenceMethods::call(const std::string& name, const Json& parameters, const Running& running, Answer answer) {
  const Json given = parameters.is_object() ? parameters : Json::object();
  auto submitted = workers_.submit([this, name, given, running, answer] {
    MethodReply reply = reply_to(name, given, running);
    if (verge::to_text(reply.payload).size() > kAnswerBytesMax) {
      reply = says(500, fmt::format("the answer to \"{}\" is larger than {} KiB", name, kAnswerBytesMax >> 10U));
    }
    answer(std::move(reply));
  });
  if (!submitted) answer(says(503, "too many calls wait; try again in a moment"));
}

}  // namespace verge::connectors
