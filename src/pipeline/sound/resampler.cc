#include "pipeline/sound/resampler.h"

#include <fmt/format.h>
#include <soxr.h>

namespace verge::pipeline {

void Resampler::Free::operator()(soxr* state) const { soxr_delete(state); }

Result<Resampler> Resampler::make(int from_hz, int to_hz) {
  const auto doing = [&] { return fmt::format("convert {} Hz to {} Hz", from_hz, to_hz); };
  if (from_hz <= 0 || to_hz <= 0) return Error{ErrorCode::invalid_argument, doing() + ": a rate must be positive"};
  if (from_hz == to_hz) return Resampler(nullptr, 1);
  soxr_error_t problem = nullptr;
  std::unique_ptr<soxr, Free> state(soxr_create(from_hz, to_hz, 1, &problem, nullptr, nullptr, nullptr));
  if (problem != nullptr || !state) {
    return Error{ErrorCode::internal, fmt::format("{}: {}", doing(), problem == nullptr ? "no memory" : problem)};
  }
  return Resampler(std::move(state), static_cast<double>(to_hz) / from_hz);
}

void Resampler::put(const float* samples, std::size_t count, std::vector<float>& out) {
  if (count > 0) run(samples, count, out);
}

void Resampler::finish(std::vector<float>& out) {
  if (state_) run(nullptr, 0, out);
}

void Resampler::restart() {
  if (state_) soxr_clear(state_.get());
}

void Resampler::run(const float* samples, std::size_t count, std::vector<float>& out) {
  if (!state_) {
    out.insert(out.end(), samples, samples + count);
    return;
  }
  constexpr std::size_t kRoom = 4096;
  for (bool is_more = true; is_more;) {
    const std::size_t begin = out.size();
    const std::size_t room = static_cast<std::size_t>(static_cast<double>(count) * ratio_) + kRoom;
    out.resize(begin + room);
    std::size_t used = 0, made = 0;
    soxr_process(state_.get(), samples, count, &used, out.data() + begin, room, &made);
    out.resize(begin + made);
    if (samples != nullptr) samples += used;
    count -= used;
    is_more = made == room || count > 0;
  }
}

}  // namespace verge::pipeline
