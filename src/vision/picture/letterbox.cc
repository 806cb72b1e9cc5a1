#include "vision/picture/letterbox.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/kernel.h"

namespace verge::vision {
namespace {

using inference::DataType;
using inference::Tensor;
using pipeline::Frame;
using pipeline::PixelFormat;

constexpr ColourMatrix kLimited{16, 1.164383F, 1.596027F, -0.391762F, -0.812968F, 2.017232F};
constexpr ColourMatrix kFull{0, 1.0F, 1.402F, -0.344136F, -0.714136F, 1.772F};

/// One row of Y, U, V (0..255) to three rows of the tensor.
VERGE_KERNEL void convert_row(const float* __restrict luma, const float* __restrict u, const float* __restrict v,
                              int count, ColourMatrix m, ChannelScale red, ChannelScale green, ChannelScale blue,
                              float* __restrict red_row, float* __restrict green_row, float* __restrict blue_row) {
  // Offsets are one number per channel, so that each term is one multiplication and addition.
  const float grey_offset = m.luma_offset * m.luma;
  const float red_offset = -128 * m.red_v - grey_offset;
  const float green_offset = -128 * (m.green_u + m.green_v) - grey_offset;
  const float blue_offset = -128 * m.blue_u - grey_offset;
  for (int i = 0; i < count; ++i) {
    const float grey = luma[i] * m.luma;
    const float r = std::min(std::max(grey + (m.red_v * v[i] + red_offset), 0.0F), 255.0F);
    const float g = std::min(std::max(grey + (m.green_v * v[i] + (m.green_u * u[i] + green_offset)), 0.0F), 255.0F);
    const float b = std::min(std::max(grey + (m.blue_u * u[i] + blue_offset), 0.0F), 255.0F);
    red_row[i] = r * red.factor + red.offset;
    green_row[i] = g * green.factor + green.offset;
    blue_row[i] = b * blue.factor + blue.offset;
  }
}

/// One row of Y (0..255) to a row of grey.
VERGE_KERNEL void convert_grey_row(const float* __restrict luma, int count, ColourMatrix m, ChannelScale grey,
                                   float* __restrict row) {
  for (int i = 0; i < count; ++i) {
    const float value = std::min(std::max((luma[i] - m.luma_offset) * m.luma, 0.0F), 255.0F);
    row[i] = value * grey.factor + grey.offset;
  }
}

// Whole numbers are rounded half up, as both limits are beyond what pixels give unless the card says so.
std::uint8_t as_byte(float value) { return static_cast<std::uint8_t>(std::min(std::max(value, 0.0F), 255.0F) + 0.5F); }
std::int32_t as_integer(float value) {
  constexpr float kMost = 2147483520;  // the largest float that fits
  return static_cast<std::int32_t>(std::floor(std::min(std::max(value, -kMost), kMost) + 0.5F));
}

/// A row of one channel to every `step`th place.
VERGE_KERNEL void store_floats(const float* __restrict row, int count, int step, float* __restrict target) {
  for (int i = 0; i < count; ++i) target[i * step] = row[i];
}
VERGE_KERNEL void store_bytes(const float* __restrict row, int count, int step, std::uint8_t* __restrict target) {
  // One loop for the limits and one for whole numbers, in which floats become integers before they become bytes: so
  // both become vector code.
  constexpr int kLimitedAtOnce = 64;
  float limited[kLimitedAtOnce];
  for (int begin = 0; begin < count; begin += kLimitedAtOnce) {
    const int at_once = std::min(kLimitedAtOnce, count - begin);
    for (int i = 0; i < at_once; ++i) limited[i] = std::min(std::max(row[begin + i], 0.0F), 255.0F);
    if (step == 1) {
      for (int i = 0; i < at_once; ++i) {
        target[begin + i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(limited[i] + 0.5F));
      }
      continue;
    }
    for (int i = 0; i < at_once; ++i) target[(begin + i) * step] = static_cast<std::uint8_t>(limited[i] + 0.5F);
  }
}
VERGE_KERNEL void store_integers(const float* __restrict row, int count, int step, std::int32_t* __restrict target) {
  for (int i = 0; i < count; ++i) target[i * step] = as_integer(row[i]);
}

int channels_of(const LetterboxOptions& options) { return options.is_grey ? 1 : 3; }

/// Place of a channel's pixel in the tensor.
std::size_t place_in_tensor(const LetterboxOptions& options, int channel, int row, int column) {
  const auto width = static_cast<std::size_t>(options.width);
  const auto pixel = static_cast<std::size_t>(row) * width + static_cast<std::size_t>(column);
  if (!options.is_channels_first) {
    return pixel * static_cast<std::size_t>(channels_of(options)) + static_cast<std::size_t>(channel);
  }
  return static_cast<std::size_t>(channel) * width * static_cast<std::size_t>(options.height) + pixel;
}

/// A run of pixels of one channel, normalised, to its place in the tensor.
void store(const LetterboxOptions& options, const float* row, int count, std::size_t at, Tensor& tensor) {
  const int step = options.is_channels_first ? 1 : channels_of(options);
  if (options.type == DataType::uint8) {
    store_bytes(row, count, step, tensor.values<std::uint8_t>().data() + at);
  } else if (options.type == DataType::int32) {
    store_integers(row, count, step, tensor.values<std::int32_t>().data() + at);
  } else {
    store_floats(row, count, step, tensor.values<float>().data() + at);
  }
}

template <class T>
void fill_steps(std::span<T> values, std::size_t at, int count, int step, T value) {
  if (step == 1) {
    std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(at), count, value);
    return;
  }
  for (int i = 0; i < count; ++i) values[at + static_cast<std::size_t>(i) * static_cast<std::size_t>(step)] = value;
}

/// `count` pixels of one channel, all the same.
void store_constant(const LetterboxOptions& options, float value, int count, std::size_t at, Tensor& tensor) {
  const int step = options.is_channels_first ? 1 : channels_of(options);
  if (options.type == DataType::uint8) {
    fill_steps(tensor.values<std::uint8_t>(), at, count, step, as_byte(value));
  } else if (options.type == DataType::int32) {
    fill_steps(tensor.values<std::int32_t>(), at, count, step, as_integer(value));
  } else {
    fill_steps(tensor.values<float>(), at, count, step, value);
  }
}

/// All around the picture.
void fill_padding(const LetterboxOptions& options, Placement placement, Tensor& tensor) {
  const int right = placement.left + placement.width;
  const int bottom = placement.top + placement.height;
  for (int c = 0; c < channels_of(options); ++c) {
    const auto channel = static_cast<std::size_t>(c);
    const float value = (options.padding - options.mean[channel]) / options.deviation[channel];
    // Rows follow each other in both layouts, so the bands above and below are one run each.
    const auto run = [&](int row, int column, int count) {
      if (count > 0) store_constant(options, value, count, place_in_tensor(options, c, row, column), tensor);
    };
    run(0, 0, placement.top * options.width);
    for (int row = placement.top; row < bottom && placement.width < options.width; ++row) {
      run(row, 0, placement.left);
      run(row, right, options.width - right);
    }
    if (bottom < options.height) run(bottom, 0, (options.height - bottom) * options.width);
  }
}

Status check_letterbox(const Frame& frame, const LetterboxOptions& options, const Tensor& tensor) {
  if (frame.width < 1 || frame.height < 1 || frame.planes[0] == nullptr) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("prepare a picture for the network: it is {}x{} pixels", frame.width, frame.height)};
  }
  if (tensor.shape() != shape_of(options) || tensor.type() != options.type) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("prepare a picture for the network: the tensor is {} {}, needed is {} {}",
                             inference::to_text(tensor.shape()), name_of(tensor.type()),
                             inference::to_text(shape_of(options)), name_of(options.type))};
  }
  return Done{};
}

