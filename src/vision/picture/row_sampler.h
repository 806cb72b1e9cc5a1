// vision/picture/row_sampler.h -- one row of a resized plane: bilinear, eight columns at a time where the machine can.
//
// Eight neighbouring columns of the target lie within a few dozen bytes of the source. Their pairs are brought together
// by byte shuffles that are worked out once per size (AVX2); elsewhere, and for strong reductions, rows are blended
// first and columns looked up. Threads: a RowSampler is used by one thread at a time; the functions are pure.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/kernel.h"

namespace verge::vision {

/// Where the centre of a target pixel lies in a plane, limited to it.
struct SourcePosition {
  int first = 0;
  float weight = 0;  ///< Of first + 1; 0..1.
};
/// picture_count  pixels of the picture in this direction; plane_count: of the plane, half as many for chroma
SourcePosition source_position(int target_index, int target_count, int picture_count, int plane_count);

class RowSampler {
 public:
  /// level  at most kernel_level()
  explicit RowSampler(KernelLevel level = kernel_level()) : level_(level) {}
  /// For rows of `plane_count` bytes that become `target_count` values. Cheap when nothing has changed.
  void prepare(int plane_count, int picture_count, int target_count);
  /// upper, lower   rows of prepare's plane_count bytes
  /// lower_weight   0..256
  /// target         target_count values, 0..255
  void sample(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight, float* target);
  /// The same without special instructions: what other machines run, and the tests' reference.
  void sample_plain(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight, float* target);

 private:
  static constexpr int kAtOnce = 8;
  static constexpr int kLoadsMax = 3;  ///< Of 16 bytes each for eight columns: reductions to a sixth.
  struct Group {
    std::int32_t begin = 0;                                        ///< First byte that is loaded.
    std::array<std::array<std::uint8_t, 16>, kLoadsMax> places{};  ///< Of the pairs, for each load; 0x80: not in it.
    std::array<std::int16_t, std::size_t{2} * kAtOnce> weights{};  ///< 256 in all for each pair.
  };

  void prepare_groups();
  int sample_groups(const std::uint8_t* upper, const std::uint8_t* lower, int lower_weight, float* target) const;

  KernelLevel level_;
  int plane_count_ = 0, picture_count_ = 0, target_count_ = 0;
  std::vector<std::int32_t> left_, weight_;  ///< Per column: the left source byte, and the right one's weight of 256.
  std::vector<Group> groups_;                ///< None where plain code is used.
  int loads_ = 0;
  std::vector<std::uint16_t> blended_;
};

}  // namespace verge::vision
