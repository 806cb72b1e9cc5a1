// vision/test_models.h -- a model that answers what a test tells it; tests only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/model_card.h"

namespace verge::vision::testing {

/// What the model does with its one input.
using FakeAnswer = std::function<std::vector<inference::Tensor>(const inference::Tensor& input)>;

class FakeSession final : public inference::Session {
 public:
  FakeSession(inference::TensorInfo input, std::vector<inference::TensorInfo> outputs, FakeAnswer answer)
      : inputs_{std::move(input)}, outputs_(std::move(outputs)), answer_(std::move(answer)) {}
  const std::vector<inference::TensorInfo>& inputs() const override { return inputs_; }
  const std::vector<inference::TensorInfo>& outputs() const override { return outputs_; }
  Result<std::vector<inference::Tensor>> run(std::span<const inference::NamedTensor> inputs,
                                             std::span<const std::string_view>) override {
    return answer_(*inputs[0].tensor);
  }
  std::string engine() const override { return "fake"; }
  std::string model_digest() const override { return "sha256:fake"; }

 private:
  std::vector<inference::TensorInfo> inputs_, outputs_;
  FakeAnswer answer_;
};

/// Takes grey pictures of `side` x `side` as [1,side,side,1] uint8; one output "y".
inline models::LoadedModel fake_model(const Json& head, std::vector<std::string> labels, int side,
                                      const inference::Shape& output, FakeAnswer answer,
                                      models::PictureFit fit = models::PictureFit::letterbox) {
  models::LoadedModel model;
  model.card.name = "fake";
  model.card.head = head;
  model.card.labels = std::move(labels);
  model.card.picture = models::PictureInput{};
  model.card.picture->width = model.card.picture->height = side;
  model.card.picture->colours = models::ColourOrder::grey;
  model.card.picture->is_channels_first = false;
  model.card.picture->mean = {0};
  model.card.picture->deviation = {1};
  model.card.picture->fit = fit;
  model.session = std::make_unique<FakeSession>(
      inference::TensorInfo{"x", inference::DataType::uint8, {1, side, side, 1}},
      std::vector<inference::TensorInfo>{{"y", inference::DataType::float32, output}}, std::move(answer));
  return model;
}

inline std::vector<inference::Tensor> one_tensor(inference::Shape shape, const std::vector<float>& numbers) {
  std::vector<inference::Tensor> tensors;
  tensors.push_back(inference::Tensor::of<float>(std::move(shape), std::span<const float>(numbers)));
  return tensors;
}

}  // namespace verge::vision::testing
