// connectors/camera/v4l2_camera.h -- a USB or built-in camera at /dev/videoN (Video4Linux2, streaming by mmap).
//
// Source: Linux media userspace API, "Video Capture Interface" and "Streaming I/O (Memory Mapping)". Motion JPEG is
// asked for first (a USB 2 cable carries 1080p only so), else YUYV. Not yet seen on hardware: tests replay the calls of
// an exchange as the kernel's documentation has it, through the interface below.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "connectors/camera/live_camera.h"

namespace verge::connectors {

/// The system calls on one device; 0 or a result, else -errno.
/// Threads: used by one thread at a time.
class VideoDevice {
 public:
  virtual ~VideoDevice() = default;
  virtual int open(const std::string& path) = 0;
  virtual void close() = 0;
  virtual int control(unsigned long request, void* argument) = 0;
  /// Null on failure.
  virtual void* map(std::size_t bytes, std::size_t offset) = 0;
  virtual void unmap(void* memory, std::size_t bytes) = 0;
  /// 1: a picture can be taken; 0: not within the time.
  virtual int wait(int timeout_ms) = 0;
};
std::unique_ptr<VideoDevice> make_video_device();

struct V4l2Options {
  std::string path;  ///< "/dev/video0"
  PictureWish wish;
  int width = 1280, height = 720;  ///< Asked for; the device takes the nearest that it has.
};

std::unique_ptr<CameraLink> make_v4l2_link(V4l2Options options, std::unique_ptr<VideoDevice> device);

}  // namespace verge::connectors
