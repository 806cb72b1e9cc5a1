// pipeline/sound/resampler.h -- one rate of samples into another, piece by piece.
//
// Source: libsoxr (a linear-phase filter, 20 bits; its delay is made up for: sample k that comes out is the moment k of
// what went in). Threads: one at a time.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"

struct soxr;

namespace verge::pipeline {

class Resampler {
 public:
  /// Errors: invalid_argument (a rate that is not positive), internal (what libsoxr says).
  static Result<Resampler> make(int from_hz, int to_hz);

  /// Appends to `out` what can be told by now; some milliseconds stay inside until more comes.
  void put(const float* samples, std::size_t count, std::vector<float>& out);
  /// There is no more: appends what stayed inside.
  void finish(std::vector<float>& out);
  /// Forgets what stayed inside: another sound begins.
  void restart();

 private:
  struct Free {
    void operator()(soxr* state) const;
  };
  Resampler(std::unique_ptr<soxr, Free> state, double ratio) : state_(std::move(state)), ratio_(ratio) {}
  void run(const float* samples, std::size_t count, std::vector<float>& out);

  std::unique_ptr<soxr, Free> state_;  // Null: the rates are the same.
  double ratio_ = 1;
};

}  // namespace verge::pipeline