float bilinear(const std::uint8_t* plane, int stride, int step, SourcePosition x, SourcePosition y) {
  const auto at = [&](int column, int row) { return static_cast<float>(plane[row * stride + column * step]); };
  const int right = x.weight > 0 ? x.first + 1 : x.first;
  const int below = y.weight > 0 ? y.first + 1 : y.first;
  const float upper = at(x.first, y.first) * (1 - x.weight) + at(right, y.first) * x.weight;
  const float lower = at(x.first, below) * (1 - x.weight) + at(right, below) * x.weight;
  return upper * (1 - y.weight) + lower * y.weight;
}

/// Red, green and blue, 0..255, of one output pixel.
std::array<float, 3> pixel(const Frame& frame, Placement placement, int column, int row) {
  const SourcePosition x = source_position(column, placement.width, frame.width, frame.width);
  const SourcePosition y = source_position(row, placement.height, frame.height, frame.height);
  if (frame.format == PixelFormat::gray8) {
    const float grey = bilinear(frame.planes[0], frame.strides[0], 1, x, y);
    return {grey, grey, grey};
  }
  if (frame.format == PixelFormat::rgb24) {
    std::array<float, 3> colour{};
    for (std::size_t c = 0; c < 3; ++c) colour[c] = bilinear(frame.planes[0] + c, frame.strides[0], 3, x, y);
    return colour;
  }
  const SourcePosition cx = source_position(column, placement.width, frame.width, (frame.width + 1) / 2);
  const SourcePosition cy = source_position(row, placement.height, frame.height, (frame.height + 1) / 2);
  const ColourMatrix& m = frame.is_full_range ? kFull : kLimited;
  const float grey = (bilinear(frame.planes[0], frame.strides[0], 1, x, y) - m.luma_offset) * m.luma;
  const float cb = bilinear(frame.planes[1], frame.strides[1], 1, cx, cy) - 128;
  const float cr = bilinear(frame.planes[2], frame.strides[2], 1, cx, cy) - 128;
  const auto limit = [](float value) { return std::clamp(value, 0.0F, 255.0F); };
  return {limit(grey + m.red_v * cr), limit(grey + m.green_u * cb + m.green_v * cr), limit(grey + m.blue_u * cb)};
}

