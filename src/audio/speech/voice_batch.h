// audio/speech/voice_batch.h -- one voice detector for many streams: their blocks are looked at together.
//
// A stream hands in a block and goes on; when every stream has one waiting, or a stream comes with its next, all that
// wait are looked at in one run. So nobody waits longer than until its next block (32 ms), nobody blocks, and a stream
// alone gets each answer at once. Threads: any; a run holds the lock (16 streams: 0.5 ms).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "inference/session.h"

namespace verge::audio {

class VoiceBatch {
 public:
  static constexpr std::size_t kBlockSamples = 512;
  static constexpr std::size_t kContextSamples = 64;
  static constexpr std::size_t kStateSize = 128;
  static constexpr std::size_t kStreamsMax = 64;  ///< Looked at in one run; with more, the first do not wait for all.

  /// One stream's place. Its batch outlives it.
  class Voice {
   public:
    ~Voice();
    Voice(const Voice&) = delete;
    Voice& operator=(const Voice&) = delete;

    /// samples: 512 at 16 kHz. Returns the probabilities, 0..1, of this stream's blocks that are known by now and were
    /// not returned yet, the oldest first: none, one or two. Errors: those of the run in which its block was.
    Result<std::vector<float>> add(std::span<const float> samples);
    /// Those of the blocks that still wait.
    Result<std::vector<float>> finish();
    /// Forgets the sound so far.
    void reset();

   private:
    friend class VoiceBatch;
    explicit Voice(std::shared_ptr<VoiceBatch> batch);
    Result<std::vector<float>> take();

    const std::shared_ptr<VoiceBatch> batch_;
    std::vector<float> window_;  ///< Context and block.
    std::vector<float> state_;   ///< Hidden, memory.
    bool is_waiting_ = false;
    std::vector<float> known_;
    std::vector<Error> errors_;  ///< The newest one, when a run failed.
  };

  /// Errors: those of load_onnx; invalid_argument when the model has other inputs.
  static Result<std::shared_ptr<VoiceBatch>> load(const std::filesystem::path& model);
  static std::unique_ptr<Voice> join(const std::shared_ptr<VoiceBatch>& batch);
  std::string model_digest() const { return digest_; }

 private:
  VoiceBatch(std::unique_ptr<inference::Session> session, std::string digest);
  void run_waiting();
  Status run(std::span<Voice* const> voices);

  const std::unique_ptr<inference::Session> session_;
  const std::string digest_;
  const bool wants_rate_;
  std::mutex mutex_;
  std::vector<Voice*> waiting_;
  std::size_t voice_count_ = 0;
  inference::Tensor input_, state_, next_state_, output_, rate_;
};

/// The batches of a program, one per model file. Threads: any.
class VoiceBatches {
 public:
  Result<std::shared_ptr<VoiceBatch>> open(const std::filesystem::path& model);

 private:
  std::mutex mutex_;
  std::map<std::filesystem::path, std::weak_ptr<VoiceBatch>> opened_;
};

}  // namespace verge::audio
