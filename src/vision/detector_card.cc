#include "vision/detector_card.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/json.h"

namespace verge::vision {
namespace {

Error mistake(const models::ModelCard& card, std::string_view member, std::string_view wanted) {
  return Error{ErrorCode::invalid_argument,
               fmt::format("use card \"{}\" for a detector: {} must be {}", card.name, member, wanted)};
}

Status read_picture(const models::ModelCard& card, LetterboxOptions& input) {
  if (!card.picture) return mistake(card, "/picture", "there");
  const models::PictureInput& picture = *card.picture;
  if (picture.width < 1 || picture.width > 8192 || picture.height < 1 || picture.height > 8192) {
    return mistake(card, "/picture/width and height", "1 to 8192");
  }
  if (picture.colours == models::ColourOrder::grey) return mistake(card, "/picture/colours", "rgb or bgr");
  if (!picture.is_channels_first) return mistake(card, "/picture", "channels first, [1,3,height,width]");
  if (picture.fit != models::PictureFit::letterbox_top_left) return mistake(card, "/picture/fit", "letterbox_top_left");
  if (picture.mean.size() != 3 || picture.deviation.size() != 3) {
    return mistake(card, "/picture/mean and deviation", "three numbers each");
  }
  input.width = picture.width;
  input.height = picture.height;
  input.is_bgr = picture.colours == models::ColourOrder::bgr;
  input.padding = picture.filling;
  for (std::size_t i = 0; i < 3; ++i) {
    if (!(std::abs(picture.deviation[i]) > 1e-9F)) return mistake(card, "/picture/deviation", "other than 0");
    input.mean[i] = picture.mean[i];
    input.deviation[i] = picture.deviation[i];
  }
  return Done{};
}

Status read_head(const models::ModelCard& card, DetectorCard& detector) {
  if (card.head_kind() != "nanodet") return mistake(card, "/head/kind", "nanodet");
  auto bins = integer_member(card.head, "bins", 11);
  if (!bins || *bins < 2 || *bins > 64) return mistake(card, "/head/bins", "2 to 64");
  detector.bins = static_cast<int>(*bins);
  const Json* strides = find_member(card.head, {"strides"});
  if (strides == nullptr) return Done{};
  if (!strides->is_array() || strides->empty() || strides->size() > 8) {
    return mistake(card, "/head/strides", "a list of 1 to 8 numbers");
  }
  detector.strides.clear();
  for (const Json& stride : *strides) {
    if (!stride.is_number_integer() || stride.get<std::int64_t>() < 1 || stride.get<std::int64_t>() > 1024) {
      return mistake(card, "/head/strides", "whole numbers, 1 to 1024");
    }
    detector.strides.push_back(stride.get<int>());
  }
  return Done{};
}

Status read_threshold(const models::ModelCard& card, const std::string& name, float& target) {
  const auto at = card.thresholds.find(name);
  if (at == card.thresholds.end()) return Done{};
  if (!(at->second >= 0 && at->second <= 1)) return mistake(card, "/thresholds/" + name, "0 to 1");
  target = static_cast<float>(at->second);
  return Done{};
}

}  // namespace

Result<DetectorCard> detector_card_of(const models::ModelCard& card) {
  DetectorCard detector;
  VERGE_CHECK(read_picture(card, detector.input));
  VERGE_CHECK(read_head(card, detector));
  VERGE_CHECK(read_threshold(card, "score", detector.score_min));
  VERGE_CHECK(read_threshold(card, "overlap", detector.overlap_max));
  if (card.labels.empty()) return mistake(card, "/labels", "a list of words");
  detector.labels = card.labels;
  return detector;
}

}  // namespace verge::vision
