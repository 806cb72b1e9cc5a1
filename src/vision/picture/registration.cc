#include "vision/picture/registration.h"

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

#include "vision/picture/letterbox.h"

namespace verge::vision {
namespace {

constexpr int kCoarseSide = 40;  ///< Of the smallest level of the pyramid, about.
constexpr int kFlatMax = 12;     ///< Grey values; a good picture with less contrast shows nothing.
constexpr int kIterationsMax = 20;
constexpr double kResidualScale = 25;                  ///< Grey values; larger differences (defects) pull less.
constexpr double kPointsWanted = 12'000;               ///< At most; more make it no surer.
constexpr double kNear = 0.01, kNearOnSmaller = 0.05;  ///< Pixels; a smaller step ends the search on a level.

/// Pixels from point to point, so that no more than kPointsWanted are looked at.
int stride_over(const GreyPicture& picture) {
  return static_cast<int>(std::ceil(std::sqrt(static_cast<double>(picture.width) * picture.height / kPointsWanted)));
}

GreyPicture halved(const GreyPicture& picture) {
  GreyPicture half{picture.width / 2, picture.height / 2, {}};
  half.values.resize(static_cast<std::size_t>(half.width * half.height));
  for (int y = 0; y < half.height; ++y) {
    const std::uint8_t* at = &picture.values[picture.place(0, 2 * y)];
    std::uint8_t* target = &half.values[half.place(0, y)];
    for (int x = 0; x < half.width; ++x, at += 2)
      target[x] = static_cast<std::uint8_t>((at[0] + at[1] + at[picture.width] + at[picture.width + 1] + 2) / 4);
  }
  return half;
}

/// Bilinear value; false outside.
bool sample(const GreyPicture& picture, float x, float y, float& value) {
  if (!(x >= 0 && y >= 0 && x <= static_cast<float>(picture.width - 1) && y <= static_cast<float>(picture.height - 1)))
    return false;
  const int left = std::min(static_cast<int>(x), picture.width - 2);
  const int top = std::min(static_cast<int>(y), picture.height - 2);
  const float across = x - static_cast<float>(left), down = y - static_cast<float>(top);
  const std::uint8_t* at = &picture.values[picture.place(left, top)];
  const std::uint8_t* below = at + picture.width;
  const float upper = static_cast<float>(at[0]) + static_cast<float>(at[1] - at[0]) * across;
  const float lower = static_cast<float>(below[0]) + static_cast<float>(below[1] - below[0]) * across;
  value = upper + (lower - upper) * down;
  return true;
}

/// From pixels of the good picture to pixels of the other.
struct Mapping {
  Mapping(const Alignment& alignment, const GreyPicture& good, int width, int height)
      : at(alignment),
        from_x((good.width - 1) / 2.0),
        from_y((good.height - 1) / 2.0),
        to_x((width - 1) / 2.0),
        to_y((height - 1) / 2.0) {}
  double x_of(double u, double v) const { return at.right * u - at.turn * v + at.across + to_x; }
  double y_of(double u, double v) const { return at.turn * u + at.right * v + at.down + to_y; }
  const Alignment& at;
  double from_x, from_y, to_x, to_y;
};

/// visit(x, y, value of the picture there) for each `stride`-th pixel of the good picture that the other one shows.
template <class Visit>
void for_each_pair(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment, int stride,
                   const Visit& visit) {
  const Mapping mapping(alignment, good, picture.width, picture.height);
  const auto right = static_cast<float>(alignment.right), turn = static_cast<float>(alignment.turn);
  for (int y = 0; y < good.height; y += stride) {
    const auto begin_x = static_cast<float>(mapping.x_of(-mapping.from_x, y - mapping.from_y));
    const auto begin_y = static_cast<float>(mapping.y_of(-mapping.from_x, y - mapping.from_y));
    for (int x = 0; x < good.width; x += stride) {
      float value = 0;
      if (sample(picture, begin_x + right * static_cast<float>(x), begin_y + turn * static_cast<float>(x), value))
        visit(x, y, value);
    }
  }
}

double correlation_of(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment) {
  const int stride = stride_over(good);
  double count = 0, a = 0, b = 0, aa = 0, bb = 0, ab = 0;
  for_each_pair(good, picture, alignment, stride, [&](int x, int y, float found) {
    const double wanted = good.values[good.place(x, y)], value = found;
    ++count;
    a += wanted;
    b += value;
    aa += wanted * wanted;
    bb += value * value;
    ab += wanted * value;
  });
  if (count * stride * stride < 0.5 * good.width * good.height) return -1;
  const double spread = (aa - a * a / count) * (bb - b * b / count);
  return spread > 1e-6 ? (ab - a * b / count) / std::sqrt(spread) : 0;
}

/// Tries shifts and turns on a small level.
Alignment search_coarsely(const GreyPicture& good, const GreyPicture& picture) {
  Alignment best;
  best.correlation = correlation_of(good, picture, best);
  const int reach = std::min(good.width, good.height) / 7;
  for (int degrees = -8; degrees <= 8; degrees += 4) {
    for (int down = -reach; down <= reach; ++down) {
      for (int across = -reach; across <= reach; ++across) {
        const double angle = degrees * 3.14159265358979 / 180;
        Alignment trial{std::cos(angle), std::sin(angle), static_cast<double>(across), static_cast<double>(down)};
        trial.correlation = correlation_of(good, picture, trial);
        if (trial.correlation > best.correlation + 1e-9) best = trial;
      }
    }
  }
  return best;
}

/// The sums of one Gauss-Newton step over right, turn, across, down, gain and offset.
struct NormalEquations {
  using Vector = Eigen::Matrix<float, 8, 1>;  // Two stay 0: eight fill the processor's registers.
  Eigen::Matrix<double, 6, 6> normal = Eigen::Matrix<double, 6, 6>::Zero();
  Eigen::Matrix<double, 6, 1> right_side = Eigen::Matrix<double, 6, 1>::Zero();

