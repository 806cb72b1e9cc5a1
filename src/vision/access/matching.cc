#include "vision/access/matching.h"

#include <algorithm>
#include <cmath>

#include "base/assert.h"

namespace verge::vision {

double similarity(const Embedding& a, const Embedding& b) {
  VERGE_ASSERT(a.size() == b.size());
  // Four sums, so that one addition need not wait for the one before.
  float sums[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= a.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  for (; i < a.size(); ++i) sums[0] += a[i] * b[i];
  return static_cast<double>(sums[0] + sums[1]) + static_cast<double>(sums[2] + sums[3]);
}

double similarity(const Person& person, const Embedding& face) {
  double most = Match::kNone;
  for (const Embedding& look : person.looks) most = std::max(most, similarity(look, face));
  return most;
}

Embedding middle_of(const std::vector<Embedding>& faces) {
  VERGE_ASSERT(!faces.empty());
  std::vector<double> sums(faces.front().size());
  for (const Embedding& face : faces) {
    VERGE_ASSERT(face.size() == sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(face[i]);
  }
  double squares = 0;
  for (const double sum : sums) squares += sum * sum;
  const double length = std::sqrt(squares);
  if (!(length > 0)) return faces.front();  // Opposite to each other: no direction is in their middle.
  Embedding middle;
  for (const double sum : sums) middle.push_back(static_cast<float>(sum / length));
  return middle;
}

Match match(const std::vector<Person>& people, const Embedding& face, const MatchOptions& options) {
  Match found;
  for (const Person& person : people) {
    const double alike = similarity(person, face);
    if (alike > found.best_similarity) {
      found.second = found.best;
      found.second_similarity = found.best_similarity;
      found.best = &person;
      found.best_similarity = alike;
    } else if (alike > found.second_similarity) {
      found.second = &person;
      found.second_similarity = alike;
    }
  }
  if (found.best == nullptr) return found;
  if (found.best_similarity < options.threshold) {
    found.kind = MatchKind::unknown;
  } else if (found.best_similarity - found.second_similarity < options.margin) {
    found.kind = MatchKind::unsure;
  } else {
    found.kind = MatchKind::known;
  }
  return found;
}

}  // namespace verge::vision
