#include "connectors/microphone/alsa_microphone.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fmt/format.h>

#include "connectors/microphone/alsa_library.h"

namespace verge::connectors {
namespace {

using pipeline::SampleFormat;

constexpr int kCardWaitMs = 100;
constexpr unsigned kPeriod_us = 20'000;
constexpr unsigned kBuffer_us = 500'000;  // So long may this program be kept waiting before sound is lost.
constexpr int kRecoveriesMax = 100;       // In a row without a sample.

class AlsaCard final : public SoundCard {
 public:
  ~AlsaCard() override { AlsaCard::close(); }

  Status prepare() override {
    VERGE_TRY(alsa_, open_alsa());
    return Done{};
  }

  int open(const std::string& name, const CardWish& wish, CardShape& shape) override {
    close();
    // ALSA reads its files once; a card that was plugged in since is only found in a new reading.
    alsa_->forget_configuration();
    if (const int code = alsa_->open(&card_, name.c_str(), SND_PCM_STREAM_CAPTURE, SND_PCM_NONBLOCK); code < 0) {
      card_ = nullptr;
      return code;
    }
    snd_pcm_hw_params_t* params = nullptr;
    if (alsa_->params_malloc(&params) < 0) return -ENOMEM;
    const int code = choose(params, wish, shape);
    alsa_->params_free(params);
    return code < 0 ? code : alsa_->start(card_);
  }

  void close() override {
    if (card_ != nullptr) alsa_->close(card_);
    card_ = nullptr;
  }

  int wait(int timeout_ms) override { return alsa_->wait(card_, timeout_ms); }
  int read(void* bytes, int frames) override {
    return static_cast<int>(alsa_->readi(card_, bytes, static_cast<snd_pcm_uframes_t>(frames)));
  }
  int unread_frames() override {
    snd_pcm_sframes_t waiting = 0, delay = 0;
    if (alsa_->avail_delay(card_, &waiting, &delay) < 0) return 0;
    return static_cast<int>(std::clamp<snd_pcm_sframes_t>(std::max(waiting, delay), 0, 1 << 20));
  }
  int recover(int code) override {
    if (code == -ESTRPIPE) {
      // The driver may still be waking up; prepare() goes for those that cannot resume.
      for (int i = 0; i < 10 && (code = alsa_->resume(card_)) == -EAGAIN; ++i) alsa_->wait(card_, kCardWaitMs);
      if (code == 0) return 0;
    }
    if (const int prepared = alsa_->prepare(card_); prepared < 0) return prepared;
    return alsa_->start(card_);
  }
  std::string words_for(int code) const override { return alsa_->strerror(code); }

 private:
  int choose(snd_pcm_hw_params_t* params, const CardWish& wish, CardShape& shape) {
    if (const int code = alsa_->params_any(card_, params); code < 0) return code;
    if (const int code = alsa_->set_access(card_, params, SND_PCM_ACCESS_RW_INTERLEAVED); code < 0) return code;
    if (const int code = choose_format(params, wish.format, shape.sound.format); code < 0) return code;
    // "As many as it likes" of a plug-in may be thousands.
    unsigned channels = static_cast<unsigned>(wish.channels == 0 ? 2 : wish.channels);
    if (const int code = alsa_->set_channels_near(card_, params, &channels); code < 0) return code;
    unsigned rate_hz = static_cast<unsigned>(wish.rate_hz);
    int direction = 0;
    if (const int code = alsa_->set_rate_near(card_, params, &rate_hz, &direction); code < 0) return code;
    // Periods and buffers are wishes: a card that cannot has its own.
    unsigned period_us = kPeriod_us, buffer_us = kBuffer_us;
    alsa_->set_period_time_near(card_, params, &period_us, &direction);
    alsa_->set_buffer_time_near(card_, params, &buffer_us, &direction);
    if (const int code = alsa_->params_set(card_, params); code < 0) return code;
    shape.sound.channels = static_cast<int>(channels);
    shape.sound.rate_hz = static_cast<int>(rate_hz);
    shape.period_frames = std::max(64, static_cast<int>(std::uint64_t{rate_hz} * kPeriod_us / 1'000'000));
    return 0;
  }

  int choose_format(snd_pcm_hw_params_t* params, std::optional<SampleFormat> wish, SampleFormat& format) {
    constexpr std::pair<snd_pcm_format_t, SampleFormat> kBestFirst[] = {
        {SND_PCM_FORMAT_FLOAT_LE, SampleFormat::f32le},
        {SND_PCM_FORMAT_S32_LE, SampleFormat::s32le},
        {SND_PCM_FORMAT_S24_3LE, SampleFormat::s24le},
        {SND_PCM_FORMAT_S24_LE, SampleFormat::s24le_in4},
        {SND_PCM_FORMAT_S16_LE, SampleFormat::s16le}};
    for (const auto& [theirs, ours] : kBestFirst) {
      if (wish && *wish != ours) continue;
      if (alsa_->test_format(card_, params, theirs) != 0) continue;
      format = ours;
      return alsa_->set_format(card_, params, theirs);
    }
    return -EINVAL;
  }

