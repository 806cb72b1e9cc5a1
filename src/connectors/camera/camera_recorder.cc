#include "connectors/camera/camera_recorder.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::connectors {
namespace {

constexpr auto kFinishMax = std::chrono::seconds(10);
constexpr std::int64_t kRecordAgain_us = 30'000'000;  // After an error: a full disk is not asked with every picture.

/// The event that follows a clip's order.
contract::Event event_about(const evidence::ClipOrder& order, const Result<evidence::StoredFile>& outcome,
                            std::int64_t duration_us, std::string_view blur) {
  contract::Event event = order.about;
  auto extension = parse_json(event.extension_json);
  Json facts = extension && extension->is_object() ? *std::move(extension) : Json::object();
  facts["clip"] = order.id;
  if (outcome) {
    event.type = "evidence.stored";
    event.evidence = {outcome->digest};
    event.duration_us = duration_us;
    event.explanation =
        fmt::format("A clip of {:.1f} s is kept on the device.", static_cast<double>(duration_us) / 1e6);
    facts["from_us"] = outcome->label.captured_us;
    facts["bytes"] = outcome->bytes;
    facts["blur"] = outcome->label.blur;
    facts["privacy"] = blur;
  } else {
    event.type = "evidence.failed";
    event.explanation = outcome.error().message;
  }
  event.extension_json = verge::to_text(facts);
  return event;
}

Result<evidence::StoredFile> write_clip(evidence::Keeper& keeper, const FfmpegLibrary& ffmpeg,
                                        const PacketFormat& format, const std::vector<HeldPacket>& packets) {
  if (packets.empty()) return Error{ErrorCode::unavailable, "make a clip: the camera sent no key picture in its time"};
  VERGE_TRY(const auto draft, keeper.begin(evidence::kEventShelf,
                                           {packets.front().arrival.captured_us, file_ending(ffmpeg, format), "none"}));
  VERGE_TRY(const auto writer, ClipWriter::open(ffmpeg, format, *draft, false));
  for (const HeldPacket& packet : packets) VERGE_CHECK(writer->write(packet));
  VERGE_CHECK(writer->close());
  return draft->finish();
}

}  // namespace

std::unique_ptr<CameraRecorder> CameraRecorder::make(const pipeline::Context& context,
                                                     const std::optional<RecordWish>& record) {
  if (context.evidence == nullptr || context.privacy.masks.contains(context.stream)) return nullptr;
  const double ring_s = context.evidence->ring_s(context.stream);
  if (ring_s <= 0 && !record) return nullptr;
  return std::unique_ptr<CameraRecorder>(new CameraRecorder(context, ring_s, record));
}

CameraRecorder::CameraRecorder(const pipeline::Context& context, double ring_s, std::optional<RecordWish> record)
    : stream_(context.stream),
      keeper_(*context.evidence),
      record_(record),
      shelf_("record-" + percent_encode(context.stream)),
      segments_lost_(context.metrics->counter("verge_evidence_segments_lost_total",
                                              "Parts of a recording that could not be kept.",
                                              {{"stream", context.stream}})),
      ring_(ring_s, kRingBytesMax) {
  if (record_) {
    const evidence::Shelf shelf{shelf_, record_->days, static_cast<std::uint64_t>(record_->megabytes * 1e6)};
    if (auto added = keeper_.add_shelf(shelf); !added) log_error("evidence", added.error(), {{"stream", stream_}});
  }
  keeper_.attach(stream_, *this);
}

CameraRecorder::~CameraRecorder() {
  keeper_.detach(stream_);
  finish();
}

Status CameraRecorder::order(evidence::ClipOrder order) {
  const std::lock_guard lock(shared_->mutex);
  if (shared_->open_count >= kClipsMax) {
    return Error{ErrorCode::limit, fmt::format("make a clip: {} clips of \"{}\" are being made", kClipsMax, stream_)};
  }
  ++shared_->open_count;
  shared_->orders.push_back(std::move(order));
  return Done{};
}

