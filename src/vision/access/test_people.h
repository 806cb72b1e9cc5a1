// vision/access/test_people.h -- people made by formula; tests only.
#pragma once

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "vision/access/person.h"

namespace verge::vision::testing {

inline Embedding unit(Embedding numbers) {
  double squares = 0;
  for (const float number : numbers) squares += static_cast<double>(number) * static_cast<double>(number);
  for (float& number : numbers) number = static_cast<float>(static_cast<double>(number) / std::sqrt(squares));
  return numbers;
}

/// A face of its own for each seed; two of 32 numbers are hardly alike.
inline Embedding face_of(unsigned seed, std::size_t numbers = 32) {
  std::mt19937 random(seed);
  Embedding face(numbers);
  for (float& number : face) number = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000;
  return unit(face);
}

/// The same face a little differently.
inline Embedding like(Embedding face, unsigned seed, float change = 0.05F) {
  std::mt19937 random(seed);
  for (float& number : face) number += change * static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000;
  return unit(face);
}

inline Person person(const std::string& name, unsigned seed, std::size_t looks = 2) {
  Person made;
  made.name = name;
  made.enrolled_us = 1'700'000'000'000'000;
  made.model = "sha256:model";
  for (unsigned at = 0; at < looks; ++at) made.looks.push_back(like(face_of(seed), 1000 * seed + at));
  return made;
}

}  // namespace verge::vision::testing
