#include "connectors/camera/v4l2_camera.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/videodev2.h>

#include "base/json.h"
#include "connectors/camera/camera.h"
#include "connectors/camera/pictures_for_tests.h"

namespace verge::connectors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// One call of an exchange: its name, and what the driver answers.
struct DeviceCall {
  std::string name;
  std::function<int(void* argument)> answer = [](void*) { return 0; };
};

template <class T, class Act>
std::function<int(void*)> answering(Act act) {
  return [act](void* argument) {
    act(*static_cast<T*>(argument));
    return 0;
  };
}

std::string name_of_request(unsigned long request) {
  switch (request) {
    case VIDIOC_QUERYCAP:
      return "QUERYCAP";
    case VIDIOC_S_FMT:
      return "S_FMT";
    case VIDIOC_S_PARM:
      return "S_PARM";
    case VIDIOC_REQBUFS:
      return "REQBUFS";
    case VIDIOC_QUERYBUF:
      return "QUERYBUF";
    case VIDIOC_QBUF:
      return "QBUF";
    case VIDIOC_DQBUF:
      return "DQBUF";
    case VIDIOC_STREAMON:
      return "STREAMON";
    case VIDIOC_STREAMOFF:
      return "STREAMOFF";
    default:
      return "another";
  }
}

struct Tape {
  std::vector<DeviceCall> calls;
  std::size_t at = 0;
  std::vector<std::string> mapped;  // Memory of the buffers.
  int open_count = 0, unmapped = 0;
  std::string mistake;
};

/// Plays a tape: every call must be the next one on it. Then nothing comes any more.
class ReplayedDevice final : public VideoDevice {
 public:
  explicit ReplayedDevice(Tape& tape) : tape_(tape) {}
  int open(const std::string&) override { return play("open", nullptr); }
  void close() override { tape_.open_count = 0; }
  int control(unsigned long request, void* argument) override { return play(name_of_request(request), argument); }
  void* map(std::size_t bytes, std::size_t offset) override {
    if (offset / 4096 >= tape_.mapped.size() || bytes != 4096) return nullptr;
    return tape_.mapped[offset / 4096].data();
  }
  void unmap(void*, std::size_t) override { ++tape_.unmapped; }
  int wait(int) override {
    const bool has_more = tape_.at < tape_.calls.size();
    return has_more && tape_.calls[tape_.at].name == "wait" ? tape_.calls[tape_.at++].answer(nullptr)
           : has_more                                       ? 1
                                                            : 0;
  }

 private:
  int play(const std::string& name, void* argument) {
    if (tape_.at >= tape_.calls.size()) return name == "STREAMOFF" ? 0 : -ENODEV;
    const DeviceCall& call = tape_.calls[tape_.at++];
    if (call.name != name && tape_.mistake.empty()) tape_.mistake = "wanted " + call.name + ", got " + name;
    return call.answer(argument);
  }
  Tape& tape_;
};

class V4l2Test : public ::testing::Test, protected CameraWatch {
 protected:
  V4l2Test() { tape_.mapped.assign(2, std::string(4096, '\0')); }

  static std::vector<DeviceCall> greeting(std::uint32_t able = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING) {
    return {{"open"}, {"QUERYCAP", answering<v4l2_capability>([able](v4l2_capability& answer) {
                         answer.capabilities = able | V4L2_CAP_DEVICE_CAPS | V4L2_CAP_META_CAPTURE;
                         answer.device_caps = able;
                       })}};
  }
  static DeviceCall takes_format(std::uint32_t wanted, std::uint32_t given, std::uint32_t width, std::uint32_t height) {
    return {"S_FMT", answering<v4l2_format>([=](v4l2_format& format) {
              EXPECT_EQ(format.fmt.pix.pixelformat, wanted);
              format.fmt.pix.pixelformat = given;
              format.fmt.pix.width = width;
              format.fmt.pix.height = height;
              format.fmt.pix.bytesperline = given == V4L2_PIX_FMT_YUYV ? 2 * width : 0;
            })};
  }
  void add_buffers() {
    tape_.calls.push_back({"REQBUFS", answering<v4l2_requestbuffers>([](auto& wish) { wish.count = 2; })});
    for (unsigned i = 0; i < 2; ++i) {
      tape_.calls.push_back({"QUERYBUF", answering<v4l2_buffer>([i](v4l2_buffer& buffer) {
                               EXPECT_EQ(buffer.index, i);
                               buffer.length = 4096;
                               buffer.m.offset = i * 4096;
                             })});
      tape_.calls.push_back({"QBUF"});
    }
    tape_.calls.push_back({"STREAMON"});
  }
  void add_picture(unsigned index, std::string bytes, std::uint32_t flags = 0) {
    tape_.calls.push_back({"DQBUF", [this, index, bytes, flags](void* argument) {
                             auto& buffer = *static_cast<v4l2_buffer*>(argument);
                             std::ranges::copy(bytes, tape_.mapped[index].begin());
                             buffer.index = index;
                             buffer.bytesused = static_cast<std::uint32_t>(bytes.size());
                             buffer.flags = flags;
                             return 0;
                           }});
    tape_.calls.push_back(
        {"QBUF", answering<v4l2_buffer>([index](v4l2_buffer& back) { EXPECT_EQ(back.index, index); })});
  }
  Status play(V4l2Options options = {}) {
    const auto link = make_v4l2_link(std::move(options), std::make_unique<ReplayedDevice>(tape_));
    VERGE_CHECK(link->prepare());
    Status ended = link->watch(*this);
    EXPECT_EQ(tape_.mistake, "");
    return ended;
  }

