#include "connectors/camera/frame_pool.h"

#include <algorithm>
#include <sys/mman.h>

namespace verge::connectors {

FramePool::~FramePool() {
  for (const Block& block : free_) munmap(block.begin, block.bytes);
}

std::uint8_t* FramePool::take(std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    // The newest: the processor's cache may still have a part of it.
    const auto at = std::find_if(free_.rbegin(), free_.rend(), [bytes](const Block& b) { return b.bytes == bytes; });
    if (at != free_.rend()) {
      std::uint8_t* begin = at->begin;
      free_bytes_ -= bytes;
      free_.erase(std::next(at).base());
      return begin;
    }
  }
  // Not from the heap: what others allocate between would keep the pages of pictures that are gone.
  void* begin = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return begin == MAP_FAILED ? nullptr : static_cast<std::uint8_t*>(begin);
}

void FramePool::give_back(std::uint8_t* begin, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  free_.push_back({begin, bytes});
  free_bytes_ += bytes;
  while (free_bytes_ > free_bytes_max_) {
    munmap(free_.front().begin, free_.front().bytes);
    free_bytes_ -= free_.front().bytes;
    free_.pop_front();
  }
}

std::size_t FramePool::free_bytes() const {
  const std::lock_guard lock(mutex_);
  return free_bytes_;
}

FramePool& shared_frame_pool() {
  static auto* const pool = new FramePool();
  return *pool;
}

}  // namespace verge::connectors