  const AlsaLibrary* alsa_ = nullptr;
  snd_pcm_t* card_ = nullptr;
};

class AlsaLink final : public SoundLink {
 public:
  AlsaLink(AlsaOptions options, std::unique_ptr<SoundCard> card)
      : options_(std::move(options)), card_(std::move(card)) {}

  Status prepare() override { return card_->prepare(); }

  Status watch(SoundWatch& watch) override {
    Status ended = capture(watch);
    card_->close();
    return ended;
  }

 private:
  Error failure(std::string_view doing, int code) const {
    if (code == -ENODEV) return Error{ErrorCode::unavailable, fmt::format("{}: it is not there any more", doing)};
    if (code == -EBUSY) {
      return Error{ErrorCode::unavailable,
                   fmt::format("{}: another program has it; name it as dsnoop:… to share it", doing)};
    }
    return Error{ErrorCode::unavailable, fmt::format("{}: {}", doing, card_->words_for(code))};
  }

  Status capture(SoundWatch& watch) {
    CardShape shape;
    if (const int code = card_->open(options_.name, options_.wish, shape); code < 0) return failure("open", code);
    VERGE_CHECK(pipeline::check_shape(shape.sound));
    VERGE_CHECK(pipeline::check_channel(options_.channel, shape.sound.channels));
    VERGE_CHECK(
        watch.begin(shape.sound.rate_hz, sound_note(pipeline::name_of(shape.sound.format), shape.sound.channels)));
    bytes_.resize(static_cast<std::size_t>(shape.period_frames) * shape.sound.frame_bytes());
    for (int recoveries = 0; recoveries < kRecoveriesMax;) {
      if (watch.has_to_end()) return silence_error(watch);
      int code = card_->wait(kCardWaitMs);
      if (code > 0) code = card_->read(bytes_.data(), shape.period_frames);
      if (code > 0) {
        recoveries = 0;
        put(watch, shape, code);
      } else if (code == -EPIPE || code == -ESTRPIPE) {
        if (const int recovered = card_->recover(code); recovered < 0)
          return failure("go on after an overrun", recovered);
        watch.expect_hole();
        ++recoveries;
      } else if (code < 0 && code != -EAGAIN && code != -EINTR) {
        return failure("read", code);
      }
    }
    return Error{ErrorCode::unavailable, "it overruns again and again without a sample"};
  }

  void put(SoundWatch& watch, const CardShape& shape, int frames) {
    // What waits behind was captured after what was read.
    const std::int64_t behind_us = std::int64_t{card_->unread_frames()} * 1'000'000 / shape.sound.rate_hz;
    mono_.clear();
    const std::string_view bytes(bytes_.data(), static_cast<std::size_t>(frames) * shape.sound.frame_bytes());
    const std::size_t clipped = append_mono(bytes, shape.sound, options_.channel, mono_);
    watch.put(mono_, clipped, watch.monotonic_us() - behind_us);
  }

  const AlsaOptions options_;
  const std::unique_ptr<SoundCard> card_;
  std::vector<char> bytes_;
  std::vector<float> mono_;
};

}  // namespace

std::unique_ptr<SoundCard> make_sound_card() { return std::make_unique<AlsaCard>(); }

std::unique_ptr<SoundLink> make_alsa_link(AlsaOptions options, std::unique_ptr<SoundCard> card) {
  return std::make_unique<AlsaLink>(std::move(options), std::move(card));
}

Result<std::vector<CardName>> list_sound_cards() {
  VERGE_TRY(const AlsaLibrary* alsa, open_alsa());
  void** hints = nullptr;
  if (const int code = alsa->device_name_hint(-1, "pcm", &hints); code < 0) {
    return Error{ErrorCode::unavailable, fmt::format("list sound cards: {}", alsa->strerror(code))};
  }
  std::vector<CardName> names;
  const auto hint = [&](void* of, const char* what) {
    char* text = alsa->device_name_get_hint(of, what);
    const std::string copy = text == nullptr ? "" : text;
    std::free(text);  // NOLINT: ALSA gives malloc's memory.
    return copy;
  };
  for (void** at = hints; *at != nullptr; ++at) {
    const std::string direction = hint(*at, "IOID");  // Empty: both.
    if (direction == "Output") continue;
    std::string description = hint(*at, "DESC");
    std::ranges::replace(description, '\n', ' ');
    names.push_back({hint(*at, "NAME"), std::move(description)});
  }
  alsa->device_name_free_hint(hints);
  return names;
}

}  // namespace verge::connectors
