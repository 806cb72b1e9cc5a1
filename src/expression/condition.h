// expression/condition.h -- the one condition language: routes, rules and queries are written in it.
//
// Source: Azure IoT Edge's Condition.g4 and IoT Hub's query language (wire contract §2.1, §4.1). Undefined is a value:
// a comparison with it is undefined, and only true fires. Comparison of different types is undefined.
// Threads: a Condition is immutable; evaluate from anywhere.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace verge::expression {

struct Undefined {
  bool operator==(const Undefined&) const = default;
};
/// Json null, bool, number, string, array and object, or undefined.
using Value = std::variant<Undefined, Json>;

/// Where names get their values.
class Scope {
 public:
  virtual ~Scope() = default;
  /// A bare or dotted name: "temperature", "tags.site", "deviceId". Quoted names arrive without quotes.
  virtual Value name(const std::vector<std::string>& path) const = 0;
  /// "$contentType", "{$outputName}"; name without the $.
  virtual Value system(std::string_view) const { return Undefined{}; }
  /// "$body.a.b[0]": the path after $body.
  virtual Value body(const std::vector<std::string>&) const { return Undefined{}; }
};

struct ConditionNode;

class Condition {
 public:
  /// Errors: invalid_argument; the message has a line with the text and a caret below the character.
  static Result<Condition> parse(std::string_view text);
  /// What it evaluates to.
  Value evaluate(const Scope& scope) const;
  /// evaluate() == true.
  bool is_true(const Scope& scope) const;
  const std::string& text() const { return text_; }
  /// Every name it reads, for checks against what is there.
  std::vector<std::string> names() const;

 private:
  Condition(std::string text, std::shared_ptr<const ConditionNode> root);
  std::string text_;
  std::shared_ptr<const ConditionNode> root_;
};

}  // namespace verge::expression