  NormalEquations(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment) {
    const Mapping mapping(alignment, good, picture.width, picture.height);
    const auto size = static_cast<float>(alignment.right * alignment.right + alignment.turn * alignment.turn);
    const float right = static_cast<float>(alignment.right) / size, turn = static_cast<float>(alignment.turn) / size;
    const auto gain = static_cast<float>(alignment.gain), offset = static_cast<float>(alignment.offset);
    Eigen::Matrix<float, 8, 8> line = Eigen::Matrix<float, 8, 8>::Zero();
    Vector line_side = Vector::Zero();
    int line_y = 0;
    const auto keep = [&] {  // Sums in float over one line, in double over all.
      normal += line.topLeftCorner<6, 6>().cast<double>();
      right_side += line_side.head<6>().cast<double>();
      line.setZero();
      line_side.setZero();
    };
    for_each_pair(good, picture, alignment, stride_over(good), [&](int x, int y, float value) {
      if (x < 1 || y < 1 || x + 1 >= good.width || y + 1 >= good.height) return;
      if (y != line_y) {
        keep();
        line_y = y;
      }
      const std::uint8_t* at = &good.values[good.place(x, y)];
      const float across = static_cast<float>(at[1] - at[-1]) / 2;
      const float down = static_cast<float>(at[good.width] - at[-good.width]) / 2;
      const float slope_x = right * across - turn * down, slope_y = turn * across + right * down;
      const auto u = static_cast<float>(x - mapping.from_x), v = static_cast<float>(y - mapping.from_y);
      const float rest = static_cast<float>(at[0]) - gain * value - offset;
      const float weight = 1 / (1 + rest * rest * static_cast<float>(1 / (kResidualScale * kResidualScale)));
      Vector slopes;
      slopes << slope_x * u + slope_y * v, slope_y * u - slope_x * v, slope_x, slope_y, value, 1, 0, 0;
      line.noalias() += (weight * slopes) * slopes.transpose();
      line_side += (weight * rest) * slopes;
    });
    keep();
  }
};

void refine(const GreyPicture& good, const GreyPicture& picture, double near, Alignment& alignment) {
  for (int iteration = 0; iteration < kIterationsMax; ++iteration) {
    NormalEquations step(good, picture, alignment);
    step.normal.diagonal() += 1e-6 * step.normal.diagonal() + Eigen::Matrix<double, 6, 1>::Constant(1e-9);
    const Eigen::Matrix<double, 6, 1> change = step.normal.ldlt().solve(step.right_side);
    if (!change.allFinite()) return;
    alignment.right += change(0);
    alignment.turn += change(1);
    alignment.across += change(2);
    alignment.down += change(3);
    alignment.gain = std::clamp(alignment.gain + change(4), 0.2, 5.0);
    alignment.offset = std::clamp(alignment.offset + change(5), -200.0, 200.0);
    const double size = std::max(good.width, good.height) / 2.0;
    if (std::abs(change(2)) + std::abs(change(3)) + size * (std::abs(change(0)) + std::abs(change(1))) < near) return;
  }
}

template <class Move>
PixelBox around_corners(const PixelBox& box, const Move& move) {
  PixelBox result{1e9, 1e9, -1e9, -1e9};
  for (const auto& [x, y] : {std::pair{box.left, box.top}, std::pair{box.right, box.top},
                             std::pair{box.left, box.bottom}, std::pair{box.right, box.bottom}}) {
    const auto [u, v] = move(x, y);
    result = {std::min(result.left, u), std::min(result.top, v), std::max(result.right, u), std::max(result.bottom, v)};
  }
  return result;
}

std::uint8_t tone_byte(float value) { return static_cast<std::uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F)); }

}  // namespace

