#include "expression/route.h"

#include <fmt/core.h>

#include "expression/parser.h"

namespace verge::expression {
namespace {

std::vector<std::string> segments_of(std::string_view path) {
  std::vector<std::string> segments;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) segments.emplace_back(path.substr(0, end));
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return segments;
}

/// The source path without its last "/*", lower-cased. Errors point at the path.
Result<std::string> read_source(Parser& parser) {
  const std::size_t at = parser.token().at;
  const std::string_view word = parser.take_word();
  if (!word.starts_with('/') || word.size() < 2) {
    return parser.error(at, "expected a source such as /messages/modules/camera/outputs/*");
  }
  if (word.ends_with('/') || word.find("//") != std::string_view::npos) {
    return parser.error(at, "a source has a name or * between its slashes");
  }
  std::string source = lower_case(word);
  if (source.ends_with("/*")) source.resize(source.size() - 2);
  return source;
}

Result<RouteTarget> read_endpoint(Parser& parser) {
  constexpr std::string_view kForm = "expected BrokeredEndpoint(\"/modules/<module>/inputs/<input>\")";
  if (!parser.take_symbol("(") || parser.token().kind != TokenKind::text) {
    return parser.token().kind == TokenKind::bad ? parser.unexpected(kForm) : parser.error(parser.token().at, kForm);
  }
  const std::size_t at = parser.token().at;
  const auto segments = segments_of(parser.token().text);
  if (segments.size() != 4 || !equal_ignoring_case(segments[0], "modules") ||
      !equal_ignoring_case(segments[2], "inputs")) {
    return parser.error(at, kForm);
  }
  parser.advance();
  if (!parser.take_symbol(")")) return parser.unexpected(")");
  return RouteTarget{false, segments[1], segments[3]};
}

Result<RouteTarget> read_target(Parser& parser) {
  const bool is_system = parser.token().kind == TokenKind::system;
  if (is_system && equal_ignoring_case(parser.token().text, "upstream")) {
    parser.advance();
    return RouteTarget{true, "", ""};
  }
  if (parser.take_keyword("BrokeredEndpoint")) return read_endpoint(parser);
  return parser.unexpected("$upstream or BrokeredEndpoint(\"/modules/<module>/inputs/<input>\")");
}

Result<Route> read_route(Parser& parser) {
  Route route;
  if (parser.take_keyword("select") && !parser.take_symbol("*")) return parser.unexpected("*");
  if (!parser.token().is_keyword("from")) return parser.unexpected("FROM");
  parser.advance();
  VERGE_TRY(route.source, read_source(parser));
  if (parser.take_keyword("where")) {
    VERGE_TRY(route.condition, parser.condition());
  }
  if (!parser.take_keyword("into")) return parser.unexpected(route.condition ? "an operator or INTO" : "WHERE or INTO");
  VERGE_TRY(route.target, read_target(parser));
  if (!parser.is_at_end()) return parser.unexpected("the end");
  return route;
}

}  // namespace

bool Route::matches(std::string_view source_path, const Scope& message) const {
  const auto wanted = segments_of(source);
  const auto given = segments_of(source_path);
  if (given.size() < wanted.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] != "*" && !equal_ignoring_case(wanted[i], given[i])) return false;
  }
  return !condition || condition->is_true(message);
}

Result<Route> parse_route(std::string_view text) {
  Parser parser(text);
  auto route = read_route(parser);
  if (!route) return std::move(route).error().within("read a route");
  return route;
}

}  // namespace verge::expression
