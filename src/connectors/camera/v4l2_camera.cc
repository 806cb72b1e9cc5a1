#include "connectors/camera/v4l2_camera.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace verge::connectors {
namespace {

constexpr unsigned kBuffersWanted = 4;
constexpr unsigned kBuffersMax = 32;  // VIDEO_MAX_FRAME
constexpr int kWaitMs = 100;

class KernelVideoDevice final : public VideoDevice {
 public:
  ~KernelVideoDevice() override { close(); }
  int open(const std::string& path) override {
    close();
    file_ = ::open(path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return file_ < 0 ? -errno : 0;
  }
  void close() override {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
  }
  int control(unsigned long request, void* argument) override {
    for (;;) {
      const int answer = ::ioctl(file_, request, argument);
      if (answer >= 0) return answer;
      if (errno != EINTR) return -errno;
    }
  }
  void* map(std::size_t bytes, std::size_t offset) override {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, static_cast<off_t>(offset));
    return memory == MAP_FAILED ? nullptr : memory;
  }
  void unmap(void* memory, std::size_t bytes) override { ::munmap(memory, bytes); }
  int wait(int timeout_ms) override {
    pollfd wish{file_, POLLIN, 0};
    const int answer = ::poll(&wish, 1, timeout_ms);
    if (answer < 0) return errno == EINTR ? 0 : -errno;
    if ((wish.revents & (POLLERR | POLLNVAL)) != 0) return -ENODEV;
    return answer;
  }

 private:
  int file_ = -1;
};

class V4l2Link final : public CameraLink {
 public:
  V4l2Link(V4l2Options options, std::unique_ptr<VideoDevice> device)
      : options_(std::move(options)), device_(std::move(device)) {}

  Status prepare() override {
    VERGE_TRY(ffmpeg_, open_ffmpeg());
    return Done{};
  }

  Status watch(CameraWatch& watch) override {
    Status ended = stream(watch);
    stop();
    return ended;
  }

 private:
  struct Buffer {
    void* memory;
    std::size_t bytes;
  };

  static Error failure(std::string_view doing, int code) {
    return Error{ErrorCode::unavailable, fmt::format("{}: {}", doing, std::strerror(-code))};
  }

  Status stream(CameraWatch& watch) {
    if (const int code = device_->open(options_.path); code < 0) return failure("open", code);
    VERGE_CHECK(check_capability());
    VERGE_CHECK(choose_format(watch));
    VERGE_CHECK(map_buffers());
    int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (const int code = device_->control(VIDIOC_STREAMON, &type); code < 0) return failure("start", code);
    is_on_ = true;
    while (!watch.has_to_end()) {
      const int is_ready = device_->wait(kWaitMs);
      if (is_ready < 0) return failure("wait for a picture", is_ready);
      if (is_ready > 0) VERGE_CHECK(take(watch));
    }
    if (watch.is_stopping()) return Done{};
    return Error{ErrorCode::timeout, "no picture came for too long (silence_s)"};
  }

  Status check_capability() {
    v4l2_capability capability{};
    if (const int code = device_->control(VIDIOC_QUERYCAP, &capability); code < 0)
      return failure("ask what it is", code);
    const auto able =
        (capability.capabilities & V4L2_CAP_DEVICE_CAPS) != 0 ? capability.device_caps : capability.capabilities;
    if ((able & V4L2_CAP_VIDEO_CAPTURE) == 0 || (able & V4L2_CAP_STREAMING) == 0) {
      return Error{ErrorCode::unavailable,
                   "it is no camera that streams; a camera often has several devices, try another"};
    }
    return Done{};
  }

  Status choose_format(CameraWatch& watch) {
    v4l2_format format{};
    for (const auto wanted : {V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_YUYV}) {
      format = {};
      format.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
      format.fmt.pix.width = static_cast<std::uint32_t>(options_.width);
      format.fmt.pix.height = static_cast<std::uint32_t>(options_.height);
      format.fmt.pix.pixelformat = wanted;
      format.fmt.pix.field = V4L2_FIELD_ANY;
      const int code = device_->control(VIDIOC_S_FMT, &format);
      if (code == -EINVAL) continue;
      if (code < 0) return failure("set the format", code);
      if (format.fmt.pix.pixelformat == wanted) break;
    }
    ask_rate();
    PictureDecoder::Format pictures;
    const auto& pixels = format.fmt.pix;
    if (pixels.pixelformat == V4L2_PIX_FMT_MJPEG || pixels.pixelformat == V4L2_PIX_FMT_JPEG) {
      pictures.codec = AV_CODEC_ID_MJPEG;
    } else if (pixels.pixelformat == V4L2_PIX_FMT_YUYV && pixels.bytesperline == 2 * pixels.width) {
      pictures.codec = AV_CODEC_ID_RAWVIDEO;
      pictures.raw_width = static_cast<int>(pixels.width);
      pictures.raw_height = static_cast<int>(pixels.height);
      pictures.raw_pixels = AV_PIX_FMT_YUYV422;
    } else {
      return Error{ErrorCode::unavailable, "it offers neither Motion JPEG nor YUYV"};
    }
    VERGE_TRY(decoder_, PictureDecoder::open(*ffmpeg_, pictures, options_.wish, watch.counters()));
    return Done{};
  }

