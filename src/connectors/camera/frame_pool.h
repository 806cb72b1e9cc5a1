// connectors/camera/frame_pool.h -- memory for decoded pictures, shared by all cameras of the program.
//
// A decoder needs a picture more for the moment in which it works than between two pictures, and stages hold some for a
// while. A pool for each decoder, which FFmpeg would make, keeps for every camera what it once needed at most; cameras
// that share one need together what they need at the same time. A 1920 x 1080 picture has 3 MB. What a camera left
// behind is not seen by the next: pictures decoded with damage never leave picture_decoder.h, and of others every pixel
// is written. Threads: from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

namespace verge::connectors {

class FramePool {
 public:
  /// free_bytes_max  kept for the next picture; more goes back to the system, the longest unused first
  explicit FramePool(std::size_t free_bytes_max = kFreeBytesMax) : free_bytes_max_(free_bytes_max) {}
  ~FramePool();
  FramePool(const FramePool&) = delete;
  FramePool& operator=(const FramePool&) = delete;

  static constexpr std::size_t kFreeBytesMax = 16U << 20U;  ///< Five pictures of 1920 x 1080.
  /// The beginning of a page; bytes as somebody left them. Null when there is no memory.
  std::uint8_t* take(std::size_t bytes);
  /// What take(bytes) gave.
  void give_back(std::uint8_t* begin, std::size_t bytes);
  std::size_t free_bytes() const;

 private:
  struct Block {
    std::uint8_t* begin;
    std::size_t bytes;
  };
  const std::size_t free_bytes_max_;
  mutable std::mutex mutex_;
  std::deque<Block> free_;  ///< The last one was given back last.
  std::size_t free_bytes_ = 0;
};

/// The program's; lives until it ends, as frames may.
FramePool& shared_frame_pool();

}  // namespace verge::connectors
