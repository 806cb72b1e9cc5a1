// Datagrams that claim to be RTP: no crash, the sound lies within the datagram, and what is missing is bounded.
#include "base/assert.h"
#include "connectors/microphone/pcm_pieces.h"
#include "connectors/microphone/rtp_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace verge::connectors;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  const verge::pipeline::SoundShape shape{verge::pipeline::SampleFormat::s16be, 16'000, 2};
  RtpOrder order(shape.rate_hz);
  PcmPieces pieces(shape, 0);
  // Datagrams of a length that the byte before them tells.
  for (std::int64_t now_us = 0; !input.empty(); now_us += 20'000) {
    const std::size_t bytes = static_cast<unsigned char>(input.front());
    input.remove_prefix(1);
    const std::string_view datagram = input.substr(0, bytes);
    input.remove_prefix(datagram.size());
    std::size_t clipped = 0;
    for (const float sample : pieces.put(datagram, clipped)) VERGE_ASSERT(sample >= -1 && sample <= 1);
    VERGE_ASSERT(pieces.kept_bytes() < shape.frame_bytes());
    const auto packet = read_rtp(datagram);
    if (!packet) continue;
    VERGE_ASSERT(packet->payload.size() <= datagram.size());
    const auto frames = static_cast<std::uint32_t>(packet->payload.size() / shape.frame_bytes());
    const auto judged = order.judge(*packet, frames, now_us);
    VERGE_ASSERT(judged.missing <= static_cast<std::uint32_t>(RtpOrder::kJump_s * shape.rate_hz));
  }
  return 0;
}
