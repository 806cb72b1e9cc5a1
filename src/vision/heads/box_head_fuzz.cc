#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "vision/heads/box_head.h"
#include "vision/recognition/picture_model.h"

/// The bytes up to the first zero are a card, whose outputs are the model's; the rest is what the model answers, over
/// and over. A card that is taken must be able to read it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t count) {
  using namespace verge;
  const std::string_view input(reinterpret_cast<const char*>(bytes), count);
  const auto end = std::min(input.find('\0'), input.size());
  const auto card = models::parse_card(input.substr(0, end));
  if (!card) return 0;
  if (auto options = vision::letterbox_of(*card, inference::DataType::float32); !options) {
    VERGE_ASSERT(!options.error().message.empty());
  }
  constexpr std::size_t kElementsMax = 1U << 16U;
  std::vector<inference::TensorInfo> infos;
  std::vector<inference::Tensor> tensors;
  for (const auto& output : card->outputs) {
    std::size_t elements = 1;
    inference::Shape shape;
    for (const std::int64_t size : output.shape) {
      if (size > static_cast<std::int64_t>(kElementsMax)) return 0;
      shape.push_back(size < 0 ? 3 : size);
      elements *= static_cast<std::size_t>(shape.back());
      if (elements > kElementsMax) return 0;
    }
    if (tensors.size() == 16) return 0;
    infos.push_back({output.name, output.type, output.shape});
    tensors.emplace_back(output.type, shape);
    const std::string_view answer = input.substr(end);
    auto* target = static_cast<char*>(tensors.back().data());
    for (std::size_t at = 0; at < tensors.back().byte_count(); ++at)
      target[at] = answer.empty() ? 0 : answer[at % answer.size()];
  }
  const auto head = vision::make_box_head(*card, infos);
  if (!head) {
    VERGE_ASSERT(!head.error().message.empty());
    return 0;
  }
  std::vector<vision::Detection> found;
  static_cast<void>((*head)->decode(tensors, {{}, 0.25F}, found));
  for (const auto& detection : found) {
    VERGE_ASSERT(detection.score >= 0.25F && detection.label >= 0 &&
                 static_cast<std::size_t>(detection.label) < card->labels.size());
  }
  return 0;
}
