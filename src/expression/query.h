// expression/query.h -- IoT Hub's query language over twins.
//
//   SELECT [TOP n] * | path [AS name], COUNT() | SUM | AVG | MIN | MAX(path) [AS name], …
//   FROM devices | devices.modules | devices.jobs [WHERE condition] [GROUP BY path]
//
// Source: wire contract §2.1. Threads: a Query is immutable.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "expression/condition.h"

namespace verge::expression {

struct Selection {
  std::string function;           ///< "" or count, sum, avg, min, max.
  std::vector<std::string> path;  ///< Empty for * and count().
  std::string alias;
};

struct Query {
  std::optional<std::size_t> top;
  std::vector<Selection> selections;  ///< Empty: *.
  std::string from;                   ///< "devices", "devices.modules" or "devices.jobs".
  std::optional<Condition> where;
  std::vector<std::string> group_by;  ///< A path; empty for none.
};

/// Errors: invalid_argument, pointing at the character.
Result<Query> parse_query(std::string_view text);
/// Runs over JSON documents (twins as the REST API shows them). A selection is named by its alias, else by the last
/// part of its path or its function; what is undefined is left out. Groups come in the order of their values.
Result<std::vector<Json>> run_query(const Query& query, const std::vector<Json>& documents);

}  // namespace verge::expression
