// connectors/microphone/alsa_microphone.h -- a sound card by its ALSA name: "default", "hw:1,0", "plughw:CARD=Array".
//
// Source: ALSA library API, "PCM (digital audio) interface" (capture, blocking reads of whole periods). The format is
// the best that the card has of float, 32, 24 and 16 bits; rate and channels the nearest to those wanted. An overrun is
// prepared again and its hole measured by the clock; a card that is unplugged (ENODEV and others) ends the connection,
// which live_microphone.h makes again. Not yet seen on hardware: tests use ALSA's own file and null plug-ins, and
// replay the codes of an overrun and of an unplugged card through the interface below.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/microphone/live_microphone.h"

namespace verge::connectors {

struct CardWish {
  int rate_hz = 48'000;                            ///< The card gives the nearest that it has.
  int channels = 0;                                ///< The same; 0: what it likes, at most two.
  std::optional<pipeline::SampleFormat> format{};  ///< Only this one; nothing: the best.
};
/// What it gave.
struct CardShape {
  pipeline::SoundShape sound;
  int period_frames = 0;
};

/// One opened card. Codes are 0 (or a count) or -errno, as ALSA gives them. Threads: one at a time.
class SoundCard {
 public:
  virtual ~SoundCard() = default;
  /// Errors: not_found (ALSA is not there).
  virtual Status prepare() { return Done{}; }
  /// Opens it for capture; `shape` gets what it gives.
  virtual int open(const std::string& name, const CardWish& wish, CardShape& shape) = 0;
  virtual void close() = 0;
  /// 1: a period can be read; 0: not within the time.
  virtual int wait(int timeout_ms) = 0;
  /// Reads at most `frames` frames; how many it were.
  virtual int read(void* bytes, int frames) = 0;
  /// Frames that wait unread by now: so much older is what was read.
  virtual int unread_frames() = 0;
  /// After an overrun (-EPIPE) or a sleep of the machine (-ESTRPIPE): it captures again.
  virtual int recover(int code) = 0;
  virtual std::string words_for(int code) const = 0;
};
std::unique_ptr<SoundCard> make_sound_card();

struct AlsaOptions {
  std::string name;
  CardWish wish{};
  pipeline::Channel channel = 0;
};

std::unique_ptr<SoundLink> make_alsa_link(AlsaOptions options, std::unique_ptr<SoundCard> card);

struct CardName {
  std::string name, description;
};
/// What can be captured from by name. Errors: not_found (ALSA is not there), unavailable.
Result<std::vector<CardName>> list_sound_cards();

}  // namespace verge::connectors
