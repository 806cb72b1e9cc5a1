// expression/functions.h -- the functions of the condition language.
//
// Source: wire contract §4.1 (Azure IoT Edge) and §2.1 (IoT Hub queries).
// An argument of another type makes the result undefined, except for IS_…, which answer false.
//
//   numbers  ABS CEILING EXP FLOOR POWER(base, exponent) SIGN SQRT SQUARE, AS_NUMBER(text)
//   types    IS_ARRAY IS_BOOL IS_DEFINED IS_NULL IS_NUMBER IS_OBJECT IS_PRIMITIVE IS_STRING
//   texts    CONCAT(a, b, …) CONTAINS(text, part) ENDS_WITH(text, part) INDEX_OF(text, part) LENGTH LOWER
//            STARTS_WITH(text, part) SUBSTRING(text, start[, count]) UPPER
//   changes  TWIN_CHANGE_INCLUDES(path): the change in the message's body has that path
//
// Positions count characters (code points) from 0; LOWER and UPPER change ASCII letters.
// Threads: pure functions.
#pragma once

#include <string_view>
#include <vector>

#include "expression/condition.h"

namespace verge::expression {

struct Function {
  std::string_view name;
  std::size_t arguments_min, arguments_max;
  Value (*call)(const std::vector<Value>& arguments);
};

/// Case does not matter; nullptr when there is none.
const Function* find_function(std::string_view name);
/// A text longer than this becomes undefined: a short condition must not make a large result.
inline constexpr std::size_t kTextBytesMax = 1U << 20U;

/// A finite number, whole where it is whole; undefined otherwise.
Value number_value(double number);
/// nullptr when the value is undefined or of another type.
const std::string* text_in(const Value& value);
bool is_number(const Value& value);
double number_in(const Value& value);  ///< Only when is_number().

}  // namespace verge::expression
