#include "audio/live/sound_wish.h"

#include <algorithm>

#include "audio/transcripts/flac.h"
#include "base/json.h"
#include "evidence/keeper.h"
#include "pipeline/option_checks.h"

namespace verge::audio {
namespace {

std::int64_t to_us(double seconds) { return static_cast<std::int64_t>(seconds * 1e6); }

}  // namespace

std::int64_t SoundWish::Held::end_us() const {
  return captured_us + static_cast<std::int64_t>(block->samples.size()) * 1'000'000 / std::max(1, block->rate_hz);
}

std::vector<pipeline::OptionInfo> SoundWish::options() {
  return {{"evidence", "text", "Kept with each event: none or sound; docs/evidence.md.", "none"},
          {"before_s", "number", "The kept sound begins so long before the event's, seconds, 0..10.",
           SoundWish().before_s_}};
}

std::vector<pipeline::OptionInfo> SoundWish::added_to(std::vector<pipeline::OptionInfo> own) {
  for (auto& option : options()) own.push_back(std::move(option));
  return own;
}

Result<SoundWish> SoundWish::read(const Json& given, const pipeline::Context& context) {
  Json known = given.is_object() ? given : Json::object();
  for (const auto& option : options()) {
    if (!known.contains(option.name)) known[option.name] = option.fallback;
  }
  VERGE_CHECK(pipeline::check_word(known, "evidence", {"none", "sound"}));
  VERGE_CHECK(pipeline::check_range(known, "before_s", 0, 10));
  SoundWish wish;
  wish.is_wished_ = known["evidence"] == "sound";
  wish.before_s_ = known["before_s"].get<double>();
  wish.context_ = context;
  return wish;
}

void SoundWish::hold(const pipeline::Packet& packet) {
  const auto block = pipeline::payload_as<pipeline::AudioBlock>(packet);
  if (!is_wished_ || !block || block->is_segment) return;
  // Another rate, or a clock that was set back: what is held does not continue.
  if (!held_.empty() &&
      (held_.back().block->rate_hz != block->rate_hz || packet.captured_us < held_.back().captured_us))
    held_.clear();
  held_.push_back({packet.captured_us, block});
  const auto oldest_us = packet.captured_us - to_us(before_s_ + kSoundMax_s + kLate_s);
  while (held_.front().end_us() < oldest_us) held_.pop_front();
}

contract::Event SoundWish::with_sound(contract::Event event) const {
  if (!is_wished_) return event;
  const auto kept = keep(event);
  auto extension = parse_json(event.extension_json);
  Json facts = extension && extension->is_object() ? *std::move(extension) : Json::object();
  facts["privacy"] = pipeline::name_of(context_.privacy.blur);
  if (kept) event.evidence.push_back(kept->digest);
  if (!kept) facts["evidence_error"] = kept.error().message;
  event.extension_json = to_text(facts);
  return event;
}

Result<evidence::StoredFile> SoundWish::keep(const contract::Event& event) const {
  if (context_.evidence == nullptr)
    return Error{ErrorCode::unavailable, "keep the event's sound: this program keeps no evidence"};
  const std::int64_t last_us = event.span ? event.span->to_us : event.captured_us + event.duration_us;
  const std::int64_t first_us = (event.span ? event.span->from_us : event.captured_us) - to_us(before_s_);
  const std::int64_t from_us = std::max(first_us, last_us - to_us(kSoundMax_s));
  std::vector<float> samples;
  std::int64_t begin_us = from_us;
  for (const auto& held : held_) {
    // Whole blocks: a few hundredths more at both ends.
    if (held.end_us() <= from_us || held.captured_us >= last_us) continue;
    if (samples.empty()) begin_us = held.captured_us;
    samples.insert(samples.end(), held.block->samples.begin(), held.block->samples.end());
  }
  if (samples.empty()) return Error{ErrorCode::not_found, "keep the event's sound: none of that time is held any more"};
  VERGE_TRY(const auto flac, to_flac(samples, held_.back().block->rate_hz));
  return context_.evidence->keep(evidence::kEventShelf, {.captured_us = begin_us, .ending = "flac"}, flac);
}

}  // namespace verge::audio
