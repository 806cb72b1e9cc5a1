#include "connectors/camera/jpeg_decoder.h"

#include <algorithm>
#include <atomic>
#include <turbojpeg.h>

namespace verge::connectors {
namespace {

constexpr std::size_t kPoolMax = 16;
constexpr int kRowAlignment = 64;

int aligned(int bytes) { return (bytes + kRowAlignment - 1) / kRowAlignment * kRowAlignment; }

}  // namespace

JpegDecoder::JpegDecoder() : decompressor_(tjInitDecompress(), [](void* handle) { tjDestroy(handle); }) {}

std::shared_ptr<pipeline::Frame> JpegDecoder::decode(std::string_view bytes) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  auto frame = std::make_shared<pipeline::Frame>();
  int sampling = 0, colours = 0;
  if (tjDecompressHeader3(decompressor_.get(), data, bytes.size(), &frame->width, &frame->height, &sampling,
                          &colours) != 0) {
    return nullptr;
  }
  const bool is_known = sampling == TJSAMP_420 && colours == TJCS_YCbCr;
  if (!is_known || frame->width > kSideMax || frame->height > kSideMax) return nullptr;

  frame->is_full_range = true;
  frame->strides[0] = aligned(tjPlaneWidth(0, frame->width, sampling));
  frame->strides[1] = frame->strides[2] = aligned(tjPlaneWidth(1, frame->width, sampling));
  const auto rows = [&](int plane) { return static_cast<std::size_t>(tjPlaneHeight(plane, frame->height, sampling)); };
  const auto luma = rows(0) * static_cast<std::size_t>(frame->strides[0]);
  const auto chroma = rows(1) * static_cast<std::size_t>(frame->strides[1]);
  const auto pixels = lend(luma + 2 * chroma);
  unsigned char* planes[3] = {pixels->data(), pixels->data() + luma, pixels->data() + luma + chroma};
  // A warning, such as bytes that are missing at the end, is a failure here.
  if (tjDecompressToYUVPlanes(decompressor_.get(), data, bytes.size(), planes, frame->width, frame->strides,
                              frame->height, 0) != 0) {
    return nullptr;
  }
  std::copy_n(planes, 3, frame->planes);
  frame->storage = pixels;
  return frame;
}

std::shared_ptr<JpegDecoder::Pixels> JpegDecoder::lend(std::size_t bytes) {
  const auto is_free = [](const auto& each) { return each.use_count() == 1; };
  auto at = std::ranges::find_if(pool_, is_free);
  if (at == pool_.end()) {
    auto fresh = std::make_shared<Pixels>(bytes);
    if (pool_.size() < kPoolMax) pool_.push_back(fresh);
    return fresh;
  }
  std::atomic_thread_fence(std::memory_order_acquire);  // Whoever held it has read the last of it.
  if ((*at)->size() != bytes) (*at)->assign(bytes, 0);
  return *at;
}

}  // namespace verge::connectors
