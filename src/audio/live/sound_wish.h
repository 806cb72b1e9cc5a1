// audio/live/sound_wish.h -- the sound that a stage keeps with its events: nothing, or what was heard.
//
// A stage hands over every block (hold) and, before it emits an event, asks for the event with its sound: FLAC from
// before the event's span to its end, written into the evidence folder before the event goes (docs/evidence.md). What
// cannot be kept is extension.evidence_error; the event goes all the same. Sound is never blurred: it may be fetched
// from the device only where the pipeline's privacy says blur: none. Threads: one stream.
#pragma once

#include <deque>
#include <memory>
#include <vector>

#include "evidence/store.h"
#include "pipeline/stage.h"

namespace verge::audio {

class SoundWish {
 public:
  /// evidence: none (the default) or sound; before_s 0..10.
  static std::vector<pipeline::OptionInfo> options();
  /// `own` with the above behind.
  static std::vector<pipeline::OptionInfo> added_to(std::vector<pipeline::OptionInfo> own);
  /// Errors: invalid_argument naming the option.
  static Result<SoundWish> read(const Json& given, const pipeline::Context& context);

  /// A block as it was recorded; utterances that were cut out are passed over. Free of cost when nothing is wished.
  void hold(const pipeline::Packet& packet);
  /// The event with the digest of its sound: of its span, else of captured_us and duration_us; at most kSoundMax_s.
  contract::Event with_sound(contract::Event event) const;

  static constexpr double kSoundMax_s = 30;  ///< Of one event; of a longer one the last part is kept.
  static constexpr double kLate_s = 15;      ///< An event may come so long after its sound.

 private:
  struct Held {
    std::int64_t captured_us = 0;
    std::shared_ptr<const pipeline::AudioBlock> block;
    std::int64_t end_us() const;
  };
  Result<evidence::StoredFile> keep(const contract::Event& event) const;

  bool is_wished_ = false;
  double before_s_ = 0.5;
  pipeline::Context context_;
  std::deque<Held> held_;  ///< At most before_s + kSoundMax_s + kLate_s of sound.
};

}  // namespace verge::audio
