#include "cli/agreement.h"

#include <ctime>

#include "vision/recognition/non_max_suppression.h"

namespace verge::cli {
namespace {

constexpr float kOverlapMin = 0.5F;

double thread_cpu_ms() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) * 1e-6;
}

vision::Box box_of(const pipeline::Object& object) {
  return {static_cast<float>(object.box.left), static_cast<float>(object.box.top), static_cast<float>(object.box.right),
          static_cast<float>(object.box.bottom)};
}

/// How many of `wanted` have a partner of their own in `given`.
std::size_t partners(const std::vector<pipeline::Object>& wanted, const std::vector<pipeline::Object>& given) {
  std::vector<bool> is_taken(given.size());
  std::size_t found = 0;
  for (const auto& object : wanted) {
    std::size_t best = given.size();
    float most = kOverlapMin;
    for (std::size_t at = 0; at < given.size(); ++at) {
      if (is_taken[at] || given[at].label != object.label) continue;
      const float common = vision::overlap(box_of(object), box_of(given[at]));
      if (common < most) continue;
      most = common;
      best = at;
    }
    if (best == given.size()) continue;
    is_taken[best] = true;
    ++found;
  }
  return found;
}

double share(std::size_t part, std::size_t all) {
  return all == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(all);
}

}  // namespace

Result<Judge> Judge::make(models::LoadedModel model) {
  Judge judge;
  if (model.card.head_kind() == "classes") {
    VERGE_TRY(judge.classifier_, vision::Classifier::make(std::move(model), 0.0F));
  } else {
    VERGE_TRY(judge.detector_, vision::Detector::make(std::move(model), {}));
  }
  return judge;
}

Result<Judge::Answer> Judge::look(const pipeline::Frame& frame) {
  const double begin = thread_cpu_ms();
  Answer answer;
  if (detector_) {
    VERGE_TRY(answer.objects, detector_->detect(frame));
  } else {
    VERGE_TRY(const auto said, classifier_->classify(frame));
    if (said) {
      pipeline::Object object;
      object.label = said->name;
      object.box = {0, 0, 1, 1};
      answer.objects.push_back(std::move(object));
    }
  }
  answer.cpu_ms = thread_cpu_ms() - begin;
  return answer;
}

double Agreement::found_share() const { return share(found_again, whole_answers); }
double Agreement::precision() const { return share(right, small_answers); }

Result<Agreement> compare(Judge& whole, Judge& small, std::span<const std::filesystem::path> pictures,
                          const PictureReader& read) {
  Agreement agreement;
  agreement.pictures = pictures.size();
  for (const auto& file : pictures) {
    VERGE_TRY(const auto frame, read(file));
    VERGE_TRY(const auto expected, whole.look(*frame));
    VERGE_TRY(const auto found, small.look(*frame));
    agreement.whole_answers += expected.objects.size();
    agreement.small_answers += found.objects.size();
    agreement.found_again += partners(expected.objects, found.objects);
    agreement.right += partners(found.objects, expected.objects);
    agreement.whole_cpu_ms += expected.cpu_ms / static_cast<double>(pictures.size());
    agreement.small_cpu_ms += found.cpu_ms / static_cast<double>(pictures.size());
  }
  return agreement;
}

}  // namespace verge::cli
