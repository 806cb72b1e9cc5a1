// Source: Zhou et al. 2019 (Objects as Points), decoded within the model: rows [1, K, 6] of left, top, right, bottom in
// pixels of the input, score 0..1, index of the label. Other models that end in such rows are read the same way.
#include <algorithm>
#include <cmath>

#include "vision/heads/families.h"

namespace verge::vision {
namespace {

class CenternetHead final : public BoxHead {
 public:
  CenternetHead(HeadOutput rows, int labels) : rows_(std::move(rows)), labels_(labels) {}

  Status decode(std::span<const inference::Tensor> outputs, const Wanted& wanted,
                std::vector<Detection>& found) const override {
    VERGE_TRY(const auto numbers, numbers_of(outputs, rows_));
    for (std::size_t at = 0; at + kRow <= numbers.size(); at += kRow) {
      const float* row = numbers.data() + at;
      const float number = std::round(row[5]);
      if (!(row[4] >= wanted.score_min) || !(number >= 0 && number < static_cast<float>(labels_))) continue;
      const int label = static_cast<int>(number);
      if (!wanted.labels.empty() && !std::ranges::binary_search(wanted.labels, label)) continue;
      found.push_back({{row[0], row[1], row[2], row[3]}, row[4], label, {}});
    }
    return Done{};
  }

 private:
  static constexpr std::size_t kRow = 6;
  HeadOutput rows_;
  int labels_;
};

}  // namespace

Result<std::unique_ptr<BoxHead>> make_centernet_head(const HeadReader& reader) {
  VERGE_CHECK(reader.allow_only({}));
  VERGE_TRY(HeadOutput rows, reader.output("rows", {1, -1, 6}));
  return std::unique_ptr<BoxHead>(std::make_unique<CenternetHead>(std::move(rows), reader.labels()));
}

}  // namespace verge::vision
