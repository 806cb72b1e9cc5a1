// vision/heads/families.h -- what each family of box heads offers to make_box_head, and what they share.
//
// Internal to heads/. Threads: pure functions.
#pragma once

#include <cmath>
#include <limits>

#include "vision/heads/box_head.h"
#include "vision/heads/head_reader.h"

namespace verge::vision {

/// Reads one kind's members and finds its outputs. The card has a picture and labels.
using MakeHead = Result<std::unique_ptr<BoxHead>> (*)(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_nanodet_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_yolo_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_yolo_v8_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_yolox_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_ssd_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_centernet_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_fastestdet_head(const HeadReader& reader);
Result<std::unique_ptr<BoxHead>> make_blazeface_head(const HeadReader& reader);

struct BestLabel {
  int label = 0;
  float score = -std::numeric_limits<float>::infinity();
};

/// The largest of the wanted labels' numbers, the first of equal ones; a NaN never wins.
/// scores  of label 0; the next label's is `step` numbers further
inline BestLabel best_label(const float* scores, std::ptrdiff_t step, int labels, std::span<const int> wanted) {
  BestLabel best;
  if (wanted.empty()) {
    for (int label = 0; label < labels; ++label) {
      if (scores[label * step] > best.score) best = {label, scores[label * step]};
    }
  }
  for (const int label : wanted) {
    if (scores[label * step] > best.score) best = {label, scores[label * step]};
  }
  return best;
}

inline float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
inline int cells_across(int size, int stride) { return (size + stride - 1) / stride; }
inline Box box_around(float x, float y, float width, float height) {
  return {x - width / 2, y - height / 2, x + width / 2, y + height / 2};
}

}  // namespace verge::vision
