#include "connectors/live_sender.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <fmt/format.h>
#include <mutex>

#include "base/json.h"

namespace verge::connectors {
namespace {

using pipeline::MethodReply;
using pipeline::Packet;

constexpr const char* kLiveTap = "live";
constexpr std::size_t kSoundBlocksMax = 16;  ///< Half a second of the usual blocks; five times what a frame waits for.

MethodReply refuse(int status, std::string message) { return {status, {{"message", std::move(message)}}}; }

const char* family_of(const Packet& packet) {
  if (pipeline::payload_as<pipeline::Scene>(packet)) return "vision";
  if (pipeline::payload_as<pipeline::AudioBlock>(packet)) return "audio";
  return "telemetry";
}

}  // namespace

/// What the executor's threads need; they may hold it a little longer than the sender does.
struct LiveSender::View {
  LiveOptions options;
  const pipeline::Catalog* catalog = nullptr;
  const Clock* clock = nullptr;
  std::shared_ptr<const Publish> publish;
  std::string stream;
  std::atomic<std::int64_t> end_us{0};
  std::mutex mutex;  ///< Of the rest: packets of one stream may come from several threads.
  pipeline::LiveRequest request;
  bool is_masked = false;
  std::int64_t next_us = 0;
  std::int64_t first_us = 0, taken = 0, skipped = 0;
  std::deque<std::shared_ptr<const pipeline::AudioBlock>> sound;  ///< Since the last frame.

  /// A spectrogram without holes needs every block, not only the newest; of a stream that brings more than a frame
  /// shows, the oldest go.
  void keep_sound(const Packet& packet) {
    auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
    if (!block || block->is_segment) return;
    sound.push_back(std::move(block));
    if (sound.size() > kSoundBlocksMax) sound.pop_front();
  }

  void show(const Packet& packet) {
    if (pipeline::payload_as<contract::Event>(packet)) return;
    const std::int64_t now_us = clock->monotonic_us();
    if (now_us >= end_us) return;
    pipeline::LiveRequest wanted;
    {
      const std::lock_guard lock(mutex);
      wanted = request;
      if (first_us == 0) first_us = now_us;
      ++taken;
      keep_sound(packet);
      if (now_us < next_us) return;
      const bool is_picture = pipeline::payload_as<pipeline::Scene>(packet) != nullptr;
      wanted.sound.assign(sound.begin(), sound.end());
      sound.clear();
      next_us = now_us + static_cast<std::int64_t>(1e6 / (is_picture ? options.picture_hz_max : options.other_hz_max));
    }
    auto frame = catalog->render(packet, wanted);
    if (frame) send(packet, std::move(*frame), now_us);
  }

  void send(const Packet& packet, pipeline::LiveFrame frame, std::int64_t now_us) {
    Json& header = frame.header;
    header["module"] = options.module;
    header["stream"] = stream;
    header["captured_us"] = packet.captured_us;
    if (!header.contains("family")) header["family"] = family_of(packet);
    {
      const std::lock_guard lock(mutex);
      const double seconds = static_cast<double>(std::max<std::int64_t>(now_us - first_us, 1)) / 1e6;
      header["rate_hz"] =
          taken > 1 ? static_cast<double>(static_cast<int>(static_cast<double>(taken - 1) / seconds * 10)) / 10 : 0.0;
      header["dropped"] = skipped;
      if (is_masked && header.contains("privacy")) header["privacy"]["mask"] = true;
    }
    std::string payload = encode_live_frame(header, frame.bytes);
    if (payload.size() > options.frame_bytes_max) {
      const std::lock_guard lock(mutex);
      ++skipped;
      return;
    }
    (*publish)(fmt::format("verge/live/{}/{}", options.module, stream), std::move(payload));
  }
};

std::string encode_live_frame(const Json& header, std::string_view bytes) {
  const std::string text = to_text(header);
  const auto count = static_cast<std::uint32_t>(text.size());
  std::string frame;
  frame.reserve(4 + text.size() + bytes.size());
  for (const unsigned shift : {24U, 16U, 8U, 0U}) frame.push_back(static_cast<char>(count >> shift & 0xFFU));
  frame += text;
  frame += bytes;
  return frame;
}

LiveSender::LiveSender(LiveOptions options, const pipeline::Catalog& catalog, const Clock& clock, Publish publish)
    : options_(std::move(options)),
      catalog_(catalog),
      clock_(clock),
      publish_(std::make_shared<const Publish>(std::move(publish))) {}

LiveSender::~LiveSender() { set_executor(nullptr); }

void LiveSender::attach(const std::string& stream, const std::shared_ptr<View>& view) {
  if (!executor_) return;
  {
    const std::lock_guard lock(view->mutex);
    view->request.blur = executor_->privacy().blur;
    view->is_masked = executor_->privacy().masks.contains(stream);
  }
  executor_->set_tap(stream, kLiveTap, [view](const Packet& packet) { view->show(packet); });
}

MethodReply LiveSender::start(const Json& parameters) {
  auto stream = string_member(parameters.is_object() ? parameters : Json::object(), "stream");
  auto seconds = integer_member(parameters.is_object() ? parameters : Json::object(), "seconds", 30);
  if (!stream || stream->empty()) return refuse(400, "live.start needs {\"stream\": \"name\", \"seconds\": 30}");
  if (!seconds || *seconds < 1 || *seconds > options_.seconds_max) {
    return refuse(400, fmt::format("seconds must be 1 to {}", options_.seconds_max));
  }
  if (!executor_) return refuse(503, "no pipeline is running");
  const auto streams = executor_->streams();
  if (std::ranges::find(streams, *stream, &pipeline::StreamState::name) == streams.end()) {
    return refuse(404, fmt::format("there is no stream \"{}\"", *stream));
  }
  std::shared_ptr<View>& view = views_[*stream];
  if (!view) {
    view = std::make_shared<View>();
    view->options = options_;
    view->catalog = &catalog_;
    view->clock = &clock_;
    view->publish = publish_;
    view->stream = *stream;
    attach(*stream, view);
  }
  view->end_us = clock_.monotonic_us() + *seconds * 1'000'000;
  return {200, {{"topic", fmt::format("verge/live/{}/{}", options_.module, *stream)}, {"seconds", *seconds}}};
}

MethodReply LiveSender::stop(const Json& parameters) {
  auto stream = string_member(parameters.is_object() ? parameters : Json::object(), "stream");
  if (!stream || stream->empty()) return refuse(400, "live.stop needs {\"stream\": \"name\"}");
  if (views_.erase(*stream) > 0 && executor_) executor_->set_tap(*stream, kLiveTap, nullptr);
  return {200, Json::object()};
}

void LiveSender::set_executor(std::shared_ptr<pipeline::Executor> executor) {
  if (executor_) {
    for (const auto& [stream, view] : views_) executor_->set_tap(stream, kLiveTap, nullptr);
  }
  executor_ = std::move(executor);
  for (const auto& [stream, view] : views_) attach(stream, view);
}

void LiveSender::tick() {
  const std::int64_t now_us = clock_.monotonic_us();
  std::erase_if(views_, [&](const auto& view) {
    if (view.second->end_us > now_us) return false;
    if (executor_) executor_->set_tap(view.first, kLiveTap, nullptr);
    return true;
  });
}

}  // namespace verge::connectors
