// audio/transcripts/transcriber.h -- a long recording becomes clips with texts: the stages voice and speech, off line.
//
// The clip keeps the sound as it was recorded, at 16 kHz; the models hear it as stage `voice` prepares it. Threads: one
// transcriber per thread; a dataset may be shared when `keep` locks.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "audio/speech/speech_recognizer.h"
#include "audio/transcripts/clip.h"
#include "pipeline/stage.h"

namespace verge::audio {

struct TranscriberOptions {
  std::filesystem::path detector;    ///< silero_vad.onnx
  std::filesystem::path recognizer;  ///< Folder with encoder.onnx, decoder.onnx, tokenizer.json.
  double recording_s_max = 6 * 3600;
  int threads = 1;  ///< Of one recogniser; more do not help a decoder that takes small steps.
};

class Transcriber {
 public:
  /// Errors: those of the models.
  static Result<std::unique_ptr<Transcriber>> load(TranscriberOptions options);
  ~Transcriber();

  struct Found {
    Clip clip;          ///< Without media name and digest; source is the recording's file name.
    std::string sound;  ///< FLAC.
  };
  struct Hooks {
    /// Whether the utterance that begins there is known already, so that nothing is computed for it.
    std::function<bool(double begin_s)> is_known;
    /// An error ends the work and is returned.
    std::function<Status(Found found)> keep;
    /// How far it is, in seconds of the recording.
    std::function<void(double done_s, double all_s)> tell;
  };
  /// Utterances without text are left out. Errors: those of read_recording and the models, or of `keep`.
  Status transcribe(const std::filesystem::path& recording, const Hooks& hooks);

 private:
  explicit Transcriber(TranscriberOptions options);
  const TranscriberOptions options_;
  std::unique_ptr<SpeechRecognizer> recognizer_;
};

}  // namespace verge::audio
