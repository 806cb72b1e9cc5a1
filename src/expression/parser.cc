#include "expression/parser.h"

#include <array>
#include <fmt/core.h>

namespace verge::expression {
namespace {

constexpr std::size_t kConditionBytesMax = 16U << 10U;
constexpr int kDepthMax = 64;
constexpr int kNodesMax = 1000;

struct OperatorText {
  std::string_view text;
  Operator op;
};

/// Loosest first; negation stands between AND and the comparisons.
constexpr std::size_t kNegationLevel = 3;
constexpr std::size_t kLevels = 7;
constexpr std::array<std::array<OperatorText, 4>, kLevels> kOperators{{
    {{{"??", Operator::coalesce}}},
    {{{"or", Operator::either}}},
    {{{"and", Operator::both}}},
    {{{"=", Operator::equal}, {"!=", Operator::unequal}, {"<>", Operator::unequal}}},
    {{{"<=", Operator::less_equal}, {"<", Operator::less}, {">=", Operator::greater_equal}, {">", Operator::greater}}},
    {{{"+", Operator::add}, {"-", Operator::subtract}, {"||", Operator::join}}},
    {{{"*", Operator::multiply}, {"/", Operator::divide}, {"%", Operator::remainder}}},
}};
constexpr std::size_t kRelationLevel = 4;

constexpr std::array<std::string_view, 6> kReserved{"and", "or", "not", "in", "nin", "into"};

bool is_reserved(const Token& token) {
  for (const std::string_view word : kReserved) {
    if (token.is_keyword(word)) return true;
  }
  return false;
}

}  // namespace

Parser::Parser(std::string_view text) : lexer_(text), token_(lexer_.token_at(0)) {}

void Parser::advance() { token_ = lexer_.token_at(token_.end); }

bool Parser::take_keyword(std::string_view keyword) {
  if (!token_.is_keyword(keyword)) return false;
  advance();
  return true;
}

bool Parser::take_symbol(std::string_view symbol) {
  if (!token_.is_symbol(symbol)) return false;
  advance();
  return true;
}

std::string_view Parser::take_word() {
  const std::string_view text = lexer_.text();
  const std::size_t end = std::min(text.find_first_of(" \t\r\n", token_.at), text.size());
  const std::string_view word = text.substr(token_.at, end - token_.at);
  token_ = lexer_.token_at(end);
  return word;
}

Error Parser::unexpected(std::string_view expected) const {
  if (token_.kind == TokenKind::bad) return error(token_.at, token_.text);
  return error(token_.at, fmt::format("expected {}", expected));
}

Result<Condition> Parser::condition() {
  if (lexer_.text().size() > kConditionBytesMax) {
    return Error{ErrorCode::invalid_argument, fmt::format("an expression has at most {} bytes", kConditionBytesMax)};
  }
  const std::size_t start = token_.at;
  VERGE_TRY(auto root, expression());
  std::string text(lexer_.text().substr(start, token_.at - start));
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  return Condition(std::move(text), std::shared_ptr<const ConditionNode>(std::move(root)));
}

Result<NodePointer> Parser::node(NodeKind kind) {
  if (++node_count_ > kNodesMax) return error(token_.at, fmt::format("more than {} terms", kNodesMax));
  auto made = std::make_unique<ConditionNode>();
  made->kind = kind;
  return made;
}

Result<NodePointer> Parser::expression() {
  if (++depth_ > kDepthMax) return error(token_.at, fmt::format("more than {} levels of nesting", kDepthMax));
  auto result = level(0);
  --depth_;
  return result;
}

Operator Parser::take_operator(std::size_t precedence) {
  for (const auto& [text, op] : kOperators.at(precedence)) {
    if (!text.empty() && (take_symbol(text) || take_keyword(text))) return op;
  }
  return Operator::none;
}

Operator Parser::take_membership() {
  if (take_keyword("in")) return Operator::in;
  if (take_keyword("nin")) return Operator::not_in;
  // "a NOT IN b": what follows an operand cannot be a negation.
  if (token_.is_keyword("not") && lexer_.token_at(token_.end).is_keyword("in")) {
    advance();
    advance();
    return Operator::not_in;
  }
  return Operator::none;
}

Result<NodePointer> Parser::level(std::size_t precedence) {
  if (precedence == kLevels) return unary();
  const auto operand = [&] { return precedence + 1 == kNegationLevel ? negation() : level(precedence + 1); };
  VERGE_TRY(auto left, operand());
  for (;;) {
    if (const Operator op = take_operator(precedence); op != Operator::none) {
      VERGE_TRY(auto right, operand());
      VERGE_TRY(auto both, node(NodeKind::binary));
      both->op = op;
      both->parts.push_back(std::move(left));
      both->parts.push_back(std::move(right));
      left = std::move(both);
    } else if (const Operator in = precedence == kRelationLevel ? take_membership() : Operator::none;
               in != Operator::none) {
      VERGE_TRY(left, membership(std::move(left), in));
    } else {
      return left;
    }
  }
}

Result<NodePointer> Parser::negation() {
  if (!take_keyword("not")) return level(kNegationLevel);
  if (++depth_ > kDepthMax) return error(token_.at, fmt::format("more than {} levels of nesting", kDepthMax));
  VERGE_TRY(auto operand, negation());
  --depth_;
  VERGE_TRY(auto negated, node(NodeKind::negation));
  negated->parts.push_back(std::move(operand));
  return negated;
}

Result<NodePointer> Parser::membership(NodePointer left, Operator op) {
  VERGE_TRY(auto list, list_behind_in());
  VERGE_TRY(auto member, node(NodeKind::membership));
  member->op = op;
  member->parts.push_back(std::move(left));
  member->parts.push_back(std::move(list));
  return member;
}

/// [a, b], (a, b), or a name that holds a list.
Result<NodePointer> Parser::list_behind_in() {
  if (token_.kind == TokenKind::name || token_.kind == TokenKind::body) return primary();
  const bool is_round = token_.is_symbol("(");
  if (!is_round && !token_.is_symbol("[")) return unexpected("a list such as ['a', 'b']");
  advance();
  VERGE_TRY(auto list, node(NodeKind::list));
  do {
    VERGE_TRY(auto item, expression());
    list->parts.push_back(std::move(item));
  } while (take_symbol(","));
  if (!take_symbol(is_round ? ")" : "]")) return unexpected(is_round ? "a comma or )" : "a comma or ]");
  return list;
}

Result<NodePointer> Parser::unary() {
  if (!token_.is_symbol("-") && !token_.is_keyword("not")) return primary();
  const bool is_minus = token_.is_symbol("-");
  advance();
  if (++depth_ > kDepthMax) return error(token_.at, fmt::format("more than {} levels of nesting", kDepthMax));
  VERGE_TRY(auto operand, unary());
  --depth_;
  VERGE_TRY(auto result, node(is_minus ? NodeKind::minus : NodeKind::negation));
  result->parts.push_back(std::move(operand));
  return result;
}

Result<NodePointer> Parser::primary() {
  if (take_symbol("(")) {
    VERGE_TRY(auto inner, expression());
    if (!take_symbol(")")) return unexpected("an operator or )");
    return inner;
  }
  const Token token = token_;
  const auto literal = [&](Value value) -> Result<NodePointer> {
    advance();
    VERGE_TRY(auto made, node(NodeKind::literal));
    made->literal = std::move(value);
    return made;
  };
  if (token.kind == TokenKind::number) return literal(token.number);
  if (token.kind == TokenKind::text) return literal(Json(token.text));
  if (token.is_keyword("true")) return literal(Json(true));
  if (token.is_keyword("false")) return literal(Json(false));
  if (token.is_keyword("null")) return literal(Json(nullptr));
  if (token.is_keyword("undefined")) return literal(Undefined{});

  const bool is_name = token.kind == TokenKind::name && !is_reserved(token);
  if (!is_name && token.kind != TokenKind::system && token.kind != TokenKind::body) return unexpected("a value");
  advance();
  if (is_name && token_.is_symbol("(")) return call(token);
  const NodeKind kind = is_name ? NodeKind::name : token.kind == TokenKind::system ? NodeKind::system : NodeKind::body;
  VERGE_TRY(auto made, node(kind));
  made->path = kind == NodeKind::system ? std::vector{token.text} : token.path;
  return made;
}

Result<NodePointer> Parser::call(const Token& name) {
  const bool asks_for_change = name.is_keyword("twin_change_includes");
  const Function* function = find_function(asks_for_change ? "is_defined" : name.path.front());
  if (function == nullptr || name.path.size() != 1) {
    return error(name.at, fmt::format("there is no function \"{}\"", name.path.front()));
  }
  advance();  // the opening bracket
  VERGE_TRY(auto made, node(NodeKind::call));
  made->function = function;
  if (!token_.is_symbol(")")) {
    do {
      VERGE_TRY(auto argument, expression());
      made->parts.push_back(std::move(argument));
    } while (take_symbol(","));
  }
  if (!token_.is_symbol(")")) return unexpected("a comma or )");
  advance();
  const std::size_t count = made->parts.size();
  if (count < function->arguments_min || count > function->arguments_max) {
    return error(name.at, fmt::format("{} takes {} argument(s), here are {}", lower_case(name.path.front()),
                                      function->arguments_min == function->arguments_max
                                          ? fmt::format("{}", function->arguments_min)
                                          : fmt::format("{} to {}", function->arguments_min, function->arguments_max),
                                      count));
  }
  if (asks_for_change) {
    // The body of a change notification is the patch, so the path is looked up there.
    if (made->parts.front()->kind != NodeKind::name) return error(name.at, "twin_change_includes takes a path");
    made->parts.front()->kind = NodeKind::body;
    made->op = Operator::in;
  }
  return made;
}

}  // namespace verge::expression
