#include "connectors/camera/picture_mask.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace verge::connectors {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;

class MaskedSource final : public pipeline::Source {
 public:
  MaskedSource(std::unique_ptr<pipeline::Source> source, PictureMask mask)
      : source_(std::move(source)), mask_(std::move(mask)) {}

  Status open() override { return source_->open(); }
  bool is_live() const override { return source_->is_live(); }
  Status run(const pipeline::Emit& emit, const std::function<bool()>& should_stop) override {
    return source_->run(
        [&](pipeline::Packet packet) {
          const auto scene = pipeline::payload_as<pipeline::Scene>(packet);
          if (scene && scene->frame) {
            auto masked = std::make_shared<pipeline::Scene>(*scene);
            masked->frame = mask_.apply(*scene->frame);
            packet.payload = std::shared_ptr<const pipeline::Scene>(std::move(masked));
          }
          emit(std::move(packet));
        },
        should_stop);
  }

 private:
  const std::unique_ptr<pipeline::Source> source_;
  PictureMask mask_;
};

}  // namespace

void PictureMask::measure(int width, int height) {
  width_ = width;
  height_ = height;
  spans_.clear();
  std::vector<double> crossings;
  for (const pipeline::Polygon& polygon : polygons_) {
    for (int row = 0; row < height; ++row) {
      const double y = (row + 0.5) / height;
      crossings.clear();
      for (std::size_t i = 0, before = polygon.size() - 1; i < polygon.size(); before = i++) {
        const auto& [x1, y1] = polygon[before];
        const auto& [x2, y2] = polygon[i];
        if ((y1 > y) != (y2 > y)) crossings.push_back(x1 + (y - y1) / (y2 - y1) * (x2 - x1));
      }
      std::ranges::sort(crossings);
      for (std::size_t i = 0; i + 1 < crossings.size(); i += 2) {
        const int from = std::clamp(static_cast<int>(std::floor(crossings[i] * width)), 0, width);
        const int to = std::clamp(static_cast<int>(std::ceil(crossings[i + 1] * width)), 0, width);
        if (to > from) spans_.push_back({row, from, to});
      }
    }
  }
}

std::shared_ptr<const Frame> PictureMask::apply(const Frame& frame) {
  if (frame.width != width_ || frame.height != height_) measure(frame.width, frame.height);
  const bool is_yuv = frame.format == PixelFormat::yuv420;
  const int step = frame.format == PixelFormat::rgb24 ? 3 : 1;
  const int planes = is_yuv ? 3 : 1;
  const auto rows_of = [&](int plane) { return plane == 0 ? frame.height : (frame.height + 1) / 2; };
  const auto bytes_of = [&](int plane) { return plane == 0 ? frame.width * step : (frame.width + 1) / 2; };
  std::size_t bytes = 0;
  for (int p = 0; p < planes; ++p) {
    bytes += static_cast<std::size_t>(rows_of(p)) * static_cast<std::size_t>(bytes_of(p));
  }
  auto storage = std::make_shared<std::vector<std::uint8_t>>(bytes);
  auto masked = std::make_shared<Frame>(frame);
  std::uint8_t* at = storage->data();
  std::uint8_t* starts[3] = {};
  for (int p = 0; p < planes; ++p) {
    starts[p] = at;
    masked->planes[p] = at;
    masked->strides[p] = bytes_of(p);
    for (int row = 0; row < rows_of(p); ++row, at += bytes_of(p)) {
      std::memcpy(at, frame.planes[p] + static_cast<std::ptrdiff_t>(row) * frame.strides[p],
                  static_cast<std::size_t>(bytes_of(p)));
    }
  }
  const int black = is_yuv && !frame.is_full_range ? 16 : 0;
  for (const Span& span : spans_) {
    std::memset(starts[0] + static_cast<std::ptrdiff_t>(span.row) * bytes_of(0) + span.from * step, black,
                static_cast<std::size_t>((span.to - span.from) * step));
    for (int p = 1; p < planes; ++p) {
      const int from = span.from / 2;
      const int to = (span.to + 1) / 2;
      std::memset(starts[p] + static_cast<std::ptrdiff_t>(span.row / 2) * bytes_of(p) + from, 128,
                  static_cast<std::size_t>(to - from));
    }
  }
  masked->storage = std::move(storage);
  return masked;
}

std::unique_ptr<pipeline::Source> with_mask(std::unique_ptr<pipeline::Source> source, PictureMask mask) {
  return std::make_unique<MaskedSource>(std::move(source), std::move(mask));
}

}  // namespace verge::connectors
