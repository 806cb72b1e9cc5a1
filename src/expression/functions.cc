#include "expression/functions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "expression/lexer.h"

namespace verge::expression {
namespace {

using Arguments = std::vector<Value>;

constexpr double kWholeMax = 9007199254740992.0;  // 2^53: up to here a double holds every integer.

const Json* json_in(const Value& value) { return std::get_if<Json>(&value); }

template <double (*calculate)(double)>
Value of_number(const Arguments& arguments) {
  if (!is_number(arguments[0])) return Undefined{};
  return number_value(calculate(number_in(arguments[0])));
}

double absolute(double x) { return std::fabs(x); }
double ceiling(double x) { return std::ceil(x); }
double exponential(double x) { return std::exp(x); }
double floor_of(double x) { return std::floor(x); }
double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
double square_root(double x) { return std::sqrt(x); }
double square(double x) { return x * x; }

Value power(const Arguments& arguments) {
  if (!is_number(arguments[0]) || !is_number(arguments[1])) return Undefined{};
  return number_value(std::pow(number_in(arguments[0]), number_in(arguments[1])));
}

Value as_number(const Arguments& arguments) {
  if (is_number(arguments[0])) return arguments[0];
  const std::string* text = text_in(arguments[0]);
  if (text == nullptr) return Undefined{};
  double number = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
  if (error != std::errc{} || end != text->data() + text->size()) return Undefined{};
  return number_value(number);
}

template <bool (Json::*is_type)() const noexcept>
Value is_of_type(const Arguments& arguments) {
  const Json* json = json_in(arguments[0]);
  return Json(json != nullptr && (json->*is_type)());
}

Value is_defined(const Arguments& arguments) { return Json(json_in(arguments[0]) != nullptr); }

// --- texts -----------------------------------------------------------------------------------

/// The byte at which character `index` begins; the size when there are fewer.
std::size_t byte_of(std::string_view text, std::size_t index) {
  for (std::size_t byte = 0; byte < text.size(); ++byte) {
    if (!is_continuation(text[byte]) && index-- == 0) return byte;
  }
  return text.size();
}

Value concat(const Arguments& arguments) {
  std::string result;
  for (const Value& argument : arguments) {
    const std::string* text = text_in(argument);
    if (text == nullptr || result.size() + text->size() > kTextBytesMax) return Undefined{};
    result += *text;
  }
  return Json(std::move(result));
}

template <class Answer>
Value of_two_texts(const Arguments& arguments, Answer answer) {
  const std::string* text = text_in(arguments[0]);
  const std::string* part = text_in(arguments[1]);
  if (text == nullptr || part == nullptr) return Undefined{};
  return Json(answer(*text, *part));
}

Value contains(const Arguments& arguments) {
  return of_two_texts(arguments,
                      [](const auto& text, const auto& part) { return text.find(part) != std::string::npos; });
}
Value starts_with(const Arguments& arguments) {
  return of_two_texts(arguments, [](const auto& text, const auto& part) { return text.starts_with(part); });
}
Value ends_with(const Arguments& arguments) {
  return of_two_texts(arguments, [](const auto& text, const auto& part) { return text.ends_with(part); });
}
Value index_of(const Arguments& arguments) {
  return of_two_texts(arguments, [](const std::string& text, const std::string& part) {
    const std::size_t byte = text.find(part);
    if (byte == std::string::npos) return std::int64_t{-1};
    return static_cast<std::int64_t>(character_count(std::string_view(text).substr(0, byte)));
  });
}

Value length(const Arguments& arguments) {
  const std::string* text = text_in(arguments[0]);
  return text == nullptr ? Value(Undefined{}) : Value(Json(character_count(*text)));
}

Value lower(const Arguments& arguments) {
  const std::string* text = text_in(arguments[0]);
  return text == nullptr ? Value(Undefined{}) : Value(Json(lower_case(*text)));
}

Value upper(const Arguments& arguments) {
  const std::string* text = text_in(arguments[0]);
  if (text == nullptr) return Undefined{};
  std::string result = *text;
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return Json(std::move(result));
}

/// A position or a count: whole, from 0, cut to what a text can have.
std::optional<std::size_t> count_in(const Value& value) {
  if (!is_number(value)) return std::nullopt;
  const double number = number_in(value);
  if (number < 0 || number != std::floor(number)) return std::nullopt;
  return static_cast<std::size_t>(std::min(number, kWholeMax));
}

Value substring(const Arguments& arguments) {
  const std::string* text = text_in(arguments[0]);
  const auto start = count_in(arguments[1]);
  const auto count = arguments.size() < 3 ? std::optional(text == nullptr ? 0 : text->size()) : count_in(arguments[2]);
  if (text == nullptr || !start || !count) return Undefined{};
  const std::string_view rest = std::string_view(*text).substr(byte_of(*text, *start));
  return Json(std::string(rest.substr(0, byte_of(rest, *count))));
}

constexpr std::size_t kMany = 64;

constexpr std::array<Function, 26> kFunctions{{
    {"abs", 1, 1, of_number<absolute>},
    {"as_number", 1, 1, as_number},
    {"ceiling", 1, 1, of_number<ceiling>},
    {"concat", 1, kMany, concat},
    {"contains", 2, 2, contains},
    {"ends_with", 2, 2, ends_with},
    {"exp", 1, 1, of_number<exponential>},
    {"floor", 1, 1, of_number<floor_of>},
    {"index_of", 2, 2, index_of},
    {"is_array", 1, 1, is_of_type<&Json::is_array>},
    {"is_bool", 1, 1, is_of_type<&Json::is_boolean>},
    {"is_defined", 1, 1, is_defined},
    {"is_null", 1, 1, is_of_type<&Json::is_null>},
    {"is_number", 1, 1, is_of_type<&Json::is_number>},
    {"is_object", 1, 1, is_of_type<&Json::is_object>},
    {"is_primitive", 1, 1, is_of_type<&Json::is_primitive>},
    {"is_string", 1, 1, is_of_type<&Json::is_string>},
    {"length", 1, 1, length},
    {"lower", 1, 1, lower},
    {"power", 2, 2, power},
    {"sign", 1, 1, of_number<sign>},
    {"sqrt", 1, 1, of_number<square_root>},
    {"square", 1, 1, of_number<square>},
    {"starts_with", 2, 2, starts_with},
    {"substring", 2, 3, substring},
    {"upper", 1, 1, upper},
}};

}  // namespace

const Function* find_function(std::string_view name) {
  const std::string wanted = lower_case(name);
  const auto* found = std::find_if(kFunctions.begin(), kFunctions.end(),
                                   [&](const Function& function) { return function.name == wanted; });
  return found == kFunctions.end() ? nullptr : found;
}

Value number_value(double number) {
  if (!std::isfinite(number)) return Undefined{};
  if (number == std::floor(number) && std::fabs(number) <= kWholeMax) return Json(static_cast<std::int64_t>(number));
  return Json(number);
}

const std::string* text_in(const Value& value) {
  const Json* json = json_in(value);
  return json == nullptr ? nullptr : json->get_ptr<const std::string*>();
}

bool is_number(const Value& value) {
  const Json* json = json_in(value);
  return json != nullptr && json->is_number();
}

double number_in(const Value& value) { return std::get<Json>(value).get<double>(); }

}  // namespace verge::expression