std::shared_ptr<pipeline::Frame> rgb_frame(int width, int height, std::shared_ptr<std::vector<std::uint8_t>> bytes) {
  auto frame = std::make_shared<pipeline::Frame>();
  frame->format = pipeline::PixelFormat::rgb24;
  frame->width = width;
  frame->height = height;
  frame->planes[0] = bytes->data();
  frame->strides[0] = width * 3;
  frame->storage = std::move(bytes);
  return frame;
}

Result<GreyPicture> as_grey(const pipeline::Frame& frame, int width, int height) {
  LetterboxOptions options;
  options.width = width > 0 ? width : frame.width;
  options.height = height > 0 ? height : frame.height;
  if (options.width < 1 || options.height < 1 || options.width > kGreySideMax || options.height > kGreySideMax) {
    return Error{ErrorCode::invalid_argument, fmt::format("read a picture of {}x{} as grey: sides from 1 to {}",
                                                          options.width, options.height, kGreySideMax)};
  }
  options.is_grey = true;
  options.fit = models::PictureFit::stretch;
  options.type = inference::DataType::uint8;
  inference::Tensor tensor(options.type, shape_of(options));
  Letterbox letterbox(options);
  VERGE_CHECK(letterbox.fill(frame, tensor));
  const auto values = tensor.values<std::uint8_t>();
  return GreyPicture{options.width, options.height, {values.begin(), values.end()}};
}

Result<std::shared_ptr<pipeline::Frame>> as_rgb(const pipeline::Frame& frame, int width, int height) {
  LetterboxOptions options;
  options.width = width;
  options.height = height;
  options.fit = models::PictureFit::stretch;
  options.is_channels_first = false;
  options.type = inference::DataType::uint8;
  inference::Tensor tensor(options.type, shape_of(options));
  Letterbox letterbox(options);
  VERGE_CHECK(letterbox.fill(frame, tensor));
  const auto values = tensor.values<std::uint8_t>();
  return rgb_frame(width, height, std::make_shared<std::vector<std::uint8_t>>(values.begin(), values.end()));
}

double unmoved_correlation(const GreyPicture& good, const GreyPicture& picture) {
  return correlation_of(good, picture, Alignment{});
}

Alignment align(const GreyPicture& good, const GreyPicture& picture) {
  const auto [darkest, brightest] = std::ranges::minmax(good.values);
  if (brightest - darkest < kFlatMax) {
    Alignment anywhere;  // A blank part has nothing to hold on to, and nothing to be moved.
    anywhere.correlation = 1;
    return anywhere;
  }
  std::vector<GreyPicture> goods{good}, pictures{picture};
  const auto is_large = [](const GreyPicture& level) { return std::min(level.width, level.height) > kCoarseSide; };
  while (is_large(goods.back()) && is_large(pictures.back())) {
    goods.push_back(halved(goods.back()));
    pictures.push_back(halved(pictures.back()));
  }
  Alignment alignment = search_coarsely(goods.back(), pictures.back());
  for (std::size_t level = goods.size(); level-- > 0;) {
    refine(goods[level], pictures[level], level == 0 ? kNear : kNearOnSmaller, alignment);
    if (level == 0) break;
    alignment.across *= 2;
    alignment.down *= 2;
  }
  alignment.correlation = correlation_of(good, picture, alignment);
  Alignment unmoved;
  unmoved.correlation = correlation_of(good, picture, unmoved);
  return alignment.correlation >= unmoved.correlation ? alignment : unmoved;
}

