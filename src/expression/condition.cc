#include "expression/condition.h"

#include <cmath>
#include <set>

#include "expression/parser.h"

namespace verge::expression {
namespace {

Value evaluate_node(const ConditionNode& node, const Scope& scope);

std::optional<bool> truth_in(const Value& value) {
  const Json* json = std::get_if<Json>(&value);
  if (json == nullptr || !json->is_boolean()) return std::nullopt;
  return json->get<bool>();
}

Value truth_value(std::optional<bool> truth) { return truth ? Value(Json(*truth)) : Value(Undefined{}); }

/// Below, equal, above (-1, 0, 1); nothing for values that do not compare. Null and booleans know only equal or not,
/// told as 0 or 2.
std::optional<int> compared(const Value& left, const Value& right) {
  const Json* a = std::get_if<Json>(&left);
  const Json* b = std::get_if<Json>(&right);
  if (a == nullptr || b == nullptr) return std::nullopt;
  if (a->is_number() && b->is_number()) return *a < *b ? -1 : *a == *b ? 0 : 1;
  if (a->is_string() && b->is_string()) {
    const int order = a->get_ref<const std::string&>().compare(b->get_ref<const std::string&>());
    return order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  if (a->is_boolean() && b->is_boolean()) return *a == *b ? 0 : 2;
  if (a->is_null() && b->is_null()) return 0;
  return std::nullopt;
}

bool has_order(const Value& value) {
  const Json* json = std::get_if<Json>(&value);
  return json != nullptr && (json->is_number() || json->is_string());
}

std::optional<bool> compare(Operator op, const Value& left, const Value& right) {
  const auto order = compared(left, right);
  if (!order) return std::nullopt;
  if (op == Operator::equal) return *order == 0;
  if (op == Operator::unequal) return *order != 0;
  if (!has_order(left)) return std::nullopt;
  if (op == Operator::less) return *order < 0;
  if (op == Operator::less_equal) return *order <= 0;
  if (op == Operator::greater) return *order > 0;
  return *order >= 0;
}

Value calculate(Operator op, const Value& left, const Value& right) {
  if (!is_number(left) || !is_number(right)) return Undefined{};
  const double a = number_in(left);
  const double b = number_in(right);
  if (op == Operator::add) return number_value(a + b);
  if (op == Operator::subtract) return number_value(a - b);
  if (op == Operator::multiply) return number_value(a * b);
  if (op == Operator::divide) return number_value(a / b);  // By zero: not finite, so undefined.
  return number_value(std::fmod(a, b));
}

Value join(const Value& left, const Value& right) {
  const std::string* a = text_in(left);
  const std::string* b = text_in(right);
  if (a == nullptr || b == nullptr || a->size() + b->size() > kTextBytesMax) return Undefined{};
  return Json(*a + *b);
}

/// Three-valued: what decides alone decides, even beside undefined.
Value connect(const ConditionNode& node, const Scope& scope) {
  const bool decisive = node.op == Operator::either;
  const auto left = truth_in(evaluate_node(*node.parts[0], scope));
  if (left == decisive) return Json(decisive);
  const auto right = truth_in(evaluate_node(*node.parts[1], scope));
  if (right == decisive) return Json(decisive);
  return left && right ? Value(Json(!decisive)) : Value(Undefined{});
}

Value evaluate_binary(const ConditionNode& node, const Scope& scope) {
  if (node.op == Operator::both || node.op == Operator::either) return connect(node, scope);
  Value left = evaluate_node(*node.parts[0], scope);
  if (node.op == Operator::coalesce) {
    return std::holds_alternative<Undefined>(left) ? evaluate_node(*node.parts[1], scope) : left;
  }
  const Value right = evaluate_node(*node.parts[1], scope);
  if (node.op == Operator::join) return join(left, right);
  const bool is_comparison = node.op >= Operator::less && node.op <= Operator::unequal;
  return is_comparison ? truth_value(compare(node.op, left, right)) : calculate(node.op, left, right);
}

Value evaluate_membership(const ConditionNode& node, const Scope& scope) {
  const Value wanted = evaluate_node(*node.parts[0], scope);
  const Value list = evaluate_node(*node.parts[1], scope);
  const Json* items = std::get_if<Json>(&list);
  if (std::holds_alternative<Undefined>(wanted) || items == nullptr || !items->is_array()) return Undefined{};
  bool is_in = false;
  for (const Json& item : *items) is_in = is_in || compare(Operator::equal, wanted, Value(item)) == true;
  return Json(is_in == (node.op == Operator::in));
}

Value evaluate_list(const ConditionNode& node, const Scope& scope) {
  Json list = Json::array();
  for (const auto& part : node.parts) {
    Value value = evaluate_node(*part, scope);
    if (auto* json = std::get_if<Json>(&value)) list.push_back(std::move(*json));
  }
  return list;
}

Value evaluate_call(const ConditionNode& node, const Scope& scope) {
  // A change includes an object too, which as a value counts as undefined.
  if (node.op == Operator::in) return Json(!std::holds_alternative<Undefined>(scope.body(node.parts[0]->path)));
  std::vector<Value> arguments;
  for (const auto& part : node.parts) arguments.push_back(evaluate_node(*part, scope));
  return node.function->call(arguments);
}

Value evaluate_body(const ConditionNode& node, const Scope& scope) {
  Value value = scope.body(node.path);
  const Json* json = std::get_if<Json>(&value);
  return json != nullptr && json->is_structured() ? Value(Undefined{}) : value;
}

Value evaluate_node(const ConditionNode& node, const Scope& scope) {
  switch (node.kind) {
    case NodeKind::literal:
      return node.literal;
    case NodeKind::name:
      return scope.name(node.path);
    case NodeKind::system:
      return scope.system(node.path.front());
    case NodeKind::body:
      return evaluate_body(node, scope);
    case NodeKind::list:
      return evaluate_list(node, scope);
    case NodeKind::minus:
      return calculate(Operator::subtract, Json(0), evaluate_node(*node.parts[0], scope));
    case NodeKind::negation: {
      const auto truth = truth_in(evaluate_node(*node.parts[0], scope));
      return truth ? Value(Json(!*truth)) : Value(Undefined{});
    }
    case NodeKind::binary:
      return evaluate_binary(node, scope);
    case NodeKind::membership:
      return evaluate_membership(node, scope);
    case NodeKind::call:
      return evaluate_call(node, scope);
  }
  return Undefined{};
}

void collect_paths(const ConditionNode& node, std::set<std::vector<std::string>>& paths) {
  if (node.kind == NodeKind::name) paths.insert(node.path);
  if (node.kind == NodeKind::system) paths.insert({"$" + node.path.front()});
  if (node.kind == NodeKind::body) {
    std::vector<std::string> whole{"$body"};
    whole.insert(whole.end(), node.path.begin(), node.path.end());
    paths.insert(std::move(whole));
  }
  for (const auto& part : node.parts) collect_paths(*part, paths);
}

}  // namespace

Condition::Condition(std::string text, std::shared_ptr<const ConditionNode> root)
    : text_(std::move(text)), root_(std::move(root)) {}

Result<Condition> Condition::parse(std::string_view text) {
  Parser parser(text);
  VERGE_TRY(auto condition, parser.condition());
  if (!parser.is_at_end()) return parser.unexpected("an operator or the end");
  return condition;
}

Value Condition::evaluate(const Scope& scope) const { return evaluate_node(*root_, scope); }

bool Condition::is_true(const Scope& scope) const { return truth_in(evaluate(scope)) == true; }

std::vector<std::vector<std::string>> Condition::paths() const {
  std::set<std::vector<std::string>> paths;
  collect_paths(*root_, paths);
  return {paths.begin(), paths.end()};
}

}  // namespace verge::expression