void CameraRecorder::begin(const FfmpegLibrary& ffmpeg, const AVCodecParameters& parameters, AVRational time_base) {
  take_orders();
  // What has pictures ends with them; what has none yet waits for the new ones.
  for (auto clip = clips_.begin(); clip != clips_.end();) {
    if (clip->packets.empty()) {
      ++clip;
      continue;
    }
    end_clip(std::move(*clip));
    clip = clips_.erase(clip);
  }
  end_segment();
  ring_.clear();
  ffmpeg_ = &ffmpeg;
  auto format = packet_format(ffmpeg, parameters, time_base);
  format_ = format ? *std::move(format) : PacketFormat{};
}

void CameraRecorder::note_size(int width, int height) {
  if (!format_.parameters || has_size()) return;
  auto sized = packet_format(*ffmpeg_, *format_.parameters, format_.time_base);
  if (!sized) return;
  // Nobody else has it yet.
  auto* parameters = const_cast<AVCodecParameters*>(sized->parameters.get());
  parameters->width = width;
  parameters->height = height;
  format_ = *std::move(sized);
  for (Clip& clip : clips_) clip.format = format_;
}

void CameraRecorder::put(const AVPacket& packet, const Arrival& arrival) {
  if (!format_.parameters || packet.size <= 0) return;
  auto copy = own(*ffmpeg_, ffmpeg_->av_packet_clone(&packet));
  if (!copy) return;
  keep({std::shared_ptr<const AVPacket>(std::move(copy)), arrival, (packet.flags & AV_PKT_FLAG_KEY) != 0,
        static_cast<std::size_t>(packet.size)});
}

