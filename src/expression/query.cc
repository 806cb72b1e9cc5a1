#include "expression/query.h"

#include <algorithm>
#include <array>
#include <fmt/core.h>
#include <map>

#include "expression/parser.h"

namespace verge::expression {
namespace {

constexpr std::array<std::string_view, 5> kAggregates{"count", "sum", "avg", "min", "max"};
constexpr std::array<std::string_view, 3> kCollections{"devices", "devices.modules", "devices.jobs"};

// --- reading ---------------------------------------------------------------------------------

Result<std::vector<std::string>> read_path(Parser& parser) {
  const bool is_keyword = parser.token().is_keyword("from") || parser.token().is_keyword("where");
  if (parser.token().kind != TokenKind::name || is_keyword) return parser.unexpected("a path such as tags.site");
  auto path = parser.token().path;
  parser.advance();
  return path;
}

Result<Selection> read_aggregate(Parser& parser, const Token& name) {
  Selection selection;
  selection.function = lower_case(name.path.front());
  parser.advance();  // the opening bracket
  const bool counts = selection.function == "count";
  if (!(counts && parser.token().is_symbol(")"))) {
    VERGE_TRY(selection.path, read_path(parser));
  }
  if (!parser.take_symbol(")")) return parser.unexpected(")");
  return selection;
}

Result<Selection> read_selection(Parser& parser) {
  const Token name = parser.token();
  Selection selection;
  VERGE_TRY(selection.path, read_path(parser));
  if (parser.token().is_symbol("(")) {
    const bool is_known = name.path.size() == 1 && std::find(kAggregates.begin(), kAggregates.end(),
                                                             lower_case(name.path.front())) != kAggregates.end();
    if (!is_known) return parser.error(name.at, "expected COUNT, SUM, AVG, MIN, MAX or a path");
    VERGE_TRY(selection, read_aggregate(parser, name));
  }
  if (parser.take_keyword("as")) {
    VERGE_TRY(const auto alias, read_path(parser));
    selection.alias = joined(alias);
  }
  return selection;
}

Status read_selections(Parser& parser, Query& query) {
  if (parser.take_symbol("*")) return Done{};
  do {
    VERGE_TRY(auto selection, read_selection(parser));
    query.selections.push_back(std::move(selection));
  } while (parser.take_symbol(","));
  return Done{};
}

Status read_top(Parser& parser, Query& query) {
  if (!parser.take_keyword("top")) return Done{};
  const Token& token = parser.token();
  if (token.kind != TokenKind::number || !token.number.is_number_integer() || token.number.get<std::int64_t>() < 1) {
    return parser.unexpected("a number from 1");
  }
  query.top = token.number.get<std::size_t>();
  parser.advance();
  return Done{};
}

/// With a group or an aggregate, every other selection must be the group's path.
Status check_selections(const Parser& parser, std::size_t at, const Query& query) {
  const bool aggregates = std::any_of(query.selections.begin(), query.selections.end(),
                                      [](const Selection& selection) { return !selection.function.empty(); });
  if (query.from == "devices.jobs" && !query.selections.empty()) {
    return parser.error(at, "devices.jobs allows only SELECT *");
  }
  if (!aggregates && query.group_by.empty()) return Done{};
  if (query.selections.empty()) return parser.error(at, "SELECT * cannot be grouped; name the group's path");
  for (const Selection& selection : query.selections) {
    if (selection.function.empty() && selection.path != query.group_by) {
      return parser.error(at, fmt::format("\"{}\" is neither counted nor grouped by; add GROUP BY {}",
                                          joined(selection.path), joined(selection.path)));
    }
  }
  return Done{};
}

Result<Query> read_query(Parser& parser) {
  Query query;
  if (!parser.take_keyword("select")) return parser.unexpected("SELECT");
  VERGE_CHECK(read_top(parser, query));
  const std::size_t selections_at = parser.token().at;
  VERGE_CHECK(read_selections(parser, query));
  if (!parser.take_keyword("from")) return parser.unexpected("a comma or FROM");
  const std::size_t from_at = parser.token().at;
  VERGE_TRY(const auto from, read_path(parser));
  query.from = lower_case(joined(from));
  if (std::find(kCollections.begin(), kCollections.end(), query.from) == kCollections.end()) {
    return parser.error(from_at, "expected devices, devices.modules or devices.jobs");
  }
  if (parser.take_keyword("where")) {
    VERGE_TRY(query.where, parser.condition());
  }
  if (parser.take_keyword("group")) {
    if (!parser.take_keyword("by")) return parser.unexpected("BY");
    VERGE_TRY(query.group_by, read_path(parser));
  }
  if (!parser.is_at_end())
    return parser.unexpected(query.where ? "an operator, GROUP BY or the end" : "WHERE, GROUP BY or the end");
  VERGE_CHECK(check_selections(parser, selections_at, query));
  return query;
}

// --- running ---------------------------------------------------------------------------------

const Json* item_at(const Json& list, const std::string& index) {
  if (index.empty() || index.size() > 9 || index.find_first_not_of("0123456789") != std::string::npos) return nullptr;
  const std::size_t position = std::stoul(index);
  return position < list.size() ? &list[position] : nullptr;
}

const Json* value_at(const Json& document, const std::vector<std::string>& path) {
  const Json* at = &document;
  for (const std::string& part : path) {
    if (at->is_array()) {
      at = item_at(*at, part);
    } else {
      at = find_member(*at, {part});
    }
    if (at == nullptr) return nullptr;
  }
  return at;
}

class DocumentScope final : public Scope {
 public:
  explicit DocumentScope(const Json& document) : document_(document) {}
  Value name(const std::vector<std::string>& path) const override {
    const Json* value = value_at(document_, path);
    return value == nullptr ? Value(Undefined{}) : Value(*value);
  }