GreyPicture laid_over(const GreyPicture& good, const GreyPicture& picture, const Alignment& alignment) {
  const auto gain = static_cast<float>(alignment.gain), offset = static_cast<float>(alignment.offset) + 0.5F;
  GreyPicture result = good;
  for_each_pair(good, picture, alignment, 1, [&](int x, int y, float value) {
    result.values[good.place(x, y)] = static_cast<std::uint8_t>(std::clamp(gain * value + offset, 0.0F, 255.0F));
  });
  return result;
}

std::shared_ptr<pipeline::Frame> laid_over(const pipeline::Frame& good, const pipeline::Frame& picture,
                                           const Alignment& alignment) {
  const GreyPicture size{good.width, good.height, {}};
  const Mapping mapping(alignment, size, picture.width, picture.height);
  const auto right_max = static_cast<float>(picture.width - 1), down_max = static_cast<float>(picture.height - 1);
  const auto unlit = static_cast<float>(1 / alignment.gain), offset = static_cast<float>(alignment.offset);
  auto bytes = std::make_shared<std::vector<std::uint8_t>>(static_cast<std::size_t>(good.width) *
                                                           static_cast<std::size_t>(good.height) * 3);
  std::uint8_t* target = bytes->data();
  for (int v = 0; v < good.height; ++v) {
    const std::uint8_t* wanted = good.planes[0] + static_cast<std::ptrdiff_t>(v) * good.strides[0];
    for (int u = 0; u < good.width; ++u, wanted += 3, target += 3) {
      const auto x = static_cast<float>(mapping.x_of(u - mapping.from_x, v - mapping.from_y));
      const auto y = static_cast<float>(mapping.y_of(u - mapping.from_x, v - mapping.from_y));
      if (!(x >= 0 && y >= 0 && x <= right_max && y <= down_max)) {
        for (int c = 0; c < 3; ++c) target[c] = tone_byte((static_cast<float>(wanted[c]) - offset) * unlit);
        continue;
      }
      const int left = std::min(static_cast<int>(x), picture.width - 2);
      const int top = std::min(static_cast<int>(y), picture.height - 2);
      const float across = x - static_cast<float>(left), down = y - static_cast<float>(top);
      const std::uint8_t* at = picture.planes[0] + static_cast<std::ptrdiff_t>(top) * picture.strides[0] +
                               static_cast<std::ptrdiff_t>(left) * 3;
      const std::uint8_t* below = at + picture.strides[0];
      for (int c = 0; c < 3; ++c) {
        const float upper = static_cast<float>(at[c]) + static_cast<float>(at[c + 3] - at[c]) * across;
        const float lower = static_cast<float>(below[c]) + static_cast<float>(below[c + 3] - below[c]) * across;
        target[c] = tone_byte(upper + (lower - upper) * down);
      }
    }
  }
  return rgb_frame(good.width, good.height, std::move(bytes));
}

PixelBox box_in_picture(const PixelBox& box, const GreyPicture& good, int picture_width, int picture_height,
                        const Alignment& alignment) {
  const Mapping mapping(alignment, good, picture_width, picture_height);
  return around_corners(box, [&](double x, double y) {
    const double u = x - 0.5 - mapping.from_x, v = y - 0.5 - mapping.from_y;
    return std::pair{mapping.x_of(u, v) + 0.5, mapping.y_of(u, v) + 0.5};
  });
}

PixelBox box_in_good(const PixelBox& box, const GreyPicture& good, int picture_width, int picture_height,
                     const Alignment& alignment) {
  const Mapping mapping(alignment, good, picture_width, picture_height);
  const double size = alignment.right * alignment.right + alignment.turn * alignment.turn;
  return around_corners(box, [&](double x, double y) {
    const double u = x - 0.5 - mapping.to_x - alignment.across, v = y - 0.5 - mapping.to_y - alignment.down;
    return std::pair{(alignment.right * u + alignment.turn * v) / size + mapping.from_x + 0.5,
                     (alignment.right * v - alignment.turn * u) / size + mapping.from_y + 0.5};
  });
}

}  // namespace verge::vision
