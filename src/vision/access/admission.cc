#include "vision/access/admission.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/time.h"
#include "vision/logic/rule_facts.h"

namespace verge::vision {
namespace {

class AdmissionScope final : public expression::Scope {
 public:
  AdmissionScope(std::int64_t captured_us, const std::string& door) : captured_us_(captured_us), door_(door) {}

  expression::Value name(const std::vector<std::string>& path) const override {
    if (path.size() != 1) return expression::Undefined{};
    if (path[0] == "door") return Json(door_);
    if (captured_us_ < kClockIsSet_us) return expression::Undefined{};
    return time_fact(path[0], captured_us_);
  }

 private:
  std::int64_t captured_us_;
  const std::string& door_;
};

}  // namespace

Result<Admission> Admission::read(const std::string& text) {
  Admission admission;
  if (text.empty()) return admission;
  VERGE_TRY(admission.when_, expression::Condition::parse(text));
  for (const std::vector<std::string>& path : admission.when_->paths()) {
    const std::string& name = path[0];
    if (path.size() == 1 && (name == "hour" || name == "weekday" || name == "door")) continue;
    return Error{ErrorCode::invalid_argument,
                 fmt::format("the schedule \"{}\" asks for \"{}\"; it can ask for hour, weekday and door", text,
                             fmt::join(path, "."))};
  }
  return admission;
}

bool Admission::allows(std::int64_t captured_us, const std::string& door) const {
  return !when_ || when_->is_true(AdmissionScope(captured_us, door));
}

}  // namespace verge::vision