  bool has_to_end() const override { return tape_.at >= tape_.calls.size(); }
  bool is_stopping() const override { return false; }
  void hear() override { ++heard_; }
  Arrival now() const override { return {heard_ * 1000 + 9, heard_ * 1000 + 9}; }
  void show(std::shared_ptr<pipeline::Frame> frame, const Arrival& arrival) override {
    seen_.push_back({frame->width, frame->height, frame->planes[0][0], 0, arrival.captured_us});
  }
  CameraCounters& counters() override { return counters_; }

  Tape tape_;
  Metrics metrics_;
  CameraCounters counters_{metrics_, "gate"};
  std::vector<SeenPicture> seen_;
  int heard_ = 0;
};

TEST_F(V4l2Test, PlaysMotionJpeg) {
  tape_.calls = greeting();
  tape_.calls.push_back(takes_format(V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_MJPEG, 16, 8));
  add_buffers();
  add_picture(0, white_jpeg());
  tape_.calls.push_back({"wait", [](void*) { return 0; }});
  add_picture(1, black_jpeg());
  add_picture(0, white_jpeg(), V4L2_BUF_FLAG_ERROR);
  add_picture(1, "damaged");
  const auto ended = play();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::timeout) << "then it was silent";
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0].luma, 255);
  EXPECT_EQ(seen_[1].width, 24);
  EXPECT_EQ(heard_, 4);
  EXPECT_EQ(counters_.received.value(), 4U);
  EXPECT_EQ(counters_.broken.value(), 2U);
  EXPECT_EQ(tape_.unmapped, 2);
}

TEST_F(V4l2Test, TakesYuyvWhereThereIsNoMotionJpeg) {
  tape_.calls = greeting();
  tape_.calls.push_back({"S_FMT", [](void*) { return -EINVAL; }});
  tape_.calls.push_back(takes_format(V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_YUYV, 16, 8));
  tape_.calls.push_back({"S_PARM", [](void* argument) {
                           const auto& rate = static_cast<v4l2_streamparm*>(argument)->parm.capture.timeperframe;
                           EXPECT_EQ(rate.numerator, 1000U);
                           EXPECT_EQ(rate.denominator, 5000U);
                           return -EINVAL;  // Many cannot.
                         }});
  add_buffers();
  std::string picture;
  for (int i = 0; i < 16 * 8 / 2; ++i) picture += std::string("\x51\x80\x51\x80", 4);
  add_picture(0, picture);
  EXPECT_FALSE(play({.path = "/dev/video0", .wish = {.fps_max = 5, .keyframes_only = false}}));
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0].width, 16);
  EXPECT_EQ(seen_[0].luma, 0x51);
}

TEST_F(V4l2Test, SaysWhatIsWrong) {
  tape_.calls = {{"open", [](void*) { return -ENOENT; }}};
  auto ended = play();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().code, ErrorCode::unavailable) << "it may be plugged in again";
  tape_ = {};
  tape_.calls = greeting(V4L2_CAP_META_CAPTURE);
  ended = play();
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message, HasSubstr("several devices"));
  tape_ = {};
  tape_.calls = greeting();
  tape_.calls.push_back(takes_format(V4L2_PIX_FMT_MJPEG, V4L2_PIX_FMT_NV12, 16, 8));
  tape_.calls.push_back(takes_format(V4L2_PIX_FMT_YUYV, V4L2_PIX_FMT_NV12, 16, 8));
  ended = play();
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message, HasSubstr("neither Motion JPEG nor YUYV"));
}

}  // namespace
}  // namespace verge::connectors