/// The grey of a pixel, 0..255. Of YUV pictures it is Y itself.
float grey_pixel(const Frame& frame, Placement placement, int column, int row) {
  if (frame.format != PixelFormat::yuv420) {
    const auto [red, green, blue] = pixel(frame, placement, column, row);
    return frame.format == PixelFormat::gray8 ? red : 0.299F * red + 0.587F * green + 0.114F * blue;
  }
  const SourcePosition x = source_position(column, placement.width, frame.width, frame.width);
  const SourcePosition y = source_position(row, placement.height, frame.height, frame.height);
  const ColourMatrix& m = frame.is_full_range ? kFull : kLimited;
  return std::clamp((bilinear(frame.planes[0], frame.strides[0], 1, x, y) - m.luma_offset) * m.luma, 0.0F, 255.0F);
}

}  // namespace

inference::Shape shape_of(const LetterboxOptions& options) {
  const std::int64_t channels = channels_of(options);
  if (options.is_channels_first) return {1, channels, options.height, options.width};
  return {1, options.height, options.width, channels};
}

Placement place(int picture_width, int picture_height, const LetterboxOptions& options) {
  if (options.fit == models::PictureFit::stretch) return {0, 0, options.width, options.height};
  const double scale = std::min(static_cast<double>(options.width) / picture_width,
                                static_cast<double>(options.height) / picture_height);
  const auto scaled = [&](int size, int most) {
    return std::clamp(static_cast<int>(std::lround(size * scale)), 1, most);
  };
  Placement placement{0, 0, scaled(picture_width, options.width), scaled(picture_height, options.height)};
  if (options.fit == models::PictureFit::letterbox) {
    placement.left = (options.width - placement.width) / 2;
    placement.top = (options.height - placement.height) / 2;
  }
  return placement;
}

Letterbox::Letterbox(LetterboxOptions options, KernelLevel level)
    : options_(options), level_(level), luma_(level), chroma_(level) {
  VERGE_ASSERT(options.width > 0 && options.width <= 8192 && options.height > 0 && options.height <= 8192);
  VERGE_ASSERT(options.type == DataType::float32 || options.type == DataType::uint8 || options.type == DataType::int32);
}

/// What one output row of Y is made of, and of U and V where colours are wanted.
std::array<PlaneRow, 3> Letterbox::source_rows(const Frame& frame, Placement placement, int row) const {
  std::array<PlaneRow, 3> rows;
  for (int p = 0; p < channels_of(options_); ++p) {
    const int plane_height = p == 0 ? frame.height : (frame.height + 1) / 2;
    const auto position = [&](int of) { return source_position(of, placement.height, frame.height, plane_height); };
    const auto start = [&](int line) { return frame.planes[p] + static_cast<std::ptrdiff_t>(line) * frame.strides[p]; };
    const SourcePosition y = position(row);
    const int weight = static_cast<int>(std::lround(y.weight * 256));
    rows[static_cast<std::size_t>(p)] = {start(y.first), start(weight == 0 ? y.first : y.first + 1), weight,
                                         start(position(std::min(row + 1, placement.height - 1)).first)};
  }
  return rows;
}

/// Red, green and blue, or grey alone.
ColourScales Letterbox::scales() const {
  const std::size_t red = options_.is_bgr ? 2 : 0;
  const auto channel = [&](std::size_t c) {
    const float factor = 1 / options_.deviation[c];
    return ChannelScale{factor, -options_.mean[c] * factor};
  };
  return {channel(options_.is_grey ? 0 : red), channel(1), channel(2 - red)};
}

