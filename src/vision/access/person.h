// vision/access/person.h -- somebody who may come in, and the bytes that a gallery keeps of him.
//
// The bytes are those of docs/formats/gallery.md before they are sealed. No picture is kept: only numbers that a model
// made of pictures, which are biometric data all the same. Threads: values and pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace verge::vision {

/// A face as a model describes it: unit length.
using Embedding = std::vector<float>;

struct Person {
  static constexpr std::size_t kNameBytesMax = 100;
  static constexpr std::size_t kWhenBytesMax = 500;
  static constexpr std::size_t kLooksMax = 8;        ///< Bounds memory and the time of a comparison.
  static constexpr std::size_t kNumbersMax = 4'096;  ///< Of an embedding.

  std::string id;    ///< 32 hex digits, drawn at random; empty until a gallery has taken him.
  std::string name;  ///< UTF-8, as events show it.
  std::int64_t enrolled_us = 0;
  std::string model;             ///< Digest of the model that made the embeddings.
  std::string when;              ///< A condition on hour, weekday and door (admission.h); empty: always.
  std::vector<Embedding> looks;  ///< 1 to kLooksMax, all of the same size.
};

/// Errors: invalid_argument naming what is wrong: name, when, looks.
Status check_person(const Person& person);

/// All but the id. The person must be sound.
std::string to_record(const Person& person);
/// Errors: corrupt when the bytes are no record, or its person is not sound.
Result<Person> person_of_record(std::string_view record);

}  // namespace verge::vision
