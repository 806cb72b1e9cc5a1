#include "vision/live.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>
#include <turbojpeg.h>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;

struct Plane {
  int width = 0, height = 0;
  std::vector<unsigned char> bytes;
};

/// Television range to JPEG's: 16..235 (luma) or 16..240 (chroma) to 0..255.
std::array<std::uint8_t, 256> range_table(bool is_luma, bool is_full_range) {
  std::array<std::uint8_t, 256> table{};
  for (int i = 0; i < 256; ++i) {
    const double value = is_full_range ? i : is_luma ? (i - 16) * 255.0 / 219 : 128 + (i - 128) * 255.0 / 224;
    table[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
  }
  return table;
}

/// Mean of the source pixels that an output pixel covers; `step` is the distance of two values in a row.
Plane shrink(const std::uint8_t* source, int stride, int step, int from_width, int from_height, int width, int height,
             const std::array<std::uint8_t, 256>& table) {
  Plane plane{width, height,
              std::vector<unsigned char>(static_cast<std::size_t>(width) * static_cast<std::size_t>(height))};
  auto* target = plane.bytes.data();
  for (int row = 0; row < height; ++row) {
    const int top = row * from_height / height;
    const int bottom = std::max(top + 1, (row + 1) * from_height / height);
    for (int column = 0; column < width; ++column) {
      const int left = column * from_width / width;
      const int right = std::max(left + 1, (column + 1) * from_width / width);
      unsigned sum = 0;
      for (int y = top; y < bottom; ++y) {
        for (int x = left; x < right; ++x) sum += source[y * stride + x * step];
      }
      *target++ = table[sum / static_cast<unsigned>((bottom - top) * (right - left))];
    }
  }
  return plane;
}

/// The library's compressor, closed at the end of the scope.
struct Compressor {
  tjhandle handle = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long count = 0;
  Compressor() = default;
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  ~Compressor() {
    if (bytes != nullptr) tjFree(bytes);
    if (handle != nullptr) tjDestroy(handle);
  }
};

/// The library reads pairs of columns and rows where colour is halved, at an odd edge too: the last ones come twice.
Plane padded_to_even(Plane plane) {
  const int width = plane.width + plane.width % 2;
  const int height = plane.height + plane.height % 2;
  if (width == plane.width && height == plane.height) return plane;
  Plane padded{width, height, {}};
  padded.bytes.reserve(static_cast<std::size_t>(width) * static_cast<std::size_t>(height));
  for (int y = 0; y < height; ++y) {
    const auto row = plane.bytes.begin() + static_cast<std::ptrdiff_t>(std::min(y, plane.height - 1)) * plane.width;
    padded.bytes.insert(padded.bytes.end(), row, row + plane.width);
    if (width != plane.width) padded.bytes.push_back(padded.bytes.back());
  }
  return padded;
}

std::vector<Plane> planes_of(const Frame& frame, int width, int height) {
  const auto same = range_table(true, true);
  if (frame.format == PixelFormat::yuv420) {
    std::vector<Plane> planes;
    planes.push_back(padded_to_even(shrink(frame.planes[0], frame.strides[0], 1, frame.width, frame.height, width,
                                           height, range_table(true, frame.is_full_range))));
    for (int p = 1; p < 3; ++p) {
      planes.push_back(shrink(frame.planes[p], frame.strides[p], 1, (frame.width + 1) / 2, (frame.height + 1) / 2,
                              (width + 1) / 2, (height + 1) / 2, range_table(false, frame.is_full_range)));
    }
    return planes;
  }
  if (frame.format == PixelFormat::gray8) {
    return {shrink(frame.planes[0], frame.strides[0], 1, frame.width, frame.height, width, height, same)};
  }
  std::vector<Plane> colours;
  for (int c = 0; c < 3; ++c) {
    colours.push_back(shrink(frame.planes[0] + c, frame.strides[0], 3, frame.width, frame.height, width, height, same));
  }
  Plane rgb{width, height, {}};
  for (std::size_t i = 0; i < colours[0].bytes.size(); ++i) {
    for (const Plane& colour : colours) rgb.bytes.push_back(colour.bytes[i]);
  }
  return {std::move(rgb)};
}

void hide(std::vector<Plane>& planes, PixelFormat format, const Hiding& hiding) {
  const int step = format == PixelFormat::rgb24 ? 3 : 1;
  for (Plane& plane : planes) {
    for (int c = 0; c < step; ++c) {
      const Channel channel{plane.bytes.data() + c, plane.width, plane.height, step, step * plane.width};
      for (const Hiding::Area& area : hiding.areas) average_cells(channel, area.box, area.cells);
      if (hiding.is_whole) average_cells(channel, {0, 0, 1, 1}, kWholeCells);
    }
  }
}

int compress(Compressor& out, const std::vector<Plane>& planes, PixelFormat format, int width, int height,
             int quality) {
  if (format == PixelFormat::yuv420) {
    const unsigned char* starts[3] = {planes[0].bytes.data(), planes[1].bytes.data(), planes[2].bytes.data()};
    const int strides[3] = {planes[0].width, planes[1].width, planes[2].width};
    return tjCompressFromYUVPlanes(out.handle, starts, width, strides, height, TJSAMP_420, &out.bytes, &out.count,
                                   quality, 0);
  }
  const bool is_gray = format == PixelFormat::gray8;
  return tjCompress2(out.handle, planes[0].bytes.data(), width, 0, height, is_gray ? TJPF_GRAY : TJPF_RGB, &out.bytes,
                     &out.count, is_gray ? TJSAMP_GRAY : TJSAMP_420, quality, 0);
}

double rounded(double value) { return std::round(value * 10'000) / 10'000; }

Json attributes_of(const std::vector<pipeline::Attribute>& attributes) {
  Json list = Json::array();
  for (const pipeline::Attribute& attribute : attributes) {
    list.push_back({{"name", attribute.name}, {"score", rounded(static_cast<double>(attribute.score))}});
  }
  return list;
}

Json keypoints_of(const std::vector<pipeline::Keypoint>& keypoints) {
  Json list = Json::array();
  for (const pipeline::Keypoint& point : keypoints) {
    list.push_back({rounded(static_cast<double>(point.x)), rounded(static_cast<double>(point.y)),
                    rounded(static_cast<double>(point.score))});
  }
  return list;
}

Json objects_of(const pipeline::Scene& scene) {
  Json objects = Json::array();
  for (const pipeline::Object& object : scene.objects) {
    Json shown{
        {"label", object.label},
        {"score", rounded(static_cast<double>(object.score))},
        {"track", object.track},
        {"box",
         {rounded(object.box.left), rounded(object.box.top), rounded(object.box.right), rounded(object.box.bottom)}},
        {"zones", object.zones}};
    if (!object.attributes.empty()) shown["attributes"] = attributes_of(object.attributes);
    if (!object.keypoints.empty()) shown["keypoints"] = keypoints_of(object.keypoints);
    objects.push_back(std::move(shown));
  }
  return objects;
}

Json shapes_of(const pipeline::Scene& scene) {
  Json shapes = Json::array();
  for (const pipeline::Shape& shape : scene.shapes) {
    Json points = Json::array();
    for (const auto& [x, y] : shape.points) points.push_back({x, y});
    Json counts = Json::object();
    for (const auto& [name, count] : shape.counts) counts[name] = count;
    Json shown{{"name", shape.name}, {"closed", shape.is_closed}, {"points", points}, {"counts", counts}};
    if (!shape.attributes.empty()) shown["attributes"] = attributes_of(shape.attributes);
    shapes.push_back(std::move(shown));
  }
  return shapes;
}

}  // namespace

Result<std::string> to_jpeg(const Frame& frame, int width_max, int quality, const Hiding& hiding) {
  if (frame.width < 1 || frame.height < 1 || frame.planes[0] == nullptr || width_max < 1) {
    return Error{ErrorCode::invalid_argument, fmt::format("make a JPEG: {}x{} pixels", frame.width, frame.height)};
  }
  const int width = std::min(frame.width, width_max);
  const int height = std::max(1, static_cast<int>(static_cast<std::int64_t>(frame.height) * width / frame.width));
  Compressor out;
  if (out.handle == nullptr) return Error{ErrorCode::internal, std::string("make a JPEG: ") + tjGetErrorStr2(nullptr)};
  std::vector<Plane> planes = planes_of(frame, width, height);
  hide(planes, frame.format, hiding);
  if (compress(out, planes, frame.format, width, height, quality) != 0) {
    return Error{ErrorCode::internal, std::string("make a JPEG: ") + tjGetErrorStr2(out.handle)};
  }
  return std::string(reinterpret_cast<const char*>(out.bytes), out.count);
}

Frame hidden(const Frame& frame, const Hiding& hiding) {
  if (!hiding.is_whole && hiding.areas.empty()) return frame;
  auto planes = std::make_shared<std::vector<Plane>>(planes_of(frame, frame.width, frame.height));
  hide(*planes, frame.format, hiding);
  Frame made = frame;
  made.is_full_range = true;
  for (std::size_t p = 0; p < planes->size(); ++p) {
    made.planes[p] = (*planes)[p].bytes.data();
    made.strides[p] = (*planes)[p].width * (frame.format == PixelFormat::rgb24 ? 3 : 1);
  }
  made.storage = std::move(planes);
  return made;
}

std::optional<pipeline::LiveFrame> render_live(const pipeline::Packet& packet, const pipeline::LiveRequest& request) {
  const auto scene = pipeline::payload_as<pipeline::Scene>(packet);
  if (!scene || !scene->frame) return std::nullopt;
  const Hiding hiding = hiding_of(scene->people, request.blur);
  auto jpeg = to_jpeg(*scene->frame, request.width_max, request.quality, hiding);
  if (!jpeg) {
    log_error("live", jpeg.error());
    return std::nullopt;
  }
  pipeline::LiveFrame live;
  live.header = {{"kind", "picture"},
                 {"family", "vision"},
                 {"captured_us", packet.captured_us},
                 {"width", scene->frame->width},
                 {"height", scene->frame->height},
                 {"objects", objects_of(*scene)},
                 {"shapes", shapes_of(*scene)},
                 {"privacy", {{"blur", pipeline::name_of(request.blur)}}}};
  if (hiding.is_whole) live.header["privacy"]["whole"] = true;
  if (!scene->attributes.empty()) live.header["attributes"] = attributes_of(scene->attributes);
  if (scene->heat) {
    const pipeline::HeatMap& heat = *scene->heat;
    const std::string_view bytes(reinterpret_cast<const char*>(heat.values.data()), heat.values.size());
    live.header["heat"] = {{"rows", heat.rows},
                           {"columns", heat.columns},
                           {"threshold", pipeline::HeatMap::kThreshold},
                           {"values", to_base64(bytes)}};
  }
  live.bytes = *std::move(jpeg);
  return live;
}

}  // namespace verge::vision
