#include "vision/simulated/canvas.h"

#include <algorithm>
#include <cmath>

namespace verge::vision::simulated {
namespace {

std::uint8_t byte_of(float value) { return static_cast<std::uint8_t>(std::clamp(value + 0.5F, 0.0F, 255.0F)); }

std::uint8_t byte_of_whole(int value) { return static_cast<std::uint8_t>(std::clamp(value, 0, 255)); }

}  // namespace

Colour mixed(const Colour& a, const Colour& b, float part) {
  return {a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part, a[2] + (b[2] - a[2]) * part};
}

double Dice::normal() {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += uniform();
  return sum;
}

void Canvas::set(int x, int y, const Colour& colour) {
  if (!holds(x, y)) return;
  std::uint8_t* pixel = at(x, y);
  for (std::size_t c = 0; c < 3; ++c) pixel[c] = byte_of(colour[c]);
}

void Canvas::blend(int x, int y, const Colour& colour, float part) {
  if (!holds(x, y)) return;
  std::uint8_t* pixel = at(x, y);
  for (std::size_t c = 0; c < 3; ++c) {
    const auto before = static_cast<float>(pixel[c]);
    pixel[c] = byte_of(before + (colour[c] - before) * part);
  }
}

void Canvas::fill(int left, int top, int right, int bottom, const Colour& above, const Colour& below) {
  for (int y = std::max(0, top); y < std::min(height, bottom); ++y) {
    const Colour colour =
        mixed(above, below, static_cast<float>(y - top) / static_cast<float>(std::max(1, bottom - top - 1)));
    const std::array<std::uint8_t, 3> pixel{byte_of(colour[0]), byte_of(colour[1]), byte_of(colour[2])};
    for (int x = std::max(0, left); x < std::min(width, right); ++x) std::copy(pixel.begin(), pixel.end(), at(x, y));
  }
}

void Sprite::set(int x, int y, const Colour& colour, float part) {
  if (!colours.holds(x, y)) return;
  colours.set(x, y, colour);
  cover[static_cast<std::size_t>(y) * static_cast<std::size_t>(colours.width) + static_cast<std::size_t>(x)] =
      byte_of(part * 255);
}

void Sprite::put(Canvas& canvas, int left, int bottom, float gain) const {
  const int top = bottom - colours.height;
  const auto factor = static_cast<int>(gain * 256);
  for (int y = std::max(0, -top); y < std::min(colours.height, canvas.height - top); ++y) {
    const std::uint8_t* covers = cover.data() + static_cast<std::ptrdiff_t>(y) * colours.width;
    for (int x = std::max(0, -left); x < std::min(colours.width, canvas.width - left); ++x) {
      const int covered = covers[x];
      if (covered == 0) continue;
      const std::uint8_t* from = colours.at(x, y);
      std::uint8_t* to = canvas.at(left + x, top + y);
      for (int c = 0; c < 3; ++c) {
        const int value = std::min(255, from[c] * factor >> 8);
        to[c] = static_cast<std::uint8_t>(to[c] + (value - to[c]) * covered / 255);
      }
    }
  }
}

Film::Film(std::uint64_t seed) : grains_(kGrains), dice_(seed) {
  for (auto& grain : grains_)
    grain = static_cast<std::int8_t>(std::clamp(std::lround(dice_.normal() * 16), -127L, 127L));
}

std::shared_ptr<pipeline::Frame> Film::develop(const Canvas& canvas, const Light& light) {
  const int width = canvas.width, height = canvas.height;
  const auto pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  auto planes = std::make_shared<std::vector<std::uint8_t>>(pixels + pixels / 2);
  std::uint8_t* const luma = planes->data();
  std::uint8_t* const blue = luma + pixels;
  std::uint8_t* const red = blue + pixels / 4;
  // Integers times 256. Source of the weights: JFIF 1.02 (ITU-R BT.601, full range).
  const auto gain = static_cast<int>(light.gain * 256);
  const auto red_gain = static_cast<int>(light.gain * (1 + light.warmth) * 256);
  const auto blue_gain = static_cast<int>(light.gain * (1 - light.warmth) * 256);
  const auto noise = static_cast<int>(light.noise * 16);
  for (int y = 0; y < height; ++y) {
    const std::uint8_t* pixel = canvas.at(0, y);
    std::uint8_t* const row = luma + static_cast<std::ptrdiff_t>(y) * width;
    const std::int8_t* const grains =
        grains_.data() + static_cast<std::size_t>(dice_.below(static_cast<int>(kGrains) - width));
    for (int x = 0; x < width; ++x, pixel += 3) {
      const int value =
          (77 * (pixel[0] * red_gain >> 8) + 150 * (pixel[1] * gain >> 8) + 29 * (pixel[2] * blue_gain >> 8)) >> 8;
      row[x] = byte_of_whole(value + (grains[x] * noise >> 8));
    }
    if (y % 2 != 0) continue;
    pixel = canvas.at(0, y);
    const auto half = static_cast<std::ptrdiff_t>(y / 2) * (width / 2);
    for (int x = 0; x < width / 2; ++x, pixel += 6) {
      const int r = pixel[0] * red_gain >> 8, g = pixel[1] * gain >> 8, b = pixel[2] * blue_gain >> 8;
      const int grain = grains[2 * x] * noise >> 9;
      blue[half + x] = byte_of_whole(128 + ((-43 * r - 85 * g + 128 * b) >> 8) + grain);
      red[half + x] = byte_of_whole(128 + ((128 * r - 107 * g - 21 * b) >> 8) - grain);
    }
  }
  auto frame = std::make_shared<pipeline::Frame>();
  frame->format = pipeline::PixelFormat::yuv420;
  frame->width = width;
  frame->height = height;
  frame->is_full_range = true;
  frame->planes[0] = luma, frame->planes[1] = blue, frame->planes[2] = red;
  frame->strides[0] = width, frame->strides[1] = frame->strides[2] = width / 2;
  frame->storage = std::move(planes);
  return frame;
}

}  // namespace verge::vision::simulated
