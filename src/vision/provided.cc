#include "vision/provided.h"

#include <algorithm>
#include <fmt/format.h>

namespace verge::vision {

Status check_no_early_zone(std::string_view stage, const pipeline::Provided& before) {
  const auto early = std::ranges::find_if(before, [](const auto& fact) { return fact.first == "early"; });
  if (early == before.end()) return Done{};
  return Error{ErrorCode::invalid_argument,
               fmt::format("zone \"{0}\" stands before stage {1}, where nobody has a track yet, and would not tell who "
                           "comes and goes; put zone \"{0}\" behind {1}",
                           early->second, stage)};
}

}  // namespace verge::vision
