// vision/test_frames.h -- pictures made by formula; tests and benches only.
#pragma once

#include <functional>
#include <vector>

#include "pipeline/packet.h"

namespace verge::vision::testing {

/// value(plane, x, y) gives each byte; lines have 3 bytes of slack, so that strides matter.
inline std::shared_ptr<pipeline::Frame> make_frame(pipeline::PixelFormat format, int width, int height,
                                                   const std::function<int(int plane, int x, int y)>& value) {
  struct Storage {
    std::vector<std::uint8_t> planes[3];
  };
  auto storage = std::make_shared<Storage>();
  auto frame = std::make_shared<pipeline::Frame>();
  frame->format = format;
  frame->width = width;
  frame->height = height;
  const bool is_yuv = format == pipeline::PixelFormat::yuv420;
  for (int p = 0; p < (is_yuv ? 3 : 1); ++p) {
    const int columns = p > 0 ? (width + 1) / 2 : format == pipeline::PixelFormat::rgb24 ? width * 3 : width;
    const int rows = p > 0 ? (height + 1) / 2 : height;
    const int stride = columns + 3;
    auto& bytes = storage->planes[p];
    bytes.resize(static_cast<std::size_t>(stride) * static_cast<std::size_t>(rows));
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < columns; ++x) {
        bytes[static_cast<std::size_t>(y * stride + x)] = static_cast<std::uint8_t>(value(p, x, y));
      }
    }
    frame->planes[p] = bytes.data();
    frame->strides[p] = stride;
  }
  frame->storage = storage;
  return frame;
}

/// An object standing at a foot point; 0.1 wide, 0.2 high.
inline pipeline::Object standing_at(double x, double y, std::string track = "", float score = 0.9F) {
  pipeline::Object object;
  object.label = "person";
  object.score = score;
  object.box = {x - 0.05, y - 0.2, x + 0.05, y};
  object.track = std::move(track);
  return object;
}

}  // namespace verge::vision::testing
