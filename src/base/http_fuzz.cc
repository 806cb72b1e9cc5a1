// Targets and whole requests: nothing crashes, and a request is the same however it is cut.
#include "base/http.h"
#include "base/http_parser.h"

namespace {

struct Outcome {
  verge::HttpRequestParser::State state;
  std::string body, target;
};

Outcome parse(std::string_view text, std::size_t step) {
  std::string body;
  verge::HttpRequestParser parser(4096, [&](std::string_view piece) {
    body += piece;
    return true;
  });
  std::string input;
  while (!text.empty()) {
    const auto piece = text.substr(0, step);
    text.remove_prefix(piece.size());
    input += piece;
    for (std::size_t used = 1; used > 0 && !input.empty();) {
      used = parser.put(input);
      input.erase(0, used);
    }
  }
  return {parser.state(), body, parser.request().target};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(bytes), size);
  verge::HttpRequest request;
  if (verge::set_target(request, text)) VERGE_ASSERT(request.path == "*" || request.path.starts_with('/'));
  static_cast<void>(request.segments());
  const auto whole = parse(text, size + 1);
  const auto bytewise = parse(text, 1);
  using State = verge::HttpRequestParser::State;
  if (whole.state == State::done) {
    VERGE_ASSERT(bytewise.state == State::done && whole.body == bytewise.body && whole.target == bytewise.target);
  }
  return 0;
}
