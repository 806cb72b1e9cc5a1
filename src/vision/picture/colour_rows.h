// vision/picture/colour_rows.h -- rows of a resized YUV picture as rows of red, green and blue, without leaving the
// registers.
//
// Sixteen neighbouring columns of the target lie within one to three runs of 64 source bytes. One permutation of bytes
// for each run brings their pairs together (AVX-512 VBMI); the pairs are blended across and down, become colours, and
// are normalised and stored. What to permute is worked out once per size.
// Source: ITU-R BT.601. Threads: prepare() by one thread; convert() does not change anything.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace verge::vision {

/// YUV of 0..255 to red, green and blue of 0..255, with 128 taken from U and V.
struct ColourMatrix {
  float luma_offset, luma, red_v, green_u, green_v, blue_u;
};
/// Out = value * factor + offset.
struct ChannelScale {
  float factor, offset;
};
struct ColourScales {
  ChannelScale red, green, blue;
};

/// The source of one row of a plane.
struct PlaneRow {
  const std::uint8_t* upper = nullptr;
  const std::uint8_t* lower = nullptr;  ///< May be read only when lower_weight is not 0.
  int lower_weight = 0;                 ///< 0..256
  /// The upper row of the target's next row, which is fetched meanwhile: where rows are left out, no processor guesses
  /// it.
  const std::uint8_t* next = nullptr;
};

class ColourRows {
 public:
  /// For pictures of this width that become rows of `target_width` pixels. Cheap when nothing has changed. False where
  /// the processor lacks KernelLevel::avx512, the picture is narrower than 128 pixels, or twelve times as wide as the
  /// target.
  bool prepare(int picture_width, int target_width);

  /// planes  Y, U, V
  /// red, green, blue  prepare's target_width values each; bytes are limited to 0..255 and rounded half up
  /// Only after prepare() said true.
  void convert(const std::array<PlaneRow, 3>& planes, const ColourMatrix& matrix, const ColourScales& scales,
               float* red, float* green, float* blue) const;
  void convert(const std::array<PlaneRow, 3>& planes, const ColourMatrix& matrix, const ColourScales& scales,
               std::uint8_t* red, std::uint8_t* green, std::uint8_t* blue) const;

  static constexpr int kAtOnce = 16;
  static constexpr int kRunsMax = 3;
  static constexpr int kRunBytes = 64;
  /// Of kAtOnce columns of one plane.
  struct Columns {
    std::array<std::int32_t, kRunsMax> begins{};    ///< First byte of each run.
    std::array<std::uint64_t, kRunsMax> is_here{};  ///< Which bytes of the pairs come from the run: even ones alone.
    std::array<std::array<std::uint8_t, kRunBytes>, kRunsMax> places{};  ///< In the run, where is_here.
    std::array<std::int16_t, std::size_t{2} * kAtOnce> weights{};        ///< 256 in all for each pair.
  };

 private:
  int picture_width_ = 0, target_width_ = 0, luma_runs_ = 0;
  std::vector<Columns> luma_, chroma_;  ///< None where the processor or the size does not allow it.
};

}  // namespace verge::vision