  /// Fewer pictures over the cable, where the device can; it may refuse.
  void ask_rate() {
    if (options_.wish.fps_max <= 0) return;
    v4l2_streamparm rate{};
    rate.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    rate.parm.capture.timeperframe.numerator = 1000;
    rate.parm.capture.timeperframe.denominator =
        std::max<std::uint32_t>(1, static_cast<std::uint32_t>(options_.wish.fps_max * 1000));
    device_->control(VIDIOC_S_PARM, &rate);
  }

  Status map_buffers() {
    v4l2_requestbuffers wish{};
    wish.count = kBuffersWanted;
    wish.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    wish.memory = V4L2_MEMORY_MMAP;
    if (const int code = device_->control(VIDIOC_REQBUFS, &wish); code < 0) return failure("ask for buffers", code);
    for (unsigned i = 0; i < std::min<unsigned>(wish.count, kBuffersMax); ++i) {
      v4l2_buffer buffer = buffer_of(i);
      if (const int code = device_->control(VIDIOC_QUERYBUF, &buffer); code < 0)
        return failure("ask for a buffer", code);
      void* memory = device_->map(buffer.length, buffer.m.offset);
      if (memory == nullptr) return failure("map a buffer", -ENOMEM);
      buffers_.push_back({memory, buffer.length});
      if (const int code = device_->control(VIDIOC_QBUF, &buffer); code < 0) return failure("lend a buffer", code);
    }
    if (buffers_.empty()) return failure("ask for buffers", -ENOMEM);
    return Done{};
  }

  static v4l2_buffer buffer_of(unsigned index) {
    v4l2_buffer buffer{};
    buffer.index = index;
    buffer.type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    buffer.memory = V4L2_MEMORY_MMAP;
    return buffer;
  }

  /// One picture out of the device's queue, decoded from its memory, and the memory back.
  Status take(CameraWatch& watch) {
    v4l2_buffer buffer = buffer_of(0);
    const int code = device_->control(VIDIOC_DQBUF, &buffer);
    if (code == -EAGAIN) return Done{};
    if (code < 0) return failure("take a picture", code);
    if (buffer.index >= buffers_.size()) return Error{ErrorCode::unavailable, "take a picture: no such buffer"};
    const Arrival arrival = watch.now();
    watch.hear();
    const auto& [memory, bytes] = buffers_[buffer.index];
    if ((buffer.flags & V4L2_BUF_FLAG_ERROR) != 0) {  // The driver knows that it is damaged.
      watch.counters().received.add();
      watch.counters().broken.add();
    } else {
      const std::string_view picture(static_cast<const char*>(memory), std::min<std::size_t>(buffer.bytesused, bytes));
      decoder_->put_whole(picture, arrival.monotonic_us, arrival);
    }
    v4l2_buffer back = buffer_of(buffer.index);
    if (const int lent = device_->control(VIDIOC_QBUF, &back); lent < 0) return failure("lend a buffer", lent);
    for (;;) {
      VERGE_TRY(auto found, decoder_->next());
      if (!found) return Done{};
      watch.show(std::move(found->frame), found->arrival);
    }
  }

  void stop() {
    int type = V4L2_BUF_TYPE_VIDEO_CAPTURE;
    if (is_on_) device_->control(VIDIOC_STREAMOFF, &type);
    is_on_ = false;
    for (const auto& [memory, bytes] : buffers_) device_->unmap(memory, bytes);
    buffers_.clear();
    decoder_.reset();
    device_->close();
  }

  const V4l2Options options_;
  const std::unique_ptr<VideoDevice> device_;
  const FfmpegLibrary* ffmpeg_ = nullptr;
  std::unique_ptr<PictureDecoder> decoder_;
  std::vector<Buffer> buffers_;
  bool is_on_ = false;
};

}  // namespace

std::unique_ptr<VideoDevice> make_video_device() { return std::make_unique<KernelVideoDevice>(); }

std::unique_ptr<CameraLink> make_v4l2_link(V4l2Options options, std::unique_ptr<VideoDevice> device) {
  return std::make_unique<V4l2Link>(std::move(options), std::move(device));
}

}  // namespace verge::connectors