 private:
  const Json& document_;
};

using Documents = std::vector<const Json*>;

std::string name_of(const Selection& selection) {
  if (!selection.alias.empty()) return selection.alias;
  return selection.function.empty() ? selection.path.back() : selection.function;
}

std::vector<double> numbers_of(const Documents& documents, const std::vector<std::string>& path) {
  std::vector<double> numbers;
  for (const Json* document : documents) {
    const Json* value = value_at(*document, path);
    if (value != nullptr && value->is_number()) numbers.push_back(value->get<double>());
  }
  return numbers;
}

std::size_t count_of(const Documents& documents, const std::vector<std::string>& path) {
  return static_cast<std::size_t>(std::count_if(
      documents.begin(), documents.end(), [&](const Json* document) { return value_at(*document, path) != nullptr; }));
}

Value aggregate(const Selection& selection, const Documents& documents) {
  if (selection.function == "count") return Json(count_of(documents, selection.path));
  const auto numbers = numbers_of(documents, selection.path);
  double sum = 0;
  for (const double number : numbers) sum += number;
  if (selection.function == "sum") return number_value(sum);
  if (numbers.empty()) return Undefined{};
  if (selection.function == "avg") return number_value(sum / static_cast<double>(numbers.size()));
  const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
  return number_value(selection.function == "min" ? *least : *most);
}

/// One row of the answer; plain selections are those of the first document.
Json row_of(const Query& query, const Documents& documents) {
  Json row = Json::object();
  for (const Selection& selection : query.selections) {
    if (!selection.function.empty()) {
      Value value = aggregate(selection, documents);
      if (auto* json = std::get_if<Json>(&value)) row[name_of(selection)] = std::move(*json);
    } else if (!documents.empty()) {
      if (const Json* value = value_at(*documents.front(), selection.path)) row[name_of(selection)] = *value;
    }
  }
  return row;
}

std::vector<Documents> grouped(const Query& query, const Documents& documents) {
  std::map<std::string, Documents> groups;
  for (const Json* document : documents) {
    const Json* value = value_at(*document, query.group_by);
    groups[value == nullptr ? "" : to_text(*value)].push_back(document);
  }
  std::vector<Documents> result;
  for (auto& [key, group] : groups) result.push_back(std::move(group));
  return result;
}

std::vector<Documents> rows_of(const Query& query, const Documents& documents) {
  if (!query.group_by.empty()) return grouped(query, documents);
  const bool aggregates = !query.selections.empty() && !query.selections.front().function.empty();
  if (aggregates) return {documents};
  std::vector<Documents> rows;
  for (const Json* document : documents) rows.push_back({document});
  return rows;
}

}  // namespace

Result<Query> parse_query(std::string_view text) {
  Parser parser(text);
  auto query = read_query(parser);
  if (!query) return std::move(query).error().within("read a query");
  return query;
}

Result<std::vector<Json>> run_query(const Query& query, const std::vector<Json>& documents) {
  Documents chosen;
  for (const Json& document : documents) {
    if (!query.where || query.where->is_true(DocumentScope(document))) chosen.push_back(&document);
  }
  std::vector<Json> answer;
  for (const Documents& row : rows_of(query, chosen)) {
    if (query.top && answer.size() == *query.top) break;
    answer.push_back(query.selections.empty() ? *row.front() : row_of(query, row));
  }
  return answer;
}

}  // namespace verge::expression
