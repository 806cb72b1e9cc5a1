// connectors/microphone/live_microphone.h -- keeps a microphone's sound coming: watches for silence and connects again.
//
// A link (alsa_microphone.h, network_microphone.h, socket_microphone.h, mqtt_microphone.h) knows how to talk to one
// sort; this knows what all have in common: connecting again (live_retry.h), and blocks with true times (sound_line.h).
// Sound is there again within silence_s + kAgainMax (4 s by default) after the microphone is. Threads: as
// pipeline::Source.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "connectors/live_retry.h"
#include "connectors/microphone/microphone_counters.h"
#include "connectors/microphone/sound_line.h"
#include "pipeline/sound/sample_format.h"
#include "pipeline/stage.h"

namespace verge::connectors {

/// One connection's view of the source that it works for.
class SoundWatch : public LiveWatch {
 public:
  virtual std::int64_t monotonic_us() const = 0;
  virtual MicrophoneCounters& counters() = 0;
  /// What the sender says it sends: before the first put(), and again when it changes; what came before is finished.
  /// note: for people, of sound_note().
  virtual Status begin(int rate_hz, const std::string& note) = 0;
  /// Mono samples, the last of them complete at `now_us` (monotonic). clipped: how many are at full scale.
  virtual void put(const std::vector<float>& samples, std::size_t clipped, std::int64_t now_us) = 0;
  /// So many were lost before the next ones; or: some were, nobody knows how many.
  virtual void miss(std::uint64_t count) = 0;
  virtual void expect_hole() = 0;
};

class SoundLink {
 public:
  virtual ~SoundLink() = default;
  /// Before the first connection. Errors: what no repetition mends (a library is missing).
  virtual Status prepare() { return Done{}; }
  /// Connects and puts sound until the connection ends. Done only when the other side closed it or the source stops.
  /// Errors: unavailable, timeout, corrupt; invalid_argument when it refuses us.
  virtual Status watch(SoundWatch& watch) = 0;
};

/// "s16le, 1 channel", "aac, 2 channels"
std::string sound_note(std::string_view coding, int channels);

/// What has_to_end() means, as an error; Done when the source stops.
Status silence_error(const SoundWatch& watch);

struct LiveMicrophoneOptions {
  std::string shown;     ///< The microphone in messages, without secrets.
  double silence_s = 3;  ///< So long without a sample, or without an answer while connecting: it is given up.
  SoundLineOptions line{};
};

std::unique_ptr<pipeline::Source> make_live_microphone(LiveMicrophoneOptions options, std::unique_ptr<SoundLink> link,
                                                       const pipeline::Context& context);

}  // namespace verge::connectors
