// expression/condition.h -- the one condition language: routes, rules and queries are written in it.
//
// Source: Azure IoT Edge's Condition.g4 and IoT Hub's query language (wire contract §2.1, §4.1). Undefined is a value:
// a comparison with it is undefined, and only true fires. Comparison of different types is undefined; objects and
// lists do not compare, except that IN takes a list.
//
//   literals   true false null undefined 'text' "text" 42 0x2A 4.2e1 [1, 2]
//   names      temperature  tags.site  list[0]  configurations.[[a-b]].status  tags['a b']  [[a b]]
//              $contentType {$outputName}  $body.a.b[0]  $twin.tags.site
//   operators  from loose to tight: ??  OR  AND  NOT  = != <>  < <= > >= IN NIN  + - ||  * / %  -
//   functions  functions.h
//
// Bounds, because texts come from manifests and strangers: 16 KiB of text, 64 levels of nesting, 1000 terms.
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
  /// "$contentType", "{$outputName}"; name without the $. ("$twin.tags.a" is the name {"$twin", "tags", "a"}.)
  virtual Value system(std::string_view) const { return Undefined{}; }
  /// "$body.a.b[0]": the path after $body, here {"a", "b", "0"}. An object or a list counts as undefined.
  virtual Value body(const std::vector<std::string>&) const { return Undefined{}; }
};

struct ConditionNode;
class Parser;

class Condition {
 public:
  /// Errors: invalid_argument; the message has a line with the text and a caret below the character.
  static Result<Condition> parse(std::string_view text);
  /// What it evaluates to.
  Value evaluate(const Scope& scope) const;
  /// evaluate() == true.
  bool is_true(const Scope& scope) const;
  const std::string& text() const { return text_; }
  /// Every name it reads, for checks against what is there: {"tags", "site"}, {"$contentType"}, {"$body", "a", "b"}. A
  /// dot within a quoted name does not divide it: tags.[[a.b]] is {"tags", "a.b"}. Sorted, once each.
  std::vector<std::vector<std::string>> paths() const;

 private:
  friend class Parser;
  Condition(std::string text, std::shared_ptr<const ConditionNode> root);
  std::string text_;
  std::shared_ptr<const ConditionNode> root_;
};

}  // namespace verge::expression
