#include "vision/teach/views.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <map>
#include <numeric>

#include "training/validation.h"
#include "vision/picture/crop.h"
#include "vision/picture/letterbox.h"

namespace verge::vision {
namespace {

using pipeline::Frame;
using pipeline::PixelFormat;

constexpr int kGlanceSide = 32;
// Noise and compression move a mean over a cell by less; a small object that came or went moves one by more.
constexpr float kGlanceMeanMax = 2;
// Of the pictures' own variation: two pieces of one cloth are flat from afar, and yet not the same.
constexpr float kGlanceShareMax = 0.25F;
constexpr float kGlanceCellMax = 12;

/// The picture as bytes of width x height, channels last.
Result<inference::Tensor> to_bytes_of(const Frame& frame, int width, int height, bool is_grey) {
  LetterboxOptions options;
  options.width = width;
  options.height = height;
  options.is_grey = is_grey;
  options.is_channels_first = false;
  options.fit = models::PictureFit::stretch;
  options.type = inference::DataType::uint8;
  inference::Tensor tensor(options.type, shape_of(options));
  Letterbox letterbox(options);
  VERGE_CHECK(letterbox.fill(frame, tensor));
  return tensor;
}

std::shared_ptr<Frame> frame_of(inference::Tensor tensor, int width, int height) {
  auto pixels = std::make_shared<inference::Tensor>(std::move(tensor));
  auto frame = std::make_shared<Frame>();
  frame->format = PixelFormat::rgb24;
  frame->width = width;
  frame->height = height;
  frame->planes[0] = pixels->values<std::uint8_t>().data();
  frame->strides[0] = width * 3;
  frame->storage = std::move(pixels);
  return frame;
}

void mirror(std::span<std::uint8_t> pixels, int width, int height) {
  for (int row = 0; row < height; ++row) {
    std::uint8_t* line = pixels.data() + static_cast<std::ptrdiff_t>(row) * width * 3;
    for (int left = 0, right = width - 1; left < right; ++left, --right)
      for (int channel = 0; channel < 3; ++channel) std::swap(line[left * 3 + channel], line[right * 3 + channel]);
  }
}

int root_of(std::vector<int>& parents, int at) {
  const auto parent = [&](int i) -> int& { return parents[static_cast<std::size_t>(i)]; };
  while (parent(at) != at) at = parent(at) = parent(parent(at));
  return at;
}

}  // namespace

Result<std::shared_ptr<const Frame>> make_view(const Frame& frame, int view, int width, int height,
                                               std::uint64_t seed) {
  if (view < 1 || view >= kViewsMax)
    return Error{ErrorCode::invalid_argument, fmt::format("make view {} of a picture: 1..{}", view, kViewsMax - 1)};
  training::SeededNumbers numbers(seed * kViewsMax + static_cast<std::uint64_t>(view));
  Frame seen = frame;
  double brightness = 0, contrast = 1;
  if (view >= 2) {
    const double side = 1 - numbers.part() / 6;
    const double left = numbers.part() * (1 - side), top = numbers.part() * (1 - side);
    if (const auto part = crop(frame, {left, top, left + side, top + side}, 0)) seen = part->frame;
    contrast = 0.75 + numbers.part() / 2;
    brightness = (numbers.part() - 0.5) * 64;
  }
  VERGE_TRY(auto tensor, to_bytes_of(seen, width, height, false));
  const auto pixels = tensor.values<std::uint8_t>();
  if (view % 2 == 1) mirror(pixels, width, height);
  if (view >= 2) {
    std::uint8_t table[256];
    for (int value = 0; value < 256; ++value)
      table[value] =
          static_cast<std::uint8_t>(std::clamp((value - 128) * contrast + 128 + brightness + 0.5, 0.0, 255.0));
    for (std::uint8_t& value : pixels) value = table[value];
  }
  return std::shared_ptr<const Frame>(frame_of(std::move(tensor), width, height));
}

Result<std::vector<float>> glance(const Frame& frame) {
  // Halved by means until near the size, as plain sampling would see single pixels of a large picture.
  constexpr int kFine = kGlanceSide * 8;
  VERGE_TRY(const auto fine, to_bytes_of(frame, kFine, kFine, true));
  const auto values = fine.values<std::uint8_t>();
  std::vector<float> seen(static_cast<std::size_t>(kGlanceSide) * kGlanceSide);
  for (int row = 0; row < kFine; ++row)
    for (int column = 0; column < kFine; ++column)
      seen[static_cast<std::size_t>(row / 8 * kGlanceSide + column / 8)] +=
          static_cast<float>(values[static_cast<std::size_t>(row * kFine + column)]) / 64;
  const float mean = std::accumulate(seen.begin(), seen.end(), 0.0F) / static_cast<float>(seen.size());
  for (float& value : seen) value -= mean;
  return seen;
}

bool is_nearly_the_same(const std::vector<float>& a, const std::vector<float>& b) {
  float apart = 0, own = 0;
  for (std::size_t at = 0; at < a.size(); ++at) {
    const float off = a[at] - b[at];
    if (std::abs(off) > kGlanceCellMax) return false;
    apart += off * off;
    own += std::max(a[at] * a[at], b[at] * b[at]);
  }
  const auto count = static_cast<float>(a.size());
  return apart <= count * kGlanceMeanMax * kGlanceMeanMax && apart <= kGlanceShareMax * kGlanceShareMax * own;
}

std::vector<int> group_glances(const std::vector<std::vector<float>>& glances, const std::vector<int>& together) {
  std::vector<int> parents(glances.size());
  std::iota(parents.begin(), parents.end(), 0);
  const auto join = [&](int a, int b) {
    const int low = std::min(root_of(parents, a), root_of(parents, b));
    const int high = std::max(root_of(parents, a), root_of(parents, b));
    parents[static_cast<std::size_t>(high)] = low;
  };
  std::map<int, int> first;
  for (std::size_t at = 0; at < together.size(); ++at)
    join(first.try_emplace(together[at], static_cast<int>(at)).first->second, static_cast<int>(at));
  for (std::size_t a = 0; a < glances.size(); ++a)
    for (std::size_t b = a + 1; b < glances.size(); ++b)
      if (is_nearly_the_same(glances[a], glances[b])) join(static_cast<int>(a), static_cast<int>(b));
  std::vector<int> groups;
  for (std::size_t at = 0; at < glances.size(); ++at) groups.push_back(root_of(parents, static_cast<int>(at)));
  return groups;
}

}  // namespace verge::vision
