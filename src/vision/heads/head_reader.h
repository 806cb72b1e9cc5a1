// vision/heads/head_reader.h -- reads the head of a model card and finds the outputs that it speaks of.
//
// Every mistake names the card's member: `use card "door": /head/strides must be whole numbers, 1 to 1024`.
// Threads: values and pure functions.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/session.h"
#include "models/model_card.h"

namespace verge::vision {

/// `use card "door": /labels must be a list of words`.
Error card_mistake(const models::ModelCard& card, std::string_view member, std::string_view wanted);

/// thresholds/NAME, 0..1. Errors: invalid_argument.
Result<float> threshold_of(const models::ModelCard& card, const std::string& name, float fallback);

/// An output that a head reads.
struct HeadOutput {
  std::size_t index = 0;   ///< In the session's list of outputs.
  inference::Shape shape;  ///< -1: any size.
};

/// The numbers of a run. Errors: invalid_argument when the run gave another shape or type than the head reads.
Result<std::span<const float>> numbers_of(std::span<const inference::Tensor> outputs, const HeadOutput& output);

class HeadReader {
 public:
  /// Both must live as long as the reader.
  HeadReader(const models::ModelCard& card, const std::vector<inference::TensorInfo>& outputs)
      : card_(card), outputs_(outputs) {}

  const models::ModelCard& card() const { return card_; }
  int labels() const { return static_cast<int>(card_.labels.size()); }
  /// Pixels of the input; the card has a picture.
  int width() const { return card_.picture->width; }
  int height() const { return card_.picture->height; }

  Error mistake(std::string_view member, std::string_view wanted) const {
    return card_mistake(card_, "/head/" + std::string(member), wanted);
  }
  /// "kind" and "outputs" are always allowed.
  Status allow_only(std::initializer_list<std::string_view> members) const;
  Result<int> whole(std::string_view member, int fallback, int low, int high) const;
  Result<double> number(std::string_view member, double fallback, double low, double high) const;
  /// 1 to `count_max` whole numbers.
  Result<std::vector<int>> wholes(std::string_view member, std::vector<int> fallback, int low, int high,
                                  std::size_t count_max) const;
  /// Exactly as many numbers as the fallback has, each above 0.
  Result<std::vector<float>> positive(std::string_view member, std::vector<float> fallback) const;
  /// The index of one of the words; 0 when the member is absent.
  Result<std::size_t> word(std::string_view member, std::initializer_list<std::string_view> words) const;
  /// Names of points, in the model's order; 1 to 1,000 of them.
  Result<std::vector<std::string>> names(std::string_view member, std::vector<std::string> fallback) const;
  const Json* find(std::string_view member) const;

  /// The float32 output of this shape (-1: any size): the one named at /head/outputs/ROLE, else the only one that fits.
  /// Errors: invalid_argument listing what there is.
  Result<HeadOutput> output(std::string_view role, const inference::Shape& shape) const;

 private:
  Result<HeadOutput> named_output(std::string_view role, const Json& name, const inference::Shape& shape) const;
  std::string outputs_text() const;

  const models::ModelCard& card_;
  const std::vector<inference::TensorInfo>& outputs_;
};

}  // namespace verge::vision
