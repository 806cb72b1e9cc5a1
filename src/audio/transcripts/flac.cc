#include "audio/transcripts/flac.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <memory>
#include <sndfile.h>
#include <vector>

namespace verge::audio {
namespace {

/// A file in memory for libsndfile.
struct MemoryFile {
  std::string bytes;
  std::size_t at = 0;
};

MemoryFile& memory_of(void* user) { return *static_cast<MemoryFile*>(user); }
sf_count_t memory_size(void* user) { return static_cast<sf_count_t>(memory_of(user).bytes.size()); }
sf_count_t memory_tell(void* user) { return static_cast<sf_count_t>(memory_of(user).at); }

sf_count_t memory_seek(sf_count_t offset, int whence, void* user) {
  auto& file = memory_of(user);
  const auto base = whence == SEEK_CUR   ? static_cast<sf_count_t>(file.at)
                    : whence == SEEK_END ? static_cast<sf_count_t>(file.bytes.size())
                                         : 0;
  file.at = static_cast<std::size_t>(std::max<sf_count_t>(0, base + offset));
  return static_cast<sf_count_t>(file.at);
}

sf_count_t memory_read(void* target, sf_count_t count, void* user) {
  auto& file = memory_of(user);
  if (file.at >= file.bytes.size()) return 0;
  const auto taken = std::min(static_cast<std::size_t>(count), file.bytes.size() - file.at);
  std::memcpy(target, file.bytes.data() + file.at, taken);
  file.at += taken;
  return static_cast<sf_count_t>(taken);
}

sf_count_t memory_write(const void* source, sf_count_t count, void* user) {
  auto& file = memory_of(user);
  const auto size = static_cast<std::size_t>(count);
  if (file.bytes.size() < file.at + size) file.bytes.resize(file.at + size);
  std::memcpy(file.bytes.data() + file.at, source, size);
  file.at += size;
  return count;
}

}  // namespace

Result<std::string> to_flac(std::span<const float> samples, int rate_hz) {
  if (samples.empty()) return Error{ErrorCode::invalid_argument, "write FLAC: there is no sound"};
  std::vector<short> whole(samples.size());
  std::ranges::transform(samples, whole.begin(), [](float sample) {
    return static_cast<short>(std::lround(std::clamp(sample, -1.0F, 1.0F) * 32'767.0F));
  });
  SF_VIRTUAL_IO memory{memory_size, memory_seek, memory_read, memory_write, memory_tell};
  SF_INFO info{};
  info.samplerate = rate_hz;
  info.channels = 1;
  info.format = SF_FORMAT_FLAC | SF_FORMAT_PCM_16;
  MemoryFile target;
  {
    const std::unique_ptr<SNDFILE, int (*)(SNDFILE*)> file(sf_open_virtual(&memory, SFM_WRITE, &info, &target),
                                                           sf_close);
    if (!file)
      return Error{ErrorCode::invalid_argument, fmt::format("write FLAC at {} Hz: {}", rate_hz, sf_strerror(nullptr))};
    const auto count = static_cast<sf_count_t>(whole.size());
    if (sf_write_short(file.get(), whole.data(), count) != count)
      return Error{ErrorCode::internal, fmt::format("write FLAC: {}", sf_strerror(file.get()))};
  }
  return std::move(target.bytes);
}

}  // namespace verge::audio
