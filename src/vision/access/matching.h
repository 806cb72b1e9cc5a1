// vision/access/matching.h -- whose face it is: the most alike of those enrolled, and whether that is enough.
//
// How alike two faces are is the cosine of the angle between their embeddings, -1..1; a person is as alike as the most
// alike of his looks. It is decided for the best when he reaches the threshold and the second best stays `margin`
// behind. Threads: pure functions.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "vision/access/person.h"

namespace verge::vision {

/// Embeddings have unit length and the same size.
double similarity(const Embedding& a, const Embedding& b);
double similarity(const Person& person, const Embedding& face);
/// The direction in the middle of several, of unit length. faces  not empty, all of the same size
Embedding middle_of(const std::vector<Embedding>& faces);

struct MatchOptions {
  double threshold = 0.65;  ///< From here on it is the same person, -1..1; which value is right: false_accept.h.
  double margin = 0.05;     ///< The second best must be so much less alike, 0..2.
};

enum class MatchKind : std::uint8_t {
  nobody,   ///< Nobody is enrolled.
  unknown,  ///< Nobody reaches the threshold.
  unsure,   ///< Two are alike.
  known,
};

struct Match {
  static constexpr double kNone = -std::numeric_limits<double>::infinity();

  MatchKind kind = MatchKind::nobody;
  const Person* best = nullptr;  ///< Also when it is not enough; null when nobody is enrolled.
  const Person* second = nullptr;
  double best_similarity = kNone, second_similarity = kNone;
};

/// Everybody in `people` has looks of the face's size and model.
/// Cost: people * looks * numbers; 1,000 people with 8 looks of 1,024 numbers: 8 million multiplications.
Match match(const std::vector<Person>& people, const Embedding& face, const MatchOptions& options);

}  // namespace verge::vision
