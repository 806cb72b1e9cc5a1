#include "vision/heads/box_head.h"

#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "vision/heads/families.h"

namespace verge::vision {
namespace {

struct HeadKind {
  std::string_view name;
  MakeHead make;
};
constexpr std::array<HeadKind, 8> kHeadKinds{{{"blazeface", make_blazeface_head},
                                              {"centernet", make_centernet_head},
                                              {"fastestdet", make_fastestdet_head},
                                              {"nanodet", make_nanodet_head},
                                              {"ssd", make_ssd_head},
                                              {"yolo", make_yolo_head},
                                              {"yolo-v8", make_yolo_v8_head},
                                              {"yolox", make_yolox_head}}};

}  // namespace

std::vector<std::string_view> box_head_kinds() {
  std::vector<std::string_view> names;
  for (const HeadKind& kind : kHeadKinds) names.push_back(kind.name);
  return names;
}

Result<std::unique_ptr<BoxHead>> make_box_head(const models::ModelCard& card,
                                               const std::vector<inference::TensorInfo>& outputs) {
  if (!card.picture) return card_mistake(card, "/picture", "there");
  if (card.labels.empty()) return card_mistake(card, "/labels", "a list of words");
  const std::string name = card.head_kind();
  for (const HeadKind& kind : kHeadKinds) {
    if (kind.name == name) return kind.make(HeadReader(card, outputs));
  }
  return card_mistake(card, "/head/kind",
                      fmt::format("one of {} for a detector, not \"{}\"", fmt::join(box_head_kinds(), ", "), name));
}

}  // namespace verge::vision