void CameraRecorder::put_whole(const FfmpegLibrary& ffmpeg, AVCodecID codec, std::string_view bytes,
                               const Arrival& arrival) {
  if (!format_.parameters || format_.parameters->codec_id != codec) {
    auto parameters = own(ffmpeg, ffmpeg.avcodec_parameters_alloc());
    if (!parameters) return;
    parameters->codec_type = AVMEDIA_TYPE_VIDEO;
    parameters->codec_id = codec;
    begin(ffmpeg, *parameters, AVRational{1, 90'000});
  }
  auto packet = own(ffmpeg, ffmpeg.av_packet_alloc());
  if (!packet || ffmpeg.av_new_packet(packet.get(), static_cast<int>(bytes.size())) < 0) return;
  std::ranges::copy(bytes, packet->data);
  packet->flags |= AV_PKT_FLAG_KEY;
  keep({std::shared_ptr<const AVPacket>(std::move(packet)), arrival, true, bytes.size()});
}

void CameraRecorder::keep(HeldPacket held) {
  newest_us_ = held.arrival.monotonic_us;
  ring_.put(held);
  take_orders();
  for (auto clip = clips_.begin(); clip != clips_.end();) {
    const bool is_new = !clip->packets.empty() && clip->packets.back().packet != held.packet;
    if (is_new || (clip->packets.empty() && held.is_key)) {
      clip->bytes += held.bytes;
      clip->packets.push_back(held);
    }
    const bool is_over = held.arrival.monotonic_us >= clip->order.until_us || clip->bytes > kClipBytesMax;
    // A clip without a picture waits for the next key picture: its moment is lost, but not all of it.
    if (!is_over || clip->packets.empty()) {
      ++clip;
      continue;
    }
    end_clip(std::move(*clip));
    clip = clips_.erase(clip);
  }
  if (record_) record(held);
}

void CameraRecorder::take_orders() {
  std::deque<evidence::ClipOrder> orders;
  {
    const std::lock_guard lock(shared_->mutex);
    orders.swap(shared_->orders);
  }
  for (evidence::ClipOrder& order : orders) {
    Clip& clip = clips_.emplace_back();
    clip.packets = ring_.from(order.from_us);
    clip.order = std::move(order);
    clip.format = format_;
    for (const HeldPacket& packet : clip.packets) clip.bytes += packet.bytes;
  }
}

void CameraRecorder::tick(std::int64_t monotonic_us) {
  take_orders();
  for (auto clip = clips_.begin(); clip != clips_.end();) {
    if (monotonic_us < clip->order.until_us) {
      ++clip;
      continue;
    }
    end_clip(std::move(*clip));
    clip = clips_.erase(clip);
  }
}

/// Not on the source's thread: a slow disk must not make it miss pictures.
void CameraRecorder::submit(std::function<void()> job) {
  {
    const std::lock_guard lock(shared_->mutex);
    ++shared_->jobs;
  }
  const auto done = [shared = shared_] {
    const std::lock_guard lock(shared->mutex);
    --shared->jobs;
    shared->changed.notify_all();
  };
  auto submitted = keeper_.submit([job = std::move(job), done] {
    job();
    done();
  });
  if (submitted) return;
  log_error("evidence", submitted.error(), {{"stream", stream_}});
  done();
}

void CameraRecorder::end_clip(Clip clip) {
  auto shared = std::make_shared<Clip>(std::move(clip));
  if (shared->format.parameters == nullptr) shared->format = format_;
  submit([clip = std::move(shared), &keeper = keeper_, ffmpeg = ffmpeg_, shared_state = shared_] {
    const auto outcome =
        ffmpeg == nullptr ? Result<evidence::StoredFile>(Error{ErrorCode::unavailable, "make a clip: no pictures came"})
                          : write_clip(keeper, *ffmpeg, clip->format, clip->packets);
    keeper.note_clip(clip->order.id, outcome);
    const std::int64_t duration_us =
        clip->packets.empty() ? 0
                              : clip->packets.back().arrival.monotonic_us - clip->packets.front().arrival.monotonic_us;
    auto event = event_about(clip->order, outcome, duration_us, keeper.options().blur);
    const std::lock_guard lock(shared_state->mutex);
    --shared_state->open_count;
    shared_state->events.push_back(std::move(event));
  });
}

void CameraRecorder::record(const HeldPacket& held) {
  const std::int64_t now_us = held.arrival.monotonic_us;
  const auto give_up = [&](const Error& error) {
    log_error("evidence", error, {{"stream", stream_}});
    segments_lost_.add();
    segment_.reset();
    record_again_us_ = now_us + kRecordAgain_us;
  };
  if (segment_ && held.is_key && now_us - segment_->begin_us >= static_cast<std::int64_t>(record_->segment_s * 1e6)) {
    end_segment();
  }
  if (!segment_) {
    if (!held.is_key || now_us < record_again_us_ || !has_size()) return;
    auto segment = std::make_unique<Segment>();
    auto draft = keeper_.begin(shelf_, {held.arrival.captured_us, file_ending(*ffmpeg_, format_), "none"});
    if (!draft) return give_up(draft.error());
    segment->draft = *std::move(draft);
    auto writer = ClipWriter::open(*ffmpeg_, format_, *segment->draft, true);
    if (!writer) return give_up(writer.error());
    segment->writer = *std::move(writer);
    segment->begin_us = now_us;
    segment_ = std::move(segment);
  }
  if (auto written = segment_->writer->write(held); !written) give_up(written.error());
}

void CameraRecorder::end_segment() {
  if (!segment_) return;
  submit([segment = std::shared_ptr<Segment>(std::move(segment_)), &lost = segments_lost_, stream = stream_] {
    Status closed = segment->writer->close();
    auto kept = closed ? segment->draft->finish() : Result<evidence::StoredFile>(closed.error());
    if (kept) return;
    log_error("evidence", kept.error(), {{"stream", stream}});
    lost.add();
  });
}

void CameraRecorder::finish() {
  take_orders();
  for (Clip& clip : clips_) end_clip(std::move(clip));
  clips_.clear();
  end_segment();
  std::unique_lock lock(shared_->mutex);
  shared_->changed.wait_for(lock, kFinishMax, [&] { return shared_->jobs == 0; });
}

pipeline::Packet evidence_packet(contract::Event event) {
  pipeline::Packet packet;
  packet.captured_us = event.captured_us;
  packet.monotonic_us = event.monotonic_us;
  packet.payload = std::make_shared<const contract::Event>(std::move(event));
  return packet;
}

std::vector<contract::Event> CameraRecorder::take_events() {
  std::vector<contract::Event> events;
  const std::lock_guard lock(shared_->mutex);
  events.swap(shared_->events);
  return events;
}

}  // namespace verge::connectors