bool Letterbox::fill_yuv_wide(const Frame& frame, Placement placement, Tensor& tensor) {
  const bool is_stored = options_.type == DataType::float32 || options_.type == DataType::uint8;
  if (level_ < KernelLevel::avx512 || options_.is_grey || !options_.is_channels_first || !is_stored) return false;
  if (!colours_.prepare(frame.width, placement.width)) return false;
  const int red = options_.is_bgr ? 2 : 0;
  const ColourMatrix& matrix = frame.is_full_range ? kFull : kLimited;
  const ColourScales scales = this->scales();
  const auto convert = [&](auto* values) {
    for (int row = 0; row < placement.height; ++row) {
      const auto target = [&](int c) {
        return values + place_in_tensor(options_, c, placement.top + row, placement.left);
      };
      colours_.convert(source_rows(frame, placement, row), matrix, scales, target(red), target(1), target(2 - red));
    }
  };
  if (options_.type == DataType::uint8) {
    convert(tensor.values<std::uint8_t>().data());
  } else {
    convert(tensor.values<float>().data());
  }
  return true;
}

void Letterbox::fill_yuv(const Frame& frame, Placement placement, Tensor& tensor) {
  const auto width = static_cast<std::size_t>(placement.width);
  luma_.prepare(frame.width, frame.width, placement.width);
  chroma_.prepare((frame.width + 1) / 2, frame.width, placement.width);
  rows_.resize(3 * width);
  const bool is_direct = options_.type == DataType::float32 && options_.is_channels_first;
  if (!is_direct) normal_.resize(3 * width);
  const int red = options_.is_bgr ? 2 : 0;
  const int blue = 2 - red;
  const ColourMatrix& matrix = frame.is_full_range ? kFull : kLimited;
  const ColourScales scales = this->scales();
  for (int row = 0; row < placement.height; ++row) {
    const auto sources = source_rows(frame, placement, row);
    for (std::size_t p = 0; p < static_cast<std::size_t>(channels_of(options_)); ++p) {
      (p == 0 ? luma_ : chroma_)
          .sample(sources[p].upper, sources[p].lower, sources[p].lower_weight, rows_.data() + p * width);
    }
    const auto target = [&](int c) {
      if (!is_direct) return normal_.data() + static_cast<std::size_t>(c) * width;
      return tensor.values<float>().data() + place_in_tensor(options_, c, placement.top + row, placement.left);
    };
    if (options_.is_grey) {
      convert_grey_row(rows_.data(), placement.width, matrix, scales.red, target(0));
    } else {
      convert_row(rows_.data(), rows_.data() + width, rows_.data() + 2 * width, placement.width, matrix, scales.red,
                  scales.green, scales.blue, target(red), target(1), target(blue));
    }
    for (int c = 0; c < channels_of(options_) && !is_direct; ++c) {
      store(options_, target(c), placement.width, place_in_tensor(options_, c, placement.top + row, placement.left),
            tensor);
    }
  }
}

Result<Placement> Letterbox::fill(const Frame& frame, Tensor& tensor, bool is_padded) {
  if (frame.format != PixelFormat::yuv420) return letterbox_plain(frame, options_, tensor);
  VERGE_CHECK(check_letterbox(frame, options_, tensor));
  const Placement placement = place(frame.width, frame.height, options_);
  if (!fill_yuv_wide(frame, placement, tensor)) fill_yuv(frame, placement, tensor);
  if (!is_padded || placement != placement_) fill_padding(options_, placement, tensor);
  placement_ = placement;
  return placement;
}

Result<Placement> letterbox_plain(const Frame& frame, const LetterboxOptions& options, Tensor& tensor) {
  VERGE_CHECK(check_letterbox(frame, options, tensor));
  const Placement placement = place(frame.width, frame.height, options);
  const int channels = channels_of(options);
  std::array<std::vector<float>, 3> line;
  for (int row = 0; row < options.height; ++row) {
    for (auto& channel : line) channel.clear();
    for (int column = 0; column < options.width; ++column) {
      std::array<float, 3> values{options.padding, options.padding, options.padding};
      const int x = column - placement.left;
      const int y = row - placement.top;
      if (x >= 0 && x < placement.width && y >= 0 && y < placement.height) {
        if (options.is_grey) values[0] = grey_pixel(frame, placement, x, y);
        if (!options.is_grey) values = pixel(frame, placement, x, y);
      }
      if (options.is_bgr && !options.is_grey) std::swap(values[0], values[2]);
      for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
        line[c].push_back((values[c] - options.mean[c]) / options.deviation[c]);
      }
    }
    for (int c = 0; c < channels; ++c) {
      store(options, line[static_cast<std::size_t>(c)].data(), options.width, place_in_tensor(options, c, row, 0),
            tensor);
    }
  }
  return placement;
}

}  // namespace verge::vision
