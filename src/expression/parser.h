// expression/parser.h -- reads conditions, and the words around them in routes and queries; internal to this part.
//
// Recursive descent, one function per level of precedence. NOT binds as in SQL, looser than comparison; for
// Azure's tighter NOT the meaning is the same wherever that one has a meaning.
// Threads: one Parser, one thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "expression/condition.h"
#include "expression/functions.h"
#include "expression/lexer.h"

namespace verge::expression {

enum class NodeKind : std::uint8_t { literal, name, system, body, list, minus, negation, binary, membership, call };
enum class Operator : std::uint8_t {
  none,
  multiply,
  divide,
  remainder,
  add,
  subtract,
  join,
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  unequal,
  in,
  not_in,
  both,
  either,
  coalesce,
};

struct ConditionNode {
  NodeKind kind = NodeKind::literal;
  Operator op = Operator::none;
  Value literal = Undefined{};
  std::vector<std::string> path;       ///< name, body; system: one part.
  const Function* function = nullptr;  ///< call.
  std::vector<std::unique_ptr<ConditionNode>> parts;
};
using NodePointer = std::unique_ptr<ConditionNode>;

class Parser {
 public:
  /// The text must outlive the parser.
  explicit Parser(std::string_view text);

  /// An expression; stops at the first token that cannot go on with it.
  Result<Condition> condition();

  const Token& token() const { return token_; }
  bool is_at_end() const { return token_.kind == TokenKind::end; }
  void advance();
  /// Goes on if the token is this keyword or symbol.
  bool take_keyword(std::string_view keyword);
  bool take_symbol(std::string_view symbol);
  /// Everything up to the next blank, as it stands there.
  std::string_view take_word();
  /// invalid_argument that points at the current token (and prefers the lexer's own reason).
  Error unexpected(std::string_view expected) const;
  Error error(std::size_t at, std::string_view why) const { return error_at(lexer_.text(), at, why); }

 private:
  Result<NodePointer> expression();  ///< One level deeper; the loosest operator.
  Result<NodePointer> level(std::size_t precedence);
  Result<NodePointer> negation();
  Result<NodePointer> unary();
  Result<NodePointer> primary();
  Result<NodePointer> call(const Token& name);
  Result<NodePointer> list_behind_in();
  Result<NodePointer> membership(NodePointer left, Operator op);
  Result<NodePointer> node(NodeKind kind);
  Operator take_operator(std::size_t precedence);
  Operator take_membership();

  Lexer lexer_;
  Token token_;
  int depth_ = 0;
  int node_count_ = 0;
};

}  // namespace verge::expression
