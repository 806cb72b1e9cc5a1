#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "expression/condition.h"
#include "expression/query.h"
#include "expression/route.h"

using namespace verge;
using namespace verge::expression;

namespace {

/// Every name has a value of some type, so that all operators are reached.
class Anything final : public Scope {
 public:
  Value name(const std::vector<std::string>& path) const override { return of_length(path.front().size()); }
  Value system(std::string_view name) const override { return of_length(name.size()); }
  Value body(const std::vector<std::string>& path) const override { return of_length(path.size()); }

 private:
  static Value of_length(std::size_t length) {
    const Json values[] = {Json(), Json(true), Json(-1.5), Json("text"), Json::array({1, "a"}), Json::object()};
    return length % 7 == 6 ? Value(Undefined{}) : Value(values[length % 7]);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Anything anything;
  if (const auto condition = Condition::parse(text)) {
    static_cast<void>(condition->evaluate(anything));
    static_cast<void>(condition->paths());
    VERGE_ASSERT(Condition::parse(condition->text()));
  }
  if (const auto route = parse_route(text))
    static_cast<void>(route->matches("/messages/modules/m/outputs/o", anything));
  if (const auto query = parse_query(text)) {
    static_cast<void>(static_cast<bool>(run_query(*query, {Json::object(), Json{{"a", 1}}})));
  }
  return 0;
}
